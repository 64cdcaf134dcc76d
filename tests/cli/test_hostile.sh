# SPDX-License-Identifier: Apache-2.0
# The files that once fooled or hung the program (../shared/hostile): each is answered within 2 s of a
# CPU and 512 MB beside what the program and its libraries map, scored alike each time, or refused with one line.
hostile=${OUTFLOW_SHARED:-$(dirname "$0")/../../../shared}/hostile
[ -d "$hostile" ] || {
    echo "SKIPPED: hostile files: there is no $hostile"
    exit 77
}
hostile=$(cd "$hostile" && pwd)
. "$(dirname "$0")/lib.sh"
make_model in.model 1 3 16 16 2 1 8

# Sanitizers reserve more than any limit. Loading the libraries maps much that is never touched.
limit=0
ldd "$program" | grep -q 'lib.san' || nm "$program" 2>"$log/nm" | grep -q '__asan_init' || limit=900000

score_within() { # FILE: with limits of time and of memory, exit code in $code
    command="outflow score $1"
    (
        [ $limit -eq 0 ] || { ulimit -v $limit && ulimit -t 2; }
        exec timeout -k 5 60 "$program" score -m in.model --threads 1 "$1"
    ) >"$out" 2>"$err" </dev/null
    code=$?
}

for file in "$hostile"/*; do
    case ${file##*/} in *.md | *.json) continue ;; esac
    score_within "$file"
    cp "$out" first
    checks=$((checks + 1))
    case $code in
    0 | 3) ;;
    1) expect_error "${file##*/}" ;;
    *) fail "exit code $code" ;;
    esac
    [ "$(lines "$err")" -le 3 ] || fail "$(lines "$err") lines"
    score_within "$file"
    expect_same_files first "$out"
done
[ "$checks" -gt 30 ] || fail "only $checks checks"
finish
