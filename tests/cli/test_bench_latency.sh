# SPDX-License-Identifier: Apache-2.0
# outflow bench: single calls, where threads run, and the machine in every format.
. "$(dirname "$0")/lib.sh"

make_model in.model 1 3 16 16 2 2 8
quick='--repetitions 2 --seconds 0.002 --quiet'
mask=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)

# column NAME: the value in a Markdown table's only row
column() {
    awk -F' *[|] *' -v name="$1" '
        /^[|]/ && !n {for (i = 1; i <= NF; i++) if ($i == name) n = i; next}
        /^[|] (latency|score|train) / {print $n}' "$out"
}

# not_less WHAT ACTUAL LEAST
not_less() {
    checks=$((checks + 1))
    awk -v a="$2" -v b="$3" 'BEGIN {exit !(a + 0 >= b + 0)}' || fail "$1: $2 is less than $3"
}

run 0 bench --model in.model --mode latency --threads 1 --calls 30 $quick
expect_out '^| mode | batch | threads | isa | precision | calls | min ms | p50 ms | p90 ms | p99 ms | max ms '
expect_equal 'batch' "$(column batch)" 1
not_less 'calls' "$(column calls)" 30
expect_out 'nothing is decoded'
expect_out '^- model: glow 3x16x16, 2 scales of 2 steps, hidden 8, affine, in.model, '
expect_out "^- processor: .* usable CPUs ($mask), "
expect_out '^- software: outflow [0-9.]*, [a-z]* [0-9.]*, [A-Za-z]* build; oneDNN [0-9.]*$'
expect_out '^- threads: not bound; OMP_PROC_BIND false, '
expect_equal 'where threads run' "$(column CPUs)" any

# Percentiles are marked until ten calls lie beyond them.
run 0 bench --model in.model --mode latency --threads 1 --calls 2 --repetitions 1 --seconds 0.001 \
    --batch 64 --quiet
expect_equal 'p90 is marked' "$(column 'p90 ms' | grep -c '[0-9][*]$')" 1
expect_out '^[*] fewer than 10 calls'
run 0 bench --model in.model --mode latency --threads 1 --calls 1000 $quick
expect_equal 'p99 is firm' "$(column 'p99 ms' | grep -c '[*]')" 0
! grep -q 'fewer than' "$out" || fail 'a note without a star'

run 0 bench --model in.model --mode latency --batch 4 --threads 2 --calls 100 --format jsonl $quick
cp "$out" row.json
expect_equal 'mode' "$(json row.json mode)" latency
for pair in 'min p50' 'p50 p90' 'p90 p95' 'p95 p99' 'p99 p999' 'p999 max'; do
    low=$(json row.json "latency_${pair% *}_ms")
    not_less "$pair" "$(json row.json "latency_${pair#* }_ms")" "$low"
done
for name in p50 p90 p99 max; do
    call=$(json row.json "latency_${name}_ms")
    image=$(json row.json "image_${name}_ms")
    expect_equal "$name an image" "$(awk -v a="$image" -v b="$call" \
        'BEGIN {d = 4 * a / b - 1; print (d < 1e-9 && d > -1e-9)}')" 1
done
for key in latency_mean_ms latency_stddev_ms latency_jitter_ms calls warmup_calls; do
    json row.json "$key" | grep -q '[1-9]' || fail "$key is missing or zero"
done
expect_equal 'enough for p90' "$(json row.json p90_has_enough_calls)" true
expect_equal 'mask' "$(json row.json cpu_mask)" "$mask"
expect_equal 'hidden' "$(json row.json hidden)" 8
expect_equal 'affinity' "$(json row.json affinity)" none
expect_equal 'bound' "$(json row.json bound)" false
expect_equal 'each thread anywhere' "$(json row.json thread_cpus)" "$mask;$mask"
for key in cpu cpu_isa compiler build convolutions omp_proc_bind test_time family; do
    json row.json "$key" | grep -q '[A-Za-z0-9]' || fail "$key is missing"
done
json row.json spread_percent >value || fail 'no spread'
json row.json images_per_second_stddev >value || fail 'no deviation'

run 0 bench --model in.model --mode latency --format csv --threads 1 --calls 3 $quick
for key in latency_jitter_ms spread_percent thread_cpus cpu_mask cpu_quota affinity compiler; do
    head -n 1 "$out" | tr ',' '\n' | grep -qx "$key" || fail "csv has no $key"
done

# Binding. With one CPU there is nothing to see: every thread runs on it anyway.
run 0 bench --model in.model --batch 2 --threads 1,2 --affinity close --format csv $quick
expect_silent_err
expect_equal 'rows' "$(lines "$out")" 3
run 0 bench --model in.model --batch 2 --threads 2 --affinity spread --format jsonl $quick
expect_silent_err
cp "$out" row.json
expect_equal 'affinity' "$(json row.json affinity)" spread
expect_equal 'OpenMP' "$(json row.json omp_proc_bind)" spread
expect_equal 'mask stays' "$(json row.json cpu_mask)" "$mask"
if [ "$(nproc)" -gt 1 ] && [ "$(cat /sys/devices/system/cpu/smt/active 2>/dev/null)" != 1 ]; then
    expect_equal 'bound' "$(json row.json bound)" true
    cpus=$(json row.json thread_cpus)
    expect_equal 'two CPUs' "$(echo "$cpus" | tr ';' '\n' | grep -cx '[0-9]*')" 2
    [ "${cpus%;*}" != "${cpus#*;}" ] || fail "both threads on one CPU: $cpus"
fi

# The environment's binding is told, and hides no CPU of the process.
command='OMP_PROC_BIND=close outflow bench'
OMP_PROC_BIND=close OMP_PLACES=threads "$program" bench --model in.model --batch 1 --format jsonl \
    $quick >"$out" 2>"$err"
check_code 0 $?
expect_equal 'OpenMP' "$(json "$out" omp_proc_bind)" close
expect_equal 'mask' "$(json "$out" cpu_mask)" "$mask"
expect_equal 'threads' "$(json "$out" threads)" "$(json "$out" cpus)"
OMP_PROC_BIND=true "$program" bench --model in.model --batch 1 --affinity close --format jsonl \
    $quick >"$out" 2>"$err"
check_code 0 $?
expect_equal 'the option is stronger' "$(json "$out" omp_proc_bind)" close
expect_equal 'mask' "$(json "$out" cpu_mask)" "$mask"

expect_failure 2 '--affinity' bench --affinity far
expect_failure 2 '--calls' bench --mode latency --calls 0
expect_failure 2 'latency' bench --mode fast
finish
