# SPDX-License-Identifier: Apache-2.0
# --precision: bfloat16 where the processor has it, an error with the remedy elsewhere.
models=$(dirname "$0")/../../models
case $models in /*) ;; *) models=$PWD/$models ;; esac
. "$(dirname "$0")/lib.sh"

# trained ones: the networks of new models put out zero in any precision
cp "$models/demo-shapes.safetensors" in.model
cp "$models/demo-general.safetensors" general.model
quick='--repetitions 2 --seconds 0.002 --quiet'

# ---- on every machine
run 0 cpu
expect_out '^bfloat16  *avx512_bf16 (\(yes\|no\)), amx_bf16 (\(yes\|no\))$'
expect_out '^precision  *f32$'
run 0 inspect in.model
expect_out '^bfloat16  *avx512_bf16'
expect_out '^scales.0.steps.0-3.conv1 .* f32  '
run 0 score -m in.model --limit 8 --quiet synthetic:shapes
cp "$out" default.csv
run 0 score -m in.model --precision f32 --limit 8 --quiet synthetic:shapes
expect_same_files default.csv "$out"
run 0 bench --model in.model --batch 2 --threads 1 --precision f32 --format csv $quick
expect_out '^mode,batch,threads,isa,precision,'
expect_failure 2 "'f16'" score -m in.model --precision f16 synthetic:shapes
expect_failure 2 '--precision: ' bench --precision f16
expect_failure 2 '--precision: ' bench --precision f32,bf16,auto,int8,f32
expect_failure 2 'unknown option' sample -m in.model --precision f32 -o grid.png
expect_failure 2 "f32 with --precision bf16 or int8" eval -m in.model --in synthetic:shapes \
    --out-of n=synthetic:noise --compare-precision --precision f32
expect_failure 2 'reads every set twice' eval -m in.model --in - --out-of n=synthetic:noise \
    --compare-precision
for isa in scalar avx2; do
    "$program" cpu --isa $isa >"$out" 2>"$err" || continue
    expect_failure 1 'precision bf16: .*use precision f32' score -m in.model --isa $isa \
        --precision bf16 synthetic:shapes
    OUTFLOW_ISA=$isa expect_failure 1 'precision bf16: .*use precision f32' score -m in.model \
        --precision bf16 synthetic:shapes
    OUTFLOW_ISA=$isa expect_failure 1 'precision bf16: ' eval -m in.model --in synthetic:shapes \
        --out-of n=synthetic:noise --compare-precision --json e.json
    run 0 score -m in.model --isa $isa --precision auto --limit 8 --quiet synthetic:shapes
done

if ! "$program" cpu --precision bf16 >"$out" 2>"$err"; then
    command='outflow cpu --precision bf16'
    expect_error 'precision bf16: '
    echo "SKIPPED: bfloat16 itself: $(cat "$err")"
    finish
fi

# ---- where the processor has it
expect_out '^precision  *bf16$'
ONEDNN_MAX_CPU_ISA=AVX512_CORE expect_failure 1 'ONEDNN_MAX_CPU_ISA' score -m in.model \
    --precision bf16 synthetic:shapes
run 0 score -m in.model --precision bf16 --limit 8 --quiet synthetic:shapes
cp "$out" bf16.csv
if cmp -s default.csv bf16.csv; then fail 'bf16 changes nothing'; fi
run 0 score -m in.model --precision auto --limit 8 --quiet synthetic:shapes
expect_same_files bf16.csv "$out"
for settings in '--batch 1' '--batch 7 --threads 1' '--batch 33 --threads 3'; do
    run 0 score -m in.model --precision bf16 $settings --limit 40 --quiet synthetic:shapes
    head -n 9 "$out" >first.csv
    expect_same_files bf16.csv first.csv
done
run 0 inspect --json --precision bf16 in.model
cp "$out" in.json
expect_equal 'precision' "$(json in.json plan/precision)" bf16
expect_equal 'layers in bf16' "$(grep -c '"precision": "bf16"' in.json)" 37
run 0 inspect --precision bf16 in.model
expect_out '^plan .* avx512, bf16, '
expect_out '^scales.0.steps.0-3.conv1 .* bf16  '
run 0 bench --model in.model --batch 1,3 --threads 1 --precision f32,bf16 $quick
expect_out '^| score | 3 | 1 | avx512 | f32 | '
expect_out '^| score | 3 | 1 | avx512 | bf16 | '
expect_equal 'rows' "$(grep -c '^| score | ' "$out")" 4
run 0 bench --model in.model --batch 1 --threads 1 --precision auto --format jsonl $quick
expect_out '"precision": "bf16"'
run 0 bench --model in.model --layers --precision bf16 --seconds 0.002 --quiet
expect_out '^| scales.0.conv1 | .*bf16'

# ---- the comparison says what two runs of score say
run 0 eval -m in.model -g general.model --in synthetic:shapes --out-of n=synthetic:noise \
    --limit 30 --compare-precision --json both.json --quiet
expect_out '^bf16 against f32 .* f32 b/d '
expect_out '^n  *f32 AUROC '
for precision in f32 bf16; do
    run 0 score -m in.model --precision $precision --limit 30 --quiet synthetic:noise
    awk -F, 'NR > 1 { print $4 }' "$out" >$precision.logp
    run 0 eval -m in.model -g general.model --in synthetic:shapes --out-of n=synthetic:noise \
        --limit 30 --precision $precision --json $precision.json --quiet
    expect_equal 'precision' "$(json $precision.json precision)" $precision
    for score in nll last scale:0 ratio ratio-last; do
        expect_equal "AUROC of $score" "$(json both.json "compare_precision/auroc/n/$score/$precision")" \
            "$(json $precision.json "out/n/$score/auroc")"
    done
    expect_equal 'bits/dim' "$(json both.json compare_precision/sets/n/bits_per_dim_$precision)" \
        "$(json $precision.json bits_per_dim/n)"
done
most=$(paste f32.logp bf16.logp | awk '{ d = $2 - $1; d = d < 0 ? -d : d; if (d > m) m = d }
    END { printf "%.17g", m }')
awk -v a="$most" -v b="$(json both.json compare_precision/sets/n/max_abs_change_nats)" \
    'BEGIN { d = a - b; exit !(a > 0 && d < 1e-9 && d > -1e-9) }' ||
    fail "the largest change is $most nats by score"
finish
