#!/bin/sh
# Installs what tests/tls_scanners.rs looks at TLS with.
set -eu
cd "$(dirname "$0")"

if ! cmp -s requirements.txt .venv/installed.txt; then
    python3 -m venv --clear .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
    cp requirements.txt .venv/installed.txt
fi
