#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Proves that tools/setup names everything the build uses: every header outside the tree that the
# compiler read, and every library that was linked, must come from a package that tools/setup
# lists, or from one that those depend on.
#
#   packages.sh BUILD_DIR
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$1

# The listed packages and all they depend on.
closure=$(tools/setup --list --dev | awk '{print $1}' |
    xargs apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts \
        --no-breaks --no-replaces --no-enhances | sed -nE 's/^( *(Pre)?Depends: )?<?([a-z0-9][^ :<>]*)(:[a-z0-9]+)?>?$/\3/p' | sort -u)

headers=$(ninja -C "$build" -t deps | sed -nE 's/^ +(\/.*)/\1/p' | grep -v "^$PWD/" | sort -u)
libraries=$(find "$build" -maxdepth 2 -type f \( -name 'outflow' -o -name 'liboutflow.so.*' -o -name 'test_*' \) \
    -perm -u+x -exec ldd {} + | sed -nE 's/.* => (\/[^ ]+) .*/\1/p' | sort -u)

# Some systems have /lib -> /usr/lib, and dpkg knows a file by only one of the names.
owner() {
    local real
    real=$(realpath "$1")
    { dpkg -S "$1" || dpkg -S "$real" || dpkg -S "${real#/usr}"; } 2>/dev/null | head -n 1 |
        sed -E 's/(:[a-z0-9]+)?: .*//'
}

failures=0
files=0
for file in $headers $libraries; do
    package=$(owner "$file")
    files=$((files + 1))
    if [[ -z $package ]]; then
        echo "$file belongs to no package" >&2
    elif ! grep -qx -- "$package" <<<"$closure"; then
        echo "$file is of $package, which tools/setup does not bring" >&2
    else
        continue
    fi
    failures=$((failures + 1))
done
((failures == 0)) || exit 1
echo "$files headers and libraries, all from packages that tools/setup installs"
