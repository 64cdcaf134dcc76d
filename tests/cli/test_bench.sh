# SPDX-License-Identifier: Apache-2.0
# outflow bench: its formats, its grid, and wrong use. No speed is judged here.
. "$(dirname "$0")/lib.sh"

make_model in.model 1 3 16 16 2 2 8
quick='--repetitions 3 --seconds 0.002 --quiet'

run 0 bench --model in.model --batch 1,3 --threads 1-2 $quick
expect_out '^| mode | batch | threads | isa | precision | images/s '
expect_equal 'rows of 2 batches and 2 thread counts' "$(grep -c '^| score | ' "$out")" 4
expect_silent_err

run 0 bench --model in.model --batch 2,3 --threads 1 --format json $quick
expect_out '^\[$'
expect_equal 'objects' "$(grep -c '"mode": "score"' "$out")" 2
run 0 bench --model in.model --batch 2 --threads 1 --format jsonl $quick
cp "$out" row.json
for key in images_per_second images_per_second_min images_per_second_max gflops peak_gflops \
    peak_percent latency_p50_ms latency_p90_ms latency_p99_ms rss_mb weights_mb; do
    json row.json "$key" >value || fail "$key is missing"
    grep -q '^[0-9]*\.*[0-9]*[1-9]' value || fail "$key is not above zero: $(cat value)"
done
expect_equal 'mode' "$(json row.json mode)" score
expect_equal 'batch' "$(json row.json batch)" 2
expect_equal 'repetitions' "$(json row.json repetitions)" 3

run 0 bench --model in.model --batch 1-4*2 --threads 1 --isa scalar --format jsonl $quick
expect_equal 'lines' "$(lines "$out")" 3
expect_out '"isa": "scalar"'
run 0 bench --model in.model --batch 1-3+2 --threads 1 --format csv --out rows.csv $quick
expect_equal 'header and rows' "$(lines rows.csv)" 3
expect_equal 'columns agree' "$(awk -F, '{print NF}' rows.csv | sort -u | wc -l | tr -d ' ')" 1

run 0 bench --mode train --scales 1 --steps 2 --hidden 8 --size 8 --channels 1 --batch 4 \
    --threads 2 --micro-batch 2 $quick
expect_out '^| train | 4 | 2 | '
run 0 bench --mode train --scales 1 --steps 2 --hidden 8 --size 8 --channels 1 --batch 1 \
    --threads 1 $quick
expect_out '^| train | 1 | 1 | '

run 0 bench --model in.model --layers --batch 3 --seconds 0.002 --quiet
expect_out '^| scales\.0\.conv1 | 3x3 6->16 +relu | .* | 2 | '
expect_out '^| scales\.1\.prior | '
expect_out '^| all | '

expect_failure 2 'unknown option' bench --fast
expect_failure 2 'exclude each other' bench --model in.model --steps 3
expect_failure 2 "--batch: '0' is neither a number from 1 to 1048576 nor a range" bench --batch 0
expect_failure 2 "--batch: 'x' is neither a number" bench --batch 1,x
expect_failure 2 "--batch: '2x' is neither a number" bench --batch 1,2x,3
expect_failure 2 "--batch: '4-1' is neither a number" bench --batch 4-1
expect_failure 2 '--batch: more than 64 numbers' bench --batch 1-65
expect_failure 2 "--threads: '' is neither a number from 1 to 4096" bench --threads 1,
expect_failure 2 "--isa: unknown instruction set 'sse9': use auto, scalar" bench --isa avx2,sse9
expect_failure 2 "--isa: unknown instruction set ''" bench --isa avx2,
expect_failure 2 '--isa: more than 4 names' bench --isa avx2,avx2,avx2,avx2,avx2
expect_failure 2 "--precision: .*'f16'" bench --precision f32,f16
expect_failure 1 'missing.model' bench --model missing.model
expect_failure 1 'divisible' bench --size 30
finish
