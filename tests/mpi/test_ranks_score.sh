# SPDX-License-Identifier: Apache-2.0
# outflow score and eval on several ranks: the output of one process, and faults of one rank.
#
#   test_ranks_score.sh PROGRAM HELPER_FOLDER LAUNCHER
. "$(dirname "$0")/../cli/lib.sh"
. "$(dirname "$0")/lib.sh"

make_model in.model 1 3 16 16 2 2 8
make_model general.model 2 3 16 16 2 2 8
make_images in.model photos 7
echo 'no image' >photos/broken.png

# ---- rows: more images than a batch, fewer than ranks, unreadable ones, several sources
for wish in "--format csv --score complexity --threshold 0 synthetic:shapes:150 photos" \
    "--format jsonl --ensemble general.model photos" \
    "--batch 3 --limit 1 synthetic:digits"; do
    # shellcheck disable=SC2086
    "$program" score -m in.model -g general.model --quiet $wish >expected.rows 2>"$err"
    code=$?
    for ranks in 2 3; do
        # shellcheck disable=SC2086
        run_ranks $code $ranks score -m in.model -g general.model --quiet $wish --out some.rows
        expect_same_files expected.rows some.rows
        # shellcheck disable=SC2086
        run_ranks $code $ranks score -m in.model -g general.model --quiet $wish
        grep -v '^$' "$out" >printed.rows
        [ $code -ne 0 ] || expect_same_files expected.rows printed.rows
    done
done

# ---- figures of sets
sets='-m in.model -g general.model --quiet --in synthetic:shapes:90 --out-of d=synthetic:digits:70'
without_speed() {
    grep -v '"images_per_second"\|"threads"' "$1"
}
# shellcheck disable=SC2086
{
    run 0 eval $sets --json one.json
    run_ranks 0 3 eval $sets --json three.json
}
expect_equal 'figures of three ranks' "$(without_speed three.json)" "$(without_speed one.json)"

# ---- what one rank lacks is said with its number
in_other_folder
cp in.model elsewhere/
ranks_in_folders score -m in.model --out missing.rows photos
expect_one_error 'rank 1 (.*): photos: '
cp -r photos elsewhere/photos
rm elsewhere/photos/3.png
ranks_in_folders score -m in.model --out missing.rows photos
expect_one_error 'rank 1 (.*) reads other images than rank 0'
rm elsewhere/in.model
ranks_in_folders score -m in.model --out missing.rows photos
expect_one_error 'rank 1 (.*): in.model: '
expect_no_file missing.rows
run_ranks any 2 score -m in.model -
expect_one_error 'standard input'

# ---- what cannot be divided would write one file several times
cp in.model whole.model
run_ranks any 2 calibrate --model whole.model --data synthetic:shapes:200
grep -q "run 'calibrate' once, without a launcher" "$err" || fail 'two ranks calibrate'
expect_same_files in.model whole.model
run_ranks any 2 sample --model in.model --out some.png
expect_no_file some.png
run_ranks 0 1 calibrate --quiet --model whole.model --data synthetic:shapes:200
run_ranks 0 2 inspect in.model

# ---- the network is measured
run_ranks 0 2 bench --mode train --scaling --steps 1 --hidden 8 --size 16 --batch 4 --threads 1 \
    --seconds 0.01 --repetitions 1 --format jsonl --out scaling.jsonl
head -n 1 scaling.jsonl >first.json
expect_equal 'ranks of the first row' "$(json first.json ranks)" 1
checks=$((checks + 1))
grep -q '"network_measured": *true' scaling.jsonl || fail 'the network was not measured'

# ---- half the bytes, half of what shows of them on a network without latency
for precision in f32 bf16; do
    run 0 bench --mode train --scaling --steps 1 --hidden 8 --size 16 --batch 4 --threads 1 \
        --seconds 0.01 --repetitions 1 --network 0:0.001 --gradient-precision $precision \
        --format jsonl --quiet --out $precision.jsonl
    tail -n 1 $precision.jsonl >$precision.json
    expect_equal 'precision of gradients' "$(json $precision.json gradient_precision)" $precision
done
checks=$((checks + 1))
awk -v f32="$(json f32.json waiting_ms)" -v bf16="$(json bf16.json waiting_ms)" \
    'BEGIN {exit !(bf16 > 0.4 * f32 && bf16 < 0.6 * f32)}' || fail 'not half of the bytes'
finish
