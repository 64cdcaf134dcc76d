# SPDX-License-Identifier: Apache-2.0
# outflow quantize, and --precision int8 where the processor has it.
models=$(dirname "$0")/../../models
case $models in /*) ;; *) models=$PWD/$models ;; esac
. "$(dirname "$0")/lib.sh"

cp "$models/demo-shapes.safetensors" in.model
cp "$models/demo-general.safetensors" general.model

# ---- on every machine
expect_failure 2 'unexpected operand' quantize -m in.model --data synthetic:shapes more
expect_failure 2 'data' quantize -m in.model
expect_failure 2 'needs --general-model' quantize -m in.model --data synthetic:shapes --bundle \
    -o o.model
expect_failure 2 'needs --out' quantize -m in.model -g general.model --data synthetic:shapes --bundle
expect_failure 1 'no-such' quantize -m in.model --data no-such
for isa in scalar avx2; do
    "$program" cpu --isa $isa >"$out" 2>"$err" || continue
    expect_failure 1 'precision int8: .*use precision f32' score -m in.model --isa $isa \
        --precision int8 synthetic:shapes
done
expect_failure 2 "'int16'" score -m in.model --precision int16 synthetic:shapes
expect_failure 2 'f32 with --precision bf16 or int8' eval -m in.model --in synthetic:shapes \
    --out-of n=synthetic:noise --compare-precision --precision auto
run 0 score -q -m in.model --limit 8 synthetic:shapes
cp "$out" before.csv
run 0 quantize -q -m in.model --data synthetic:shapes:200 -o fast.model
run 0 score -q -m fast.model --limit 8 synthetic:shapes
expect_same_files before.csv "$out"
run 0 inspect fast.model
expect_out 'quantization: activation ranges, for precision int8'
cp in.model own.model
run 0 quantize -q -m own.model --data synthetic:shapes:200 --batch 7 --threads 1
expect_same_files fast.model own.model

if ! "$program" cpu --precision int8 >"$out" 2>"$err" && ! grep -q 'quantize' "$err"; then
    command='outflow cpu --precision int8'
    expect_error 'precision int8: '
    echo "SKIPPED: int8 itself: $(cat "$err")"
    finish
fi

# ---- where the processor has it
expect_failure 1 'quantize it.*outflow quantize' score -m in.model --precision int8 synthetic:shapes
run 0 score -q -m fast.model --precision int8 --limit 8 synthetic:shapes
cp "$out" int8.csv
if cmp -s before.csv int8.csv; then fail 'int8 changes nothing'; fi
run 0 score -q -m fast.model --precision int8 --limit 8 --batch 3 --threads 2 synthetic:shapes
expect_same_files int8.csv "$out"
expect_failure 1 'outflow quantize' score -m fast.model -g general.model --precision int8 \
    synthetic:shapes
run 0 quantize -q -m in.model -g general.model --bundle --data synthetic:shapes:200 -o both.model
run 0 score -q -m both.model --precision int8 --limit 8 synthetic:shapes
run 0 inspect fast.model --precision int8
expect_out '^scales.0.steps.0-3.conv2 .* int8 '
run 0 inspect fast.model --precision int8 --ops
expect_out ', int16'

# ---- scores that lose are left out, or refused
run 0 quantize -m in.model -g general.model --bundle --data synthetic:shapes:300 -o both.model
cp "$out" losses.txt
grep -q '^ratio  *[-+]0.*images\|^ratio  *[-+]0.*[a-z]' losses.txt ||
    fail 'no loss of ratio'
run 0 inspect both.model
expect_out 'in int8 *nll: AUROC '
run 0 score -m both.model --precision int8 --lossy-scores --limit 2 synthetic:shapes
expect_out ',last,.*,ratio,ratio-last,'
if grep -q 'left out' "$err"; then fail 'a warning in spite of --lossy-scores'; fi
# one that loses much, by the file
lossy=ratio-last
LC_ALL=C sed -e 's/ratio-last\\",\\"auroc\\":-0\.[0-9]\{5\}/ratio-last\\",\\"auroc\\":0.099990/' \
    -e 's/ratio-last\\",\\"auroc\\":0\.[0-9]\{5\},/ratio-last\\",\\"auroc\\":0.09999,/' \
    -e 's/"content_hash"/"content_hush"/' both.model >lossy.model
run 0 inspect lossy.model
expect_out 'ratio-last: AUROC -0.1000 .*(refused)'
expect_failure 1 "score '$lossy' loses 0.1000 of its AUROC.*f32 or bf16.*see --lossy-scores" \
    score -m lossy.model --precision int8 --score $lossy --limit 2 synthetic:shapes
run 0 score -m lossy.model --precision int8 --score $lossy --lossy-scores --limit 2 synthetic:shapes
run 0 score -m lossy.model --precision int8 --limit 2 synthetic:shapes
grep -q "left out, .*$lossy.*--lossy-scores" "$err" || fail "no warning of $lossy"
if head -n 1 "$out" | grep -q ",$lossy,"; then fail "a column of $lossy"; fi
run 0 score -m lossy.model --precision f32 --score $lossy --limit 2 synthetic:shapes
run 0 quantize -q -m in.model --data synthetic:shapes:60 -o few.model # nothing is measured
expect_failure 1 "nobody measured.*quantize them again" score -m few.model --precision int8 \
    --score nll synthetic:shapes:2

run 0 eval -q -m both.model --in synthetic:shapes:60 --out-of n=synthetic:noise:60 --precision int8 \
    --compare-precision --json e.json
grep -q '"bits_per_dim_int8"' e.json || fail 'no bits_per_dim_int8 in the JSON'
expect_out 'int8 against f32'
run 0 bench --steps 2 --hidden 16 --batch 2 --threads 1 --precision int8 --format csv --quiet \
    --repetitions 2 --seconds 0.002
expect_out ',int8,'
run 0 eval -m lossy.model --in synthetic:shapes:60 --out-of n=synthetic:noise:60 --precision int8
grep -q "left out, .*$lossy" "$err" || fail "no warning of $lossy"
if grep -q "^  $lossy " "$out"; then fail "a row of $lossy"; fi
expect_failure 1 'for scoring' bench --mode train --steps 1 --hidden 8 --batch 2 --precision int8 \
    --quiet --repetitions 2 --seconds 0.002
finish
