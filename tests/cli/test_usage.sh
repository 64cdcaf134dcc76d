# SPDX-License-Identifier: Apache-2.0
# Verbs, help, and every way to get an option wrong.
. "$(dirname "$0")/lib.sh"

run 0 --version
expect_out '^outflow [0-9]*\.[0-9]*\.[0-9]*$'
run 0 version
run 0 help
expect_out '^Usage: outflow VERB'
for verb in score eval sample inspect cpu; do
    run 0 help
    expect_out "^  $verb "
    run 0 "$verb" --help
    expect_out "^Usage: outflow $verb"
    expect_out '^Example:$'
    expect_out '^  -h, --help'
    expect_silent_err
    cp "$out" "$log/help"
    run 0 help "$verb"
    expect_same_files "$out" "$log/help"
    run 0 "$verb" -h
    expect_failure 2 "unknown option '--no-such-option'; see 'outflow $verb --help'" \
        "$verb" --no-such-option
done

run 0 help version
expect_out '^Usage: outflow VERB'
run 0 help help
expect_out '^Usage: outflow VERB'

expect_failure 2 "no verb is given"
expect_failure 2 "unexpected operand 'extra'" version extra
expect_failure 2 "unexpected operand 'extra'" --version extra
expect_failure 2 "unexpected operand 'extra'" help score extra
expect_failure 2 "unexpected operand '--quiet'" help help --quiet
expect_failure 2 "unknown verb 'scor' (did you mean 'score'?)" scor
expect_failure 2 "unknown verb 'xyzzy'; see 'outflow --help'" xyzzy
expect_failure 2 "unknown verb 'xyzzy'" help xyzzy
expect_failure 2 "unknown option '--modle' (did you mean '--model'?)" score --modle x
expect_failure 2 "unknown option '-z'" score -z
expect_failure 2 'option --model FILE is required' score synthetic:noise
expect_failure 2 'option --model needs a value' score --model
expect_failure 2 'option --model needs a value' score --model --strict
expect_failure 2 'option --model is given twice' score -m a --model b x
expect_failure 2 'no SRC is given' score -m m
expect_failure 2 'option --strict takes no value' score --strict=1
expect_failure 2 "'two' is not a whole number" score -t two
expect_failure 2 "'1.5' is not a whole number" score -t 1.5
expect_failure 2 '--threads: -1 is not between 1 and 4096' score -t -1
expect_failure 2 '--limit: -5 is below 1;' score --limit -5
expect_failure 2 "'-' is not a whole number" score -t -
expect_failure 2 "'-0' is not a whole number" score --limit -0
expect_failure 2 "'' is not a whole number" score --threads=
expect_failure 2 '0 is not between 1 and 4096' score -t0
expect_failure 2 '99999999999999999999 is too large' score --seed 99999999999999999999
expect_failure 2 '--limit: 0 is below 1;' score --limit 0
expect_failure 2 '--limit: 18446744073709551615 is too large' score --limit 18446744073709551615
expect_failure 2 "'1x' is not a finite number" score --threshold 1x
expect_failure 2 "'nan' is not a finite number" score --threshold nan
expect_failure 2 "'xml' is none of csv|jsonl|table" score --format xml
expect_failure 2 "'avx1024' is none of auto" score --isa avx1024
expect_failure 2 "unknown score 'ratoi'" score -m m --score ratoi x
expect_failure 1 "score 'ratio' compares with a general model, and none is given; see --general-model" \
    score -m demo-shapes --score ratio x
expect_failure 2 "score 'scale:'" score -m m --score scale: x
expect_failure 2 'given twice' score -m m - -
expect_failure 2 'option --in SRC is required' eval -m m
expect_failure 2 'no out set is given' eval -m m --in x
expect_failure 2 'not of the form NAME=SRC' eval -m m --in x --out-of y
expect_failure 2 'not of the form NAME=SRC' eval -m m --in x --out-of =y
expect_failure 2 "two sets are named 'a'" eval -m m --in x --out-of a=y a=z
expect_failure 2 "two sets are named 'in'" eval -m m --in x --out-of in=y
expect_failure 2 'for one set only' eval -m m --in - --out-of a=-
expect_failure 2 'option --out FILE is required' sample -m m
expect_failure 2 'out g.jpg: a PNG is written, not .jpg' sample -m m -o g.jpg
expect_failure 2 'a PNG is written, not .WebP' sample -m m -o d/g.WebP
expect_failure 2 "unexpected operand 'x'" sample -m m -o g.png x
expect_failure 2 '-1 is not between 0 and 100' sample -m m -o g.png --temperature -1
expect_failure 2 'one weight file must be given' inspect
expect_failure 2 'one weight file must be given' inspect a b
expect_failure 2 'one weight file must be given' inspect --model a b
expect_failure 2 "unexpected operand 'x'" cpu x

# After "--" everything is an operand.
expect_failure 1 '--help: .*No such file' inspect -- --help

run 0 cpu
expect_out '^instruction sets .*scalar (yes)'
expect_out '^threads .*[1-9]'
run 0 cpu --isa scalar --threads 1
expect_out '^chosen  *scalar$'
expect_out '^threads  *1 of'
OUTFLOW_ISA=nonsense
export OUTFLOW_ISA
expect_failure 1 "OUTFLOW_ISA: unknown instruction set 'nonsense'" cpu
OUTFLOW_ISA=scalar
run 0 cpu
expect_out '^chosen  *scalar$'
finish
