#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every script that users start says how it is used, and refuses what it does not know.
#
#   options.sh SOURCE_DIR
set -uo pipefail
source=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

failures=0 checks=0
check() { # what, condition...
    local what=$1
    shift
    checks=$((checks + 1))
    "$@" && return
    failures=$((failures + 1))
    echo "FAILED: $what"
    head -n 3 out err
}
start() { # script, arguments: sets `code`
    code=0
    "$@" >out 2>err </dev/null || code=$?
}

scripts=("$source"/tools/{datasets,demo,demo_models,fuzz,reproduce,reproducible,setup,test,train_models}
    "$source"/bench/smoke.sh)
pythons=("$source"/tools/{general_data,convert_weights,export_pytorch}.py "$source"/bench/compare_peers
    "$source"/tests/golden/make_vectors.py)
command -v python3 >/dev/null || pythons=()
export PYTHONDONTWRITEBYTECODE=1
for script in "${scripts[@]}" "${pythons[@]}"; do
    name=${script##*/}
    for option in -h --help; do
        start "$script" $option
        check "$name $option: exit code $code" test "$code" == 0
        check "$name $option: no usage" grep -q '^usage: ' out
        check "$name $option: something on standard error" test ! -s err
    done
    start "$script" --no-such-option
    check "$name --no-such-option: exit code $code" test "$code" == 2
    check "$name --no-such-option: it is not named" grep -q -e '--no-such-option\|arguments' err
    check "$name --no-such-option: something on standard output" test ! -s out
done
for script in "${scripts[@]}"; do
    start "$script" --no-such-option
    check "${script##*/} --no-such-option: not one line" test "$(wc -l <err)" == 1
done

# A Python without numpy: arguments first, then one line.
mkdir without
echo 'raise ImportError("none")' >without/numpy.py
export PYTHONPATH=$work/without
without_numpy=('tools/general_data.py cutouts in.npy out.npy'
    'tools/convert_weights.py in.safetensors out' 'tools/export_pytorch.py in.safetensors out'
    'tests/golden/make_vectors.py vectors')
((${#pythons[@]} > 0)) || without_numpy=()
for command in "${without_numpy[@]}"; do
    read -ra words <<<"$command"
    start "$source/${words[0]}" --help
    check "${words[0]} --help without numpy: exit code $code" test "$code" == 0
    start "$source/${words[0]}" "${words[@]:1}"
    check "${words[0]} without numpy: exit code $code" test "$code" == 1
    check "${words[0]} without numpy: not one line" test "$(wc -l <err)" == 1
    check "${words[0]} without numpy: no package is named" grep -q 'python3-numpy' err
done

for images in 0 -1 many '1 2'; do
    start "$source/tools/demo" "$images"
    check "demo $images: exit code $code" test "$code" == 2
done
start "$source/tools/demo_models" no-such-folder
check "demo_models no-such-folder: exit code $code" test "$code" == 2

# tools/setup brings what is asked for, no more. A machine that has what the program needs, no more:
packages() { # OPTION...: on one line, as `out` for `check`
    "$source/tools/setup" "$@" --list | awk '{printf " %s", $1} END {print " "}' >out
}
packages --program
program_packages=$(<out)
for package in gcc cmake ninja-build libdnnl-dev libarchive-dev libstb-dev; do
    check "setup --program: no $package" grep -q " $package " out
done
for package in g++ libcmocka-dev libxml2-utils libsimde-dev libbenchmark-dev clang; do
    check "setup --program: $package" test -z "$(grep -o " $package " out)"
done
packages
check "setup: no libcmocka-dev" grep -q " libcmocka-dev " out
check "setup: libbenchmark-dev" test -z "$(grep -E ' (libbenchmark-dev|g[+][+]) ' out)"
for option in --bench --dev; do
    packages $option
    check "setup $option: no libbenchmark-dev" grep -q " libbenchmark-dev " out
    check "setup $option: no libcmocka-dev" grep -q " libcmocka-dev " out
done
packages --program --bench
check "setup --program --bench: libcmocka-dev" test -z "$(grep ' libcmocka-dev ' out)"

mkdir machine
# shellcheck disable=SC2086 # a line for each package
printf 'installed %s\n' $program_packages >machine/installed
printf '#!/bin/sh\ncat "%s/machine/installed"\n' "$work" >machine/dpkg-query
printf '#!/bin/sh\nexit 1\n' | tee machine/apt-get >machine/apt-cache
chmod +x machine/*
start env PATH="$work/machine:$PATH" "$source/tools/setup" --program --check
check "setup --program --check where all is there: exit code $code" test "$code" == 0
start env PATH="$work/machine:$PATH" "$source/tools/setup" --check
check "setup --check where no test can be built: exit code $code" test "$code" == 1
check "setup --check: libcmocka-dev is not named" grep -q 'missing: .*libcmocka-dev' out

echo "$checks checks, $failures failures"
[[ $failures == 0 ]]
