#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Proves that tools/setup names all that a build uses: every header outside the tree that the
# compiler read, and every library that the programs load, must come from a package that
# tools/setup lists or that one of those depends on. Once for the program alone with the packages of
# --program, once for all of a build, benchmarks included; MPI modules are built where --mpi or --dev
# brought their libraries.
#
#   packages.sh BUILD_DIR
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$1
export LC_ALL=C

# The packages that standard input names, and those that they depend on.
brought() {
    awk '{print $1}' |
        xargs apt-cache depends --recurse --installed --no-recommends --no-suggests \
            --no-conflicts --no-breaks --no-replaces --no-enhances |
        sed -nE 's/^[ |]*((Pre)?Depends: )?<?([a-z0-9][a-z0-9.+-]*)(:[a-z0-9]+)?>?$/\3/p' | sort -u
}

# What the objects and programs were made from whose paths in the build folder match a pattern.
used_files() { # PATTERN of objects, PATTERN of programs
    ninja -C "$build" -t deps |
        awk -v objects="$1" '/^[^ ]/ {wanted = $0 ~ objects} wanted && /^ +\// {print $1}' |
        grep -v "^$PWD/"
    find "$build" -maxdepth 2 -type f -perm -u+x -regextype posix-extended -regex "$build/$2" \
        -exec ldd {} + | sed -nE 's/.* => (\/[^ ]+) .*/\1/p'
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

# The files are in used.txt, the names of the packages on standard input.
prove() { # WHAT
    local foreign missing
    brought >"$build/brought.txt"
    owners <"$build/used.txt" >"$build/owned.txt" || true
    foreign=$(join -v 1 "$build/used.txt" "$build/owned.txt")
    missing=$(sort -k 2 "$build/owned.txt" | join -1 2 -v 1 -o 1.1,1.2 - "$build/brought.txt")
    # shellcheck disable=SC2086 # printf repeats its line for every word
    [[ -z $foreign ]] || printf 'of no package: %s\n' $foreign >&2
    # shellcheck disable=SC2086
    [[ -z $missing ]] || printf '%s is of %s, which tools/setup does not bring\n' $missing >&2
    [[ -z $foreign$missing ]] || exit 1
    echo "$1: $(wc -l <"$build/used.txt") headers and libraries, all from packages tools/setup installs"
}

used_files '^CMakeFiles/outflow_(objects|program|cli|server)[.]dir/' '(outflow|liboutflow[.]so[.].*)' |
    sort -u >"$build/used.txt"
tools/setup --program --list | prove 'the program'
used_files . '.*(outflow|liboutflow[.]so[.].*|test_.*|bench_.*)' | sort -u >"$build/used.txt"
{ tools/setup --bench --list && tools/setup --dev --list | grep -i mpi; } | prove 'all'
