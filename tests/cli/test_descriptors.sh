# SPDX-License-Identifier: Apache-2.0
# Standard streams that are closed: nothing else may take their place.
. "$(dirname "$0")/lib.sh"

make_model in.model 1 3 16 16 2 2 8
make_images in.model images 2
echo text >images/bad.png
run 3 score -m in.model images --out expected.csv

# ---- no standard error: warnings are lost, and do not go into the result
command='outflow score --out s.csv 2>&-'
"$program" score -m in.model images --out s.csv >"$out" 2>&- </dev/null
check_code 3 $?
expect_same_files s.csv expected.csv
command='outflow eval --json e.json 2>&-'
"$program" eval -m in.model --in synthetic:noise --limit 20 --out-of x=images --json e.json \
    >"$out" 2>&- </dev/null
check_code 3 $?
expect_equal 'the unreadable of x' "$(json e.json out_sets/x/unreadable)" 1
command='outflow score --out s.csv <&- >&- 2>&-'
"$program" score -m in.model images --out s.csv <&- >&- 2>&-
check_code 3 $?
expect_same_files s.csv expected.csv

# ---- no standard input: a list of paths cannot be read from it, and nobody waits for it
command='outflow score - <&-'
timeout 20 "$program" score -m in.model - <&- >"$out" 2>"$err"
check_code 1 $?
expect_error 'list of paths'
timeout 20 "$program" score -m in.model images --out s.csv <&- >"$out" 2>"$err"
check_code 3 $?

# ---- no standard output: an error where results should go there, else nothing
command='outflow score >&-'
"$program" score -m in.model images >&- 2>"$err" </dev/null
check_code 1 $?
expect_error 'standard output'
"$program" score -m in.model images --out s.csv >&- 2>"$err" </dev/null
check_code 3 $?
expect_same_files s.csv expected.csv
finish
