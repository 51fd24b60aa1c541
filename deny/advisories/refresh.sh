#!/bin/sh
# Takes what a clone of RustSec/advisory-db, $1, says of the crates in Cargo.lock.
set -eu
clone=$(cd "$1/crates" && pwd)
cd "$(dirname "$0")"
sed -n 's/^name = "\(.*\)"$/\1/p' ../../Cargo.lock | grep -v '^portcullis$' | LC_ALL=C sort -u >compared
rm -r crates
mkdir crates
while read -r crate; do
	if [ -d "$clone/$crate" ]; then cp -r "$clone/$crate" crates/; fi
done <compared
# Drafts have no id yet, and cargo-deny passes them over as well.
find crates -name 'RUSTSEC-0000-*' -delete
find crates -type d -empty -delete
