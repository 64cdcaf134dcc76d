#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Proves that tools/setup names all that a build uses: every header outside the tree that the
# compiler read, and every library that the programs load, must come from a package that
# tools/setup lists or that one of those depends on. MPI modules are built where its --mpi or --dev
# brought their libraries.
#
#   packages.sh BUILD_DIR
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$1
export LC_ALL=C

brought() {
    { tools/setup --list && tools/setup --dev --list | grep -i mpi; } | awk '{print $1}' |
        xargs apt-cache depends --recurse --installed --no-recommends --no-suggests \
            --no-conflicts --no-breaks --no-replaces --no-enhances |
        sed -nE 's/^[ |]*((Pre)?Depends: )?<?([a-z0-9][a-z0-9.+-]*)(:[a-z0-9]+)?>?$/\3/p' | sort -u
}

used_files() {
    ninja -C "$build" -t deps | sed -nE 's/^ +(\/.*)/\1/p' | grep -v "^$PWD/"
    find "$build" -maxdepth 2 -type f -perm -u+x \
        \( -name outflow -o -name 'liboutflow.so.*' -o -name 'test_*' \) -exec ldd {} + |
        sed -nE 's/.* => (\/[^ ]+) .*/\1/p'
}

# "file package" lines. dpkg may know a file below /lib by its name below /usr/lib, or the reverse.
owners() {
    local file real
    while read -r file; do
        real=$(realpath "$file")
        printf '%s\n' "$file" "$real" "${real#/usr}" | sort -u | sed "s|^|$file |"
    done | sort -k 2 >"$build/paths.txt"
    cut -d ' ' -f 2 "$build/paths.txt" | xargs dpkg -S 2>/dev/null |
        sed -nE 's/^([^:, ]+)(:[a-z0-9]+)?: (.*)/\3 \1/p' | sort >"$build/owners.txt"
    join -1 2 -2 1 -o 1.1,2.2 "$build/paths.txt" "$build/owners.txt" | sort -u
}

used_files | sort -u >"$build/used.txt"
owners <"$build/used.txt" >"$build/owned.txt" || true
foreign=$(join -v 1 "$build/used.txt" "$build/owned.txt")
missing=$(sort -k 2 "$build/owned.txt" | join -1 2 -v 1 -o 1.1,1.2 - <(brought))
# shellcheck disable=SC2086 # printf repeats its line for every word
[[ -z $foreign ]] || printf 'of no package: %s\n' $foreign >&2
# shellcheck disable=SC2086
[[ -z $missing ]] || printf '%s is of %s, which tools/setup does not bring\n' $missing >&2
[[ -z $foreign$missing ]] || exit 1
echo "$(wc -l <"$build/used.txt") headers and libraries, all from packages tools/setup installs"
