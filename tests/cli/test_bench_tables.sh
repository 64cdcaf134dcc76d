# SPDX-License-Identifier: Apache-2.0
# outflow bench --layers and --cost: their rows, their sums, and wrong use.
. "$(dirname "$0")/lib.sh"

make_model in.model 1 3 16 16 2 2 8

# sum_to KEY TOTAL MOST: the values of KEY add up to between 0 and MOST of TOTAL
sum_to() {
    checks=$((checks + 1))
    json --lines "$out" "$1" | awk -v t="$2" -v most="$3" \
        '{s += $1} END {exit !(s > 0 && s <= most * t)}' || fail "$1 does not add up to $2"
}

run 0 bench --model in.model --layers --batch 3 --seconds 0.002 --quiet
expect_out '^| scales\.0\.conv1 | 3x3 6->16 +relu | .* | 2 | '
expect_out '^| between the layers | '
expect_out '^| all | .* | 100\.0 | '
expect_out '^- processor: '
expect_silent_err

run 0 bench --model in.model --layers --batch 4 --seconds 0.002 --format jsonl --quiet
sum_to ms "$(json --lines "$out" image_ms | head -n 1)" 1.001
sum_to time_percent 100 1.001
expect_equal 'phases' "$(json --lines "$out" phase | sort -u)" forward
grep '"layer": "scales.0.conv2"' "$out" >row.json
# 8x8 positions of 16 floats in two steps, read and written; 16x16 weights or more, padded
expect_equal 'bytes in' "$(json row.json input_bytes)" 8192
expect_equal 'bytes out' "$(json row.json output_bytes)" 8192
expect_equal 'FLOP' "$(json row.json flop)" 65536
[ "$(json row.json weight_bytes)" -ge 2048 ] || fail 'too few bytes of weights'
grep '"layer": "scales.0.enter"' "$out" >row.json
expect_equal 'pixels are bytes' "$(json row.json input_bytes)" 768
for key in gflops peak_percent flop_per_byte gb_per_second cpu compiler; do
    json row.json "$key" | grep -q '[A-Za-z1-9]' || fail "$key is missing"
done

run 0 bench --model in.model --layers --mode train --batch 6 --micro-batch 2 --seconds 0.002 --quiet
for layer in conv1 backward.map backward.coupling backward.relu backward.gather backward.taps \
    backward.conv1.weights backward.conv2.weights backward.conv3.weights \
    backward.conv1.inputs backward.conv2.inputs backward.conv3.inputs; do
    expect_out "^| scales\\.1\\.$layer | .* | 2 | "
done
for layer in scales.0.backward.prior scales.1.backward.split gradients.sums gradients.unfold \
    optimizer refresh forward backward update all; do
    expect_out "^| $layer | "
done
! grep -q "scales.0.backward.split" "$out" || fail "a row of what is not done"

# what is not kept is computed again
run 0 bench --model in.model --layers --mode train --batch 4 --memory 1 --seconds 0.002 --quiet
expect_out '^| scales.0.backward.recompute | '

run 0 bench --model in.model --layers --mode train --batch 4 --seconds 0.002 --format jsonl --quiet
sum_to ms "$(json --lines "$out" image_ms | head -n 1)" 1.001
expect_equal 'phases' "$(json --lines "$out" phase | sort -u | tr '\n' ' ')" \
    'backward forward update '
for layer in conv1 conv2 conv3; do # both products of a layer have the forward pass's FLOP
    grep "\"scales.1.backward.$layer.weights\"" "$out" >weights.json
    grep "\"scales.1.backward.$layer.inputs\"" "$out" >inputs.json
    expect_equal "$layer" "$(json weights.json flop)" "$(json inputs.json flop)"
done
run 0 bench --steps 1 --hidden 8 --size 8 --scales 1 --block dense --layers --mode train \
    --seconds 0.001 --format csv --quiet
expect_out ',scales.0.backward.fc2.weights,'

small='--scales 1 --steps 1 --hidden 4 --channels 1 --repetitions 1 --seconds 0.001 --quiet'
run 0 bench --cost --batch 2 --threads 1 --size 8 $small
expect_out '^| steps | images/s | ms/call | us/step and image | line ms | off the line |$'
expect_out '^| images | images/s | ms/call | us/image | '
expect_out '^| pixels | images/s | ms/call | us/pixel and image | '
expect_equal 'rows' "$(grep -c '^| [0-9]' "$out")" 18
expect_equal 'fits' "$(grep -c ' R² ' "$out")" 3
run 0 bench --cost --batch 2 --threads 1 --size 8 --mode train $small --format jsonl
expect_equal 'rows' "$(lines "$out")" 18
expect_equal 'steps' "$(json --lines "$out" steps | head -n 5 | tr '\n' ' ')" '1 2 4 8 16 '
expect_equal 'batches' "$(json --lines "$out" batch | sed -n '6,14p' | tr '\n' ' ')" \
    '1 2 4 8 16 32 64 128 256 '
expect_equal 'sizes' "$(json --lines "$out" height | tail -n 4 | tr '\n' ' ')" '16 32 64 128 '
json --lines "$out" line_r2 >values
expect_equal 'fits' "$(lines values)" 18

expect_failure 2 'exclude each other' bench --layers --cost
expect_failure 2 'exclude each other' bench --cost --model in.model
expect_failure 2 'one --batch' bench --layers --batch 1,2
expect_failure 2 'one thread' bench --layers --threads 2
expect_failure 2 'one --batch' bench --cost --threads 1,2
expect_failure 2 'score or train' bench --layers --mode latency
expect_failure 2 'score or train' bench --cost --mode latency
expect_failure 2 '--calls' bench --layers --calls 5
expect_failure 2 '--repetitions' bench --layers --repetitions 5
expect_failure 2 'need --mode train' bench --micro-batch 2
expect_failure 2 'need --mode train' bench --memory 1M --layers
expect_failure 1 'missing.model' bench --layers --model missing.model
finish
