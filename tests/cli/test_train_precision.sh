# SPDX-License-Identifier: Apache-2.0
# outflow train --precision: an error with the remedy where the processor lacks bfloat16; elsewhere
# it learns as floats do, threads and interruptions change no bit, and a run keeps its precision.
. "$(dirname "$0")/lib.sh"

small='--steps 1 --hidden 16 --batch 16 --scales 2 --size 16x16 --quiet'
quick='--mode train --steps 1 --hidden 16 --size 16 --batch 4 --repetitions 1 --seconds 0.01 --quiet'

weights() {
    "$helpers/weights" "$1" 2>&1
}

# ---- on every machine
base="--data synthetic:shapes:50 $small --images 160"
# shellcheck disable=SC2086
{
    run 0 train $base --out default.model
    run 0 train $base --out f32.model --precision f32
    expect_failure 2 "'f16'" train $base --out o.model --precision f16
}
expect_equal 'floats are what is not asked for' "$(weights f32.model)" "$(weights default.model)"
for isa in scalar avx2; do
    "$program" cpu --isa $isa >"$out" 2>"$err" || continue
    # shellcheck disable=SC2086
    {
        expect_failure 1 'precision bf16: .*use precision f32' train $base --out o.model \
            --precision bf16 --isa $isa
        OUTFLOW_ISA=$isa expect_failure 1 'precision bf16: .*use precision f32' train $base \
            --out o.model --precision bf16
        OUTFLOW_ISA=$isa expect_failure 1 'precision bf16: ' bench $quick --precision bf16
        run 0 train $base --out auto-$isa.model --precision auto --isa $isa
    }
done
if ! "$program" cpu --precision bf16 >"$out" 2>"$err"; then
    command='outflow cpu --precision bf16'
    expect_error 'precision bf16: '
    echo "SKIPPED: bfloat16 itself: $(cat "$err")"
    finish
fi

# ---- where the processor has it
# shellcheck disable=SC2086
{
    run 0 train $base --out bf16.model --precision bf16
    run 0 train $base --out auto.model --precision auto
}
expect_equal 'auto takes it' "$(weights auto.model)" "$(weights bf16.model)"
if [ "$(weights bf16.model)" = "$(weights f32.model)" ]; then fail 'bf16 changes nothing'; fi
run 0 train --data synthetic:shapes:20 --steps 1 --hidden 8 --size 16x16 --images 20 \
    --precision bf16 --out told.model
expect_err ' avx512, bf16$'
# shellcheck disable=SC2086
run 0 bench $quick --precision f32,bf16
expect_out '^| train | 4 | .* | bf16 |'
run 0 bench --mode train --layers --steps 1 --hidden 16 --size 16 --batch 4 --seconds 0.01 --quiet \
    --precision bf16
expect_out '^One thread, avx512, bf16, '
expect_out 'backward.conv2.weights | G^T X, 16x16 | avx512_bf16 |'
expect_out 'backward.conv2.inputs | .*bf16'
expect_out 'backward.map | .* avx512 |'

# ---- it learns what floats learn
base="--data synthetic:shapes:200 $small --images 3200 --lr 0.002 --log-every 50"
# shellcheck disable=SC2086
for precision in f32 bf16; do
    run 0 train $base --out "long-$precision.model" --precision $precision --log $precision.jsonl
    head -n 1 $precision.jsonl >first.json
    tail -n 1 $precision.jsonl >"$precision.json"
done
awk -v f="$(json f32.json bits_per_dim)" -v b="$(json bf16.json bits_per_dim)" \
    -v start="$(json first.json bits_per_dim)" \
    'BEGIN { d = b - f; exit !(d < 0.02 && d > -0.02 && b < start - 0.5) }' ||
    fail "bits/dim: $(json first.json bits_per_dim), then $(json bf16.json bits_per_dim) in bf16, \
$(json f32.json bits_per_dim) in f32"

# ---- threads change nothing, nor does what is computed again
base="--data synthetic:shapes:50 $small --flip --shift 0.1 --precision bf16"
# shellcheck disable=SC2086
{
    run 0 train $base --images 320 --out one.model --threads 1
    run 0 train $base --images 320 --out two.model --threads 2 --memory 1
    run 0 train $base --images 320 --out three.model --threads 3
}
expect_equal 'weights of two threads' "$(weights two.model)" "$(weights one.model)"
expect_equal 'weights of three threads' "$(weights three.model)" "$(weights one.model)"

# ---- a run in parts: the same bits, in the precision that it was begun in
# shellcheck disable=SC2086
{
    run 0 train $base --images 160 --out part.model
    run 1 train ${base% --precision bf16} --images 320 --out part.model --resume
    expect_error 'another run: .*precision bf16'
    run 0 train $base --images 320 --out part.model --resume
}
expect_equal 'weights of a run in parts' "$(weights part.model)" "$(weights one.model)"
run 0 train --data synthetic:shapes:50 --init one.model --precision bf16 --images 32 --batch 16 \
    --quiet --out on.model
run 0 score -m on.model --limit 4 --quiet synthetic:shapes
finish
