#!/bin/sh
# Installs what tests/real_clients.rs and tests/conformance.rs run: the pinned packages of both
# languages, beside their lists. With `heavy` also what only `make dialects` runs: 740 MB of Node packages.
set -eu
cd "$(dirname "$0")"

node_folders="node nest conformance"
[ "${1:-}" != heavy ] || node_folders="$node_folders mastra node22"

# Node 20 fetches what Node 22 will run; it warns, which says nothing new.
for folder in $node_folders; do
    if ! cmp -s "$folder/package-lock.json" "$folder/node_modules/installed.json"; then
        npm ci --prefix "$folder" --no-fund --no-audit --ignore-scripts --loglevel error
        cp "$folder/package-lock.json" "$folder/node_modules/installed.json"
    fi
done

for folder in python python/v1; do
    if ! cmp -s "$folder/requirements.txt" "$folder/.venv/installed.txt"; then
        python3 -m venv --clear "$folder/.venv"
        "$folder/.venv/bin/pip" install --quiet --disable-pip-version-check -r "$folder/requirements.txt"
        cp "$folder/requirements.txt" "$folder/.venv/installed.txt"
    fi
done
