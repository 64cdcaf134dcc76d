#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What tools/demo tells its user to run next is what the program takes.
#
#   demo.sh SOURCE_DIR PROGRAM
set -euo pipefail
source=$1 program=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$source"

# The commands that the last words print, with backslashes as the shell prints them, a line each.
mapfile -t commands < <(sed -n '/^Your own pictures/,$p' tools/demo | sed 's/\\\\$/\\/' |
    sed -e ':a' -e '/\\$/{N;s/\\\n *//;ba' -e '}' | sed -n 's/^  build\/release\/outflow //p' |
    tr -d '"')
[[ ${#commands[@]} == 2 ]] || { echo "${#commands[@]} commands instead of 2" && exit 1; }

for command in "${commands[@]}"; do
    command=${command/FOLDER/synthetic:digits:3}
    command=${command/pictures\//synthetic:shapes:400}
    [[ $command != fit* ]] || command+=" --dry-run" # what a fit writes, tests/cli/test_fit.sh looks at
    read -ra words <<<"$command"
    "$program" "${words[@]}" >"$work/out" 2>"$work/err" ||
        { echo "FAILED: $command" && cat "$work/err" && exit 1; }
    [[ $command != score* ]] || grep -q ' yes ' "$work/out" ||
        { echo "FAILED: no digit is flagged by: $command" && cat "$work/out" && exit 1; }
done
echo "both commands run"
