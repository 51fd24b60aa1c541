#!/bin/sh
# Prints what tests/conformance.rs found: checks that passed, of those that passed or failed.
set -eu
cd "$(dirname "$0")/../../.."
folder="${CARGO_TARGET_DIR:-target}/tmp/conformance"

sort "$folder"/*.tsv | awk -F '\t' '
    BEGIN { row("server", "scenarios", "policy", "direct", "through", "differences") }
    { row($1, $2, $3, $4, $5, $6) }
    function row(server, scenarios, policy, direct, through, differences) {
        printf "%-18s %-26s %-18s %-9s %-9s %s\n", server, scenarios, policy, direct, through, differences
    }'
