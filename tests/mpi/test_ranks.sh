# SPDX-License-Identifier: Apache-2.0
# Several ranks of outflow train under a launcher: the same bits however a batch is divided, runs
# that go on with another number of ranks, and faults of one rank.
#
#   test_ranks.sh PROGRAM HELPER_FOLDER LAUNCHER
. "$(dirname "$0")/../cli/lib.sh"
. "$(dirname "$0")/lib.sh"

# Figures that do not depend on a clock.
figures() {
    sed 's/"images_per_second.*"rss_bytes": *[0-9]*//' "$1"
}

small='--steps 2 --hidden 8 --scales 2 --size 16x16 --quiet --lr 0.005 --threads 1 --overwrite'

# ---- the same weights after 200 steps: 1 rank of 2 threads, 2 of 1, 3, 4
base="--data synthetic:shapes:50 $small --batch 18 --images 3600 --flip --shift 0.1"
# shellcheck disable=SC2086
run 0 train ${base%--threads 1*} --threads 2 ${base#*--threads 1} --out one.model
for ranks in 2 3 4; do
    # shellcheck disable=SC2086
    run_ranks 0 $ranks train $base --out "$ranks.model"
    expect_equal "weights of $ranks ranks" "$(weights "$ranks.model")" "$(weights one.model)"
done

# ---- the same in bfloat16
if "$program" cpu --precision bf16 >"$out" 2>"$err"; then
    base="--data synthetic:shapes:50 $small --batch 18 --images 360 --precision bf16"
    # shellcheck disable=SC2086
    {
        run 0 train $base --out one.model
        run_ranks 0 3 train $base --out three.model
    }
    expect_equal 'bf16: weights of 3 ranks' "$(weights three.model)" "$(weights one.model)"
else
    echo "SKIPPED: bfloat16: $(cat "$err")"
fi

# ---- a large model without --lanes: in one process 4 lanes share 2 blocks, 8 threads have 4
large='--data synthetic:shapes:30 --steps 8 --hidden 512 --scales 2 --size 16x16 --quiet --lr 0.0005
    --overwrite --batch 16 --images 32 --init-images 16 --checkpoint-every 1000'
# shellcheck disable=SC2086
{
    run 0 train $large --threads 1 --out one.model
    run 0 train $large --threads 8 --out many.model
}
expect_equal 'large model: weights of 8 threads' "$(weights many.model)" "$(weights one.model)"
for ranks in 2 3 4; do
    # shellcheck disable=SC2086
    run_ranks 0 $ranks train $large --threads 1 --out some.model
    expect_equal "large model: weights of $ranks ranks" "$(weights some.model)" \
        "$(weights one.model)"
done

# ---- gradients in bfloat16: other weights, the same on any number of ranks, also when resumed
base="--data synthetic:shapes:50 ${small% --overwrite} --batch 18 --lanes 5 \
    --gradient-precision bf16"
# shellcheck disable=SC2086
{
    run 0 train $base --images 360 --out rounded.model
    run 0 train ${base% --grad*} --images 360 --out exact.model
    run_ranks 0 3 train $base --images 180 --out parted.model
    run_ranks 0 2 train $base --images 360 --resume --out parted.model
}
expect_equal 'bf16 gradients: weights' "$(weights parted.model)" "$(weights rounded.model)"
checks=$((checks + 1))
[ "$(weights rounded.model)" != "$(weights exact.model)" ] || fail 'gradients are not rounded'
# shellcheck disable=SC2086
run_ranks any 2 train ${base% --grad*} --images 540 --resume --out parted.model
expect_one_error "belongs to another run: 'gradient-precision=bf16' there"
# shellcheck disable=SC2086
{
    run 0 train $large --gradient-precision bf16 --threads 1 --out one.model
    run_ranks 0 3 train $large --gradient-precision bf16 --threads 1 --out three.model
}
expect_equal 'large model, bf16 gradients' "$(weights three.model)" "$(weights one.model)"

# ---- more ranks than that: the least power of two, which one process can give as well
base="--data synthetic:shapes:50 $small --batch 18 --images 180"
# shellcheck disable=SC2086
{
    run_ranks 0 5 train $base --out five.model
    run 0 train $base --lanes 8 --out eight.model
}
expect_equal 'weights of eight lanes' "$(weights five.model)" "$(weights eight.model)"

# ---- losses that compare the two batches, classes, averages, validation in parts: also the log
base="--data synthetic:shapes:60 $small --batch 19 --general-data synthetic:digits:40 \
    --general-batch 13 --outlier-loss margin --class-conditional --ema 0.9 --images 190 --lanes 5 \
    --valid synthetic:shapes:21 --out-of flat=synthetic:flat:17 --valid-every 100 --patience 3 \
    --log-every 3"
# shellcheck disable=SC2086
{
    run 0 train $base --out one.model --log one.jsonl
    run_ranks 0 3 train $base --out three.model --log three.jsonl
}
expect_equal 'margin loss: weights' "$(weights three.model)" "$(weights one.model)"
expect_equal 'margin loss: figures' "$(figures three.jsonl)" "$(figures one.jsonl)"
expect_equal 'what reductions took' "$(grep -c '"reduction_waited": [0-9]' three.jsonl)" \
    "$(wc -l <three.jsonl | tr -d ' ')"
expect_equal 'no reduction in one process' "$(grep -c reduction_ one.jsonl)" 0
base="--data synthetic:shapes:60 $small --batch 16 --general-data synthetic:digits:40 \
    --outlier-loss ratio --general-model 2.model --images 160 --lanes 2"
# shellcheck disable=SC2086
{
    run 0 train $base --out one.model
    run_ranks 0 2 train $base --out two.model
}
expect_equal 'ratio loss: weights' "$(weights two.model)" "$(weights one.model)"

# ---- values that are not finite, in some images and so in some ranks, skip the step on all
base="--data synthetic:shapes:60 ${small%% --lr*} --threads 1 --overwrite --lr 3 --clip 0 \
    --optimizer adam --batch 8 --lanes 4 --images 800 --log-every 1"
# shellcheck disable=SC2086
{
    run 1 train $base --out wild.model --log one.jsonl
    run_ranks any 3 train $base --out wild.model --log three.jsonl
}
expect_one_error 'not finite in 20 steps in a row'
expect_equal 'figures before it' "$(figures three.jsonl)" "$(figures one.jsonl)"

# ---- a run goes on with another number of ranks
base="--data synthetic:shapes:50 ${small% --overwrite} --batch 16"
# shellcheck disable=SC2086
{
    run 0 train $base --lanes 4 --images 640 --out whole.model
    run_ranks 0 4 train $base --lanes 4 --images 160 --out part.model
    run_ranks 0 3 train $base --images 320 --resume --out part.model
    run 0 train $base --images 480 --resume --out part.model
    run_ranks 0 2 train $base --images 640 --resume --out part.model
}
expect_equal 'weights of a run in parts' "$(weights part.model)" "$(weights whole.model)"
# shellcheck disable=SC2086
run_ranks any 5 train $base --images 800 --resume --out part.model
expect_one_error '4 lanes cannot be divided among 5 ranks'

# ---- moments divided among the ranks: the same weights and checkpoints, whoever goes on
base="--data synthetic:shapes:50 ${small% --overwrite} --batch 16 --ema 0.9 --checkpoint-every 0 \
    --valid synthetic:shapes:21 --valid-every 100 --patience 9"
# shellcheck disable=SC2086
{
    run 0 train $base --images 640 --out undivided.model
    run_ranks 0 3 train $base --images 320 --shard-optimizer --out divided.model
    run 0 train $base --images 480 --resume --out divided.model
    run_ranks 0 4 train $base --images 640 --resume --shard-optimizer --out divided.model
}
expect_equal 'weights of divided moments' "$(weights divided.model)" "$(weights undivided.model)"

# ---- a rank that is killed ends the job, and the next start goes on from the checkpoint
base="--data synthetic:shapes:50 ${small%% --quiet*} --threads 1 --lr 0.005 --batch 16 --lanes 4 \
    --checkpoint-every 0"
# shellcheck disable=SC2086
start_ranks 3 train $base --images 100000000 --out killed.model
wait_for killed.model.checkpoint
sleep 0.5
victim=$(pid_of 1)
began=$(date +%s)
kill -KILL "$victim" || fail 'there is no rank 1 to be killed'
wait "$job"
code=$?
checks=$((checks + 2))
[ "$code" -ne 0 ] || fail 'a killed rank did not end the job with a failure'
[ $(($(date +%s) - began)) -le 30 ] || fail 'a killed rank did not end the job within 30 s'
# Open MPI names the rank; MPICH one of the processes that it has ended then, not always the first
cat "$out" >>"$err"
expect_err 'process rank 1 .*signal 9\|PID [0-9]* RUNNING AT'
for rank in 0 1 2; do
    tries=0
    while kill -0 "$(pid_of $rank)" 2>/dev/null && [ $tries -lt 100 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
    [ $tries -lt 100 ] || fail "rank $rank is still there"
done
# shellcheck disable=SC2086
run_ranks 0 2 train --minutes 0.02 $base --images 100000000 --out killed.model --resume
expect_err 'resumed at step'

# ---- a rank that hangs is noticed by its neighbour
# shellcheck disable=SC2086
start_ranks 2 train $base --images 100000000 --out hung.model --overwrite
wait_for hung.model.checkpoint
sleep 0.5
victim=$(pid_of 1)
began=$(date +%s)
kill -STOP "$victim"
wait "$job"
code=$?
kill -KILL "$victim" 2>/dev/null
checks=$((checks + 2))
[ "$code" -ne 0 ] || fail 'a hung rank did not end the job with a failure'
[ $(($(date +%s) - began)) -le 40 ] || fail 'a hung rank did not end the job in time'
expect_err 'rank 1 (.*) has given no sign of life'

# ---- SIGTERM to one rank: all end together, with a checkpoint
# shellcheck disable=SC2086
start_ranks 2 train $base --images 100000000 --out ended.model
wait_for ended.model.checkpoint
kill -TERM "$(pid_of 1)"
wait "$job"
check_code 0 $?
expect_err 'go on with the same command and --resume'

# ---- data that one rank lacks, or has otherwise
make_model seed.model 1 3 16 16 2 1 8
make_images seed.model photos 6
in_other_folder
base="--data photos $small --batch 4 --images 40"
missing() {
    # shellcheck disable=SC2086
    ranks_in_folders train $base --out missing.model
    expect_no_file missing.model.checkpoint
}
missing
expect_one_error 'rank 1 (.*): photos: '
cp -r photos elsewhere/photos
rm elsewhere/photos/3.png
missing
expect_one_error 'photos: rank 1 (.*) has 5 images, rank 0 (.*) has 6'
cp elsewhere/photos/2.png elsewhere/photos/3.png
missing
expect_one_error 'photos: rank 1 (.*) has 6 images, .* some differ'

# ---- wrong usage is said once
run_ranks any 2 train --data photos --bogus
expect_one_error "unknown option '--bogus'"
# shellcheck disable=SC2086
run_ranks any 3 train $base --lanes 5 --out few.model
expect_one_error 'a batch of fewer images than the 5 lanes'
finish
