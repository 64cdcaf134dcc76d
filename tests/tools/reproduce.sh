#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/reproduce on its built-in sets: all runs, what is kept, what is refused.
#
#   reproduce.sh SOURCE_DIR OUTFLOW
set -uo pipefail
source=$1 outflow=$2
command -v jq >/dev/null || { echo 'SKIPPED: there is no jq' && exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

failures=0 checks=0
fail() {
    failures=$((failures + 1))
    echo "FAILED: $*"
    sed 's/^/  stderr: /' err | tail -n 5
}
run() { # code, arguments
    local expected=$1 code=0
    shift
    checks=$((checks + 1))
    command="reproduce $*"
    "$source/tools/reproduce" --outflow "$outflow" "$@" >out 2>err </dev/null || code=$?
    [[ $code == "$expected" ]] || fail "$command: exit code $code instead of $expected"
}
says() { # file, pattern
    checks=$((checks + 1))
    grep -q -e "$2" "$1" || fail "$command: $1 does not say '$2'"
}
same() { # what, actual, expected
    checks=$((checks + 1))
    [[ $2 == "$3" ]] || fail "$1 is '$2' instead of '$3'"
}
trained() {
    find results -name '*.safetensors' -newer mark | wc -l
}

# ---- the commands, and nothing done
run 0 --smoke --dry-run --variants glow,patch,class,dense
same 'commands' "$(wc -l <out)" $((3 + 4 * 4 * 2))
same 'class-conditional runs' "$(grep -c -e --class-conditional out)" 4
same 'runs with an outlier loss' "$(grep -c -e '--outlier-loss ratio' out)" 8
same 'fine-tuned runs' "$(grep -c -e --init out)" 8
same 'files' "$(ls)" $'err\nout'
run 0 --data sets --dry-run --variants glow
says out '--data sets/cifar10/train '
says out '--out-of svhn=sets/svhn/test_32x32.mat'
! grep -e '--in sets/cifar10/test' out | grep -q -e '--out-of cifar10=' ||
    fail 'a set is an out set of itself'

# ---- all of it, in small
smoke=(--smoke --results results --variants 'glow,class' --images 64)
run 0 "${smoke[@]}"
says out '^| glow | scratch | plain | nll | [0-9]\.[0-9][0-9][0-9] | [01]\.[0-9][0-9][0-9] |'
same 'rows' "$(jq '.rows | length' results/results.json)" 44
same 'figures' "$(jq '[.rows[].auroc[] | numbers | select(. >= 0 and . <= 1)] | length' \
    results/results.json)" 88
same 'the figure of a run' \
    "$(jq '.rows[] | select(.variant == "class" and .start == "tuned" and .loss == "outlier"
        and .score == "ratio") | .auroc.digits' results/results.json)" \
    "$(jq '.out.digits.ratio.auroc' results/shapes-class-tuned-outlier.json)"
cmp -s out results/results.md || fail 'results.md is not what was printed'
same 'checkpoints' "$(find results -name '*.checkpoint')" ''

# ---- done work is kept; what is missing is made, with what depends on it
touch mark
cp results/results.json before.json
run 0 "${smoke[@]}"
same 'models trained again' "$(trained)" 0
cmp -s before.json results/results.json || fail 'the same work gives other results'
rm results/shapes-glow-tuned-plain.safetensors
run 0 "${smoke[@]}"
same 'models trained again' "$(trained)" 1
cmp -s before.json results/results.json || fail 'a model trained again gives other results'
touch mark
rm results/general-glow.safetensors
run 0 "${smoke[@]}"
same 'models trained after the general one' "$(trained)" 7
cmp -s before.json results/results.json || fail 'models trained again give other results'

# ---- ended by a signal: the same command goes on from the checkpoint
long=(--smoke --results long --variants glow --minutes 10)
"$source/tools/reproduce" --outflow "$outflow" "${long[@]}" >out 2>err </dev/null &
pid=$!
for _ in {1..200}; do
    [[ -e long/general-glow.safetensors.checkpoint ]] && break
    sleep 0.1
done
sleep 0.5
kill -TERM "$(tr -d ' ' <"/proc/$pid/task/$pid/children")" # the training alone
wait $pid
code=$?
command='reproduce, whose training was ended by a signal'
same 'exit code' "$code" 1
says err 'interrupted: the same command goes on'
[[ -e long/general-glow.safetensors.checkpoint ]] || fail 'the checkpoint is gone'

# ---- other settings
run 1 "${smoke[@]}" --seed 1
says err 'was made by another command'
cmp -s before.json results/results.json || fail 'a refused run changes results'
run 0 "${smoke[@]}" --seed 1 --again
cmp -s before.json results/results.json && fail 'another seed gives the same results'

# ---- usage
run 2
says err 'no general set'
run 2 --general synthetic:general
says err 'no in-distribution set'
run 2 --general a --train x=a
says err '--train x has no --test x'
run 2 --general a --train x=a --test x=b
says err 'there is no out set'
run 2 --smoke --variants glow,deep
says err "no variant 'deep'"
run 2 --smoke --images many
run 2 --smoke --images 5 --minutes 5
run 2 --smoke --train 'a/b=x'
run 2 --smoke --nonsense 5
run 2 --smoke --images
run 1 --data no-such-folder
says err 'no such folder'
run 1 --smoke --results broken --general no-such-file.tar
says err 'no-such-file.tar'

echo "$checks checks, $failures failures"
((failures == 0))
