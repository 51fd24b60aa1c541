#!/bin/sh
# Installs what tests/real_clients.rs runs: the pinned packages of both languages, beside their lists.
set -eu
cd "$(dirname "$0")"

if ! cmp -s node/package-lock.json node/node_modules/installed.json; then
    npm ci --prefix node --no-fund --no-audit --ignore-scripts
    cp node/package-lock.json node/node_modules/installed.json
fi

for folder in python python/v1; do
    if ! cmp -s "$folder/requirements.txt" "$folder/.venv/installed.txt"; then
        python3 -m venv --clear "$folder/.venv"
        "$folder/.venv/bin/pip" install --quiet --disable-pip-version-check -r "$folder/requirements.txt"
        cp "$folder/requirements.txt" "$folder/.venv/installed.txt"
    fi
done
