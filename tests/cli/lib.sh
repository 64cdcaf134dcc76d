# SPDX-License-Identifier: Apache-2.0
# Helpers of the command-line tests, sourced by them: . lib.sh PROGRAM HELPER_FOLDER
# Each test runs in a fresh folder, which is removed at its end.

set -u
program=$1
helpers=$2
failures=0
checks=0
LC_ALL=C
export LC_ALL
# Sanitizers exit with a code of their own, so that no expected failure can hide theirs.
ASAN_OPTIONS=exitcode=99:${ASAN_OPTIONS:-}
UBSAN_OPTIONS=exitcode=99:print_stacktrace=1:${UBSAN_OPTIONS:-}
TSAN_OPTIONS=exitcode=99:${TSAN_OPTIONS:-}
export ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS

log=$(mktemp -d) # stdout and stderr of the last run
folder=$(mktemp -d)
trap 'rm -rf "$folder" "$log"' EXIT
cd "$folder" || exit 1
out=$log/out
err=$log/err
command='(nothing run yet)'

fail() {
    failures=$((failures + 1))
    printf 'FAILED: %s\n  command: %s\n' "$1" "$command"
    sed 's/^/  stderr: /' "$err" | head -n 5
    sed 's/^/  stdout: /' "$out" | head -n 3
}

# run CODE ARGUMENTS...: runs outflow and expects this exit code.
run() {
    expected=$1
    shift
    command="outflow $*"
    "$program" "$@" >"$out" 2>"$err" </dev/null
    check_code "$expected" $?
}

check_code() {
    checks=$((checks + 1))
    [ "$2" -eq "$1" ] || fail "exit code $2 instead of $1"
    ! grep -q 'Sanitizer\|runtime error' "$err" || fail 'a sanitizer complained'
}

# The run's only "error" line matches this basic regular expression.
expect_error() {
    checks=$((checks + 1))
    [ "$(grep -c '^outflow: error: ' "$err")" -eq 1 ] || fail 'not exactly one error line'
    grep -q "^outflow: error: .*$1" "$err" || fail "the error does not say '$1'"
}

# expect_failure CODE PATTERN ARGUMENTS...: a run that fails with one line and leaves nothing.
expect_failure() {
    wanted=$1
    pattern=$2
    shift 2
    before=$(ls -A)
    run "$wanted" "$@"
    expect_error "$pattern"
    [ "$(ls -A)" = "$before" ] || fail "files were left: $(ls -A)"
}

expect_out() {
    checks=$((checks + 1))
    grep -q -e "$1" "$out" || fail "standard output does not have '$1'"
}

expect_err() {
    checks=$((checks + 1))
    grep -q -e "$1" "$err" || fail "standard error does not have '$1'"
}

expect_silent_err() {
    checks=$((checks + 1))
    [ ! -s "$err" ] || fail 'standard error is not empty'
}

# expect_equal WHAT ACTUAL EXPECTED
expect_equal() {
    checks=$((checks + 1))
    [ "$2" = "$3" ] || fail "$1 is '$2' instead of '$3'"
}

expect_same_files() {
    checks=$((checks + 1))
    cmp -s "$1" "$2" || fail "$1 and $2 differ"
}

expect_no_file() {
    checks=$((checks + 1))
    [ ! -e "$1" ] || fail "$1 exists"
}

lines() {
    wc -l <"$1" | tr -d ' '
}

json() {
    "$helpers/json_get" "$@" 2>&1
}

# make_model FILE SEED CHANNELS HEIGHT WIDTH SCALES STEPS HIDDEN
make_model() {
    "$helpers/make_model" "$@" || {
        echo 'FAILED: make_model'
        exit 1
    }
}

# make_images MODEL FOLDER COUNT: PNG files of the model's size.
make_images() {
    mkdir -p "$2"
    image=0
    while [ "$image" -lt "$3" ]; do
        run 0 sample --model "$1" --count 1 --seed "$image" --quiet --out "$2/$image.png"
        image=$((image + 1))
    done
}

finish() {
    echo "$checks checks, $failures failures"
    [ "$failures" -eq 0 ]
    exit
}
