#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a part of every benchmark program for a moment. See --help.
set -euo pipefail

case ${1-} in
-h | --help)
    cat <<'TEXT'
usage: bench/smoke.sh PROGRAM...

Runs a part of every benchmark program for a moment. Fails if a benchmark reports an error, if a
name is not unique, machine-dependent or different in a second run, or if a file is left behind.
TEXT
    exit 0
    ;;
'' | -*)
    echo "bench/smoke.sh: '${1-}' is no benchmark program; see --help" >&2
    exit 2
    ;;
esac
export LC_ALL=C OMP_WAIT_POLICY=passive

# What is run: something of every kind, the cheap ones.
declare -A filters=(
    [bench_kernels]='/(half:5/|half:12/columns:7|half:6/columns:(7|16$)|channels:67|values:1001|rounds)'
    [bench_layers]='/scale:2/hidden:64/images:(1|4)$'
    [bench_steps]='/hidden:64$'
    [bench_models]='/(glow/K:8/hidden:64/batch:1|grey|patch|train/glow/K:8/hidden:64)/.*threads:all'
    [bench_decode]='/(side:32|grey_to_colour|resize_from:96|tar_png|idx|npy|cifar10|folder_jpeg)'
)

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/temporary"
export TMPDIR=$folder/temporary
failures=0

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

names_in() { # JSON results -> names
    sed -n 's/^ *"name": "\(.*\)",$/\1/p' "$1"
}

check_names() { # program, list
    local bad
    "$1" --benchmark_list_tests >"$2.again"
    cmp -s "$2" "$2.again" || fail "$1 lists other names the second time"
    bad=$(sort "$2" | uniq -d | head -1)
    [[ -z $bad ]] || fail "$1: two benchmarks are called $bad"
    bad=$(grep -Evm1 '^[a-z]+(/[A-Za-z0-9_]+(:([0-9]+|all))?)+$' "$2") || true
    [[ -z $bad ]] || fail "$1: a name of another form than part/key:value: $bad"
}

check_run() { # program, filter, list of all names, results
    local status=0
    "$1" --benchmark_filter="$2" --benchmark_min_time=0.0005 --benchmark_out="$4" \
        --benchmark_out_format=json >"$4.console" 2>&1 || status=$?
    if ((status)) || grep -q '"error_occurred": true' "$4"; then
        fail "$1 ends with status $status:"
        grep -E 'ERROR|error' "$4.console" >&2 || tail -3 "$4.console" >&2
    fi
    cmp -s <(grep -E "$2" "$3") <(names_in "$4") || fail "$1 ran others than it lists for '$2'"
    echo "$(basename "$1"): $(names_in "$4" | wc -l) of $(wc -l <"$3") ran"
}

for program in "$@"; do
    name=$(basename "$program") filter=${filters[$(basename "$program")]-}
    if [[ -z $filter ]]; then
        fail "$name: give it a filter in bench/smoke.sh"
        continue
    fi
    "$program" --benchmark_list_tests >"$folder/$name.list"
    check_names "$program" "$folder/$name.list"
    check_run "$program" "$filter" "$folder/$name.list" "$folder/$name.json"
    ! "$program" --benchmark_filter=nothing/like/it >"$folder/none" 2>&1 ||
        fail "$name: a filter that fits no benchmark is not an error"
done
[[ -z $(ls -A "$TMPDIR") ]] || fail "left behind: $(ls "$TMPDIR")"
((failures == 0))
