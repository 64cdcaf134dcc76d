# SPDX-License-Identifier: Apache-2.0
# outflow train: what it writes, that threads and interruptions change no bit, every kind of model.
. "$(dirname "$0")/lib.sh"

small='--steps 1 --hidden 8 --batch 8 --scales 2 --size 16x16 --quiet'

# A checksum of the tensors alone; what the metadata says (command, time) may differ.
weights() {
    "$helpers/weights" "$1" 2>&1
}

# ---- a run and what it leaves
# shellcheck disable=SC2086
run 0 train --data synthetic:shapes:60 $small --images 400 --lr 0.005 --flip --shift 0.1 \
    --valid synthetic:shapes:20 --out-of flat=synthetic:flat:20 --valid-every 200 --out a.model \
    --log a.jsonl --log-every 10
expect_silent_err
tail -n 1 a.jsonl >last.json
head -n 1 a.jsonl >first.json
for key in step images epoch loss bits_per_dim bits_per_dim_scale0 bits_per_dim_scale1 lr grad_norm \
    skipped condition images_per_second seconds rss_bytes validation/bits_per_dim \
    validation/out/flat/auroc_nll validation/out/flat/auroc_last; do
    json last.json "$key" >value || fail "$key is missing in the log"
    grep -q '^-\{0,1\}[0-9]' value || fail "$key is no number: $(cat value)"
done
expect_equal 'the last step' "$(json last.json step)" 50
expect_equal 'images at the end' "$(json last.json images)" 400
awk -v a="$(json first.json bits_per_dim)" -v b="$(json last.json bits_per_dim)" \
    'BEGIN { exit !(b < a - 0.2) }' || fail 'training does not improve'
awk -v t="$(json last.json bits_per_dim)" -v a="$(json last.json bits_per_dim_scale0)" \
    -v b="$(json last.json bits_per_dim_scale1)" \
    'BEGIN { d = 8 + a + b - t; exit !(d < 1e-6 && d > -1e-6) }' ||
    fail 'the scales do not sum to bits/dim'
run 0 inspect a.model --train
expect_out '^training '
expect_out '"images_seen":400'
expect_out '"command":"outflow train --data synthetic:shapes:60'
run 0 score -m a.model synthetic:shapes:3

# ---- threads change nothing
base="--data synthetic:shapes:50 $small --images 240 --flip --shift 0.1 --zoom 0.2 --color 0.2 \
    --ema 0.95 --warmup 5"
# shellcheck disable=SC2086
{
    run 0 train $base --out one.model --threads 1
    run 0 train $base --out two.model --threads 2
}
expect_equal 'weights of two threads' "$(weights two.model)" "$(weights one.model)"

# ---- killed at random moments, and resumed: bit for bit the same weights and figures
# shellcheck disable=SC2086
run 0 train $base --out whole.model --log whole.jsonl --log-every 7
kills=0
for round in 1 2 3 4 5 6 7 8 9 10; do
    # shellcheck disable=SC2086
    "$program" train $base --out cut.model --log cut.jsonl --log-every 7 --resume \
        --checkpoint-every 0 >"$out" 2>"$err" &
    child=$!
    sleep "0.$(((round * 37 + $$ % 50) % 60 + 10))"
    if kill -KILL "$child" 2>/dev/null; then kills=$((kills + 1)); fi
    wait "$child" 2>/dev/null
done
[ "$kills" -ge 3 ] || echo "note: only $kills of 10 runs were long enough to be killed"
# shellcheck disable=SC2086
run 0 train $base --out cut.model --log cut.jsonl --log-every 7 --resume
expect_equal 'weights after kills' "$(weights cut.model)" "$(weights whole.model)"
expect_equal 'weights of one and the same run' "$(weights cut.model)" "$(weights one.model)"
figures() {
    sed 's/"images_per_second.*//' "$1"
}
expect_equal 'figures after kills' "$(figures cut.jsonl)" "$(figures whole.jsonl)"

# ---- Ctrl-C: a checkpoint, exit code 0, a word about how to go on
long="--data synthetic:shapes:50 --steps 1 --hidden 8 --batch 8 --scales 2 --size 16x16"
resume=
for signal in INT TERM; do
    command="outflow train $resume (signal $signal)"
    # shellcheck disable=SC2086
    timeout --preserve-status -s "$signal" 2 "$program" train $long --images 100000000 \
        --out signal.model $resume >"$out" 2>"$err"
    check_code 0 $?
    expect_err 'interrupted after [1-9]'
    expect_err 'signal.model.checkpoint: go on with the same command and --resume'
    expect_no_file signal.model
    resume=--resume
done
expect_err 'resumed at step [1-9]'

# ---- a finished run goes on with more images, as if it had been asked for them at once
# shellcheck disable=SC2086
{
    run 0 train --data synthetic:shapes:50 $small --images 80 --out more.model
    run 0 train --data synthetic:shapes:50 $small --images 160 --out more.model --resume
    run 0 train --data synthetic:shapes:50 $small --images 160 --out once.model
}
expect_equal 'weights in two parts' "$(weights more.model)" "$(weights once.model)"
# shellcheck disable=SC2086
run 0 train --data synthetic:shapes:50 $small --images 168 --out more.model --resume --isa scalar
if [ "$("$program" cpu | awk '$1 == "chosen" {print $2}')" != scalar ]; then
    expect_err 'warning: the run was made with another instruction set than scalar'
fi

# ---- time ends the run: the rate falls over it, and one too short for a step writes nothing
# shellcheck disable=SC2086
run 0 train --data synthetic:shapes:50 $small --minutes 0.02 --schedule cosine --out timed.model \
    --log timed.jsonl --log-every 1
head -n 1 timed.jsonl >first.json
tail -n 1 timed.jsonl >last.json
awk -v a="$(json first.json lr)" -v b="$(json last.json lr)" 'BEGIN { exit !(b < a / 2) }' ||
    fail 'the rate does not fall over the time'
# shellcheck disable=SC2086
expect_failure 1 'over before the first step.*see --minutes' train --data synthetic:shapes:50 $small \
    --minutes 0.000001 --out short.model

# ---- from a general model, with the outlier losses
# shellcheck disable=SC2086
run 0 train --data synthetic:general:60 $small --images 160 --lr 0.005 --out general.model
for loss in ratio margin; do
    run 0 train --data synthetic:shapes:40 --init general.model --general-data synthetic:general:60 \
        --general-model general.model --outlier-loss $loss --batch 8 --images 240 --lr 0.005 \
        --valid synthetic:shapes:20 --out-of general=synthetic:general:40 --patience 5 \
        --valid-every 80 --quiet --out $loss.model --log $loss.jsonl --log-every 5
    tail -n 1 $loss.jsonl >last.json
    head -n 1 $loss.jsonl >first.json
    awk -v a="$(json first.json outlier_loss)" -v b="$(json last.json outlier_loss)" \
        'BEGIN { exit !(b < a) }' || fail "the $loss loss does not fall"
    json last.json validation/out/general/auroc_ratio >value || fail 'no AUROC of the ratio'
done

# ---- early stopping: no learning, no improvement
# shellcheck disable=SC2086
run 0 train --data synthetic:shapes:20 --init general.model --images 100000 --lr 1e-12 --batch 8 \
    --valid synthetic:shapes:10 --valid-every 8 --patience 2 --weight-decay 0 --out early.model
expect_err 'stopped early after [1-9]'

# ---- every kind of model
kind() {
    name=$1
    shift
    run 0 train --out "$name.model" --log "$name.jsonl" --log-every 15 --batch 8 --steps 1 \
        --hidden 8 --lr 0.003 --quiet "$@"
    head -n 1 "$name.jsonl" >first.json
    tail -n 1 "$name.jsonl" >last.json
    awk -v a="$(json first.json loss)" -v b="$(json last.json loss)" \
        'BEGIN { exit !(b < a) }' || fail "$name does not improve"
}
kind grey --data synthetic:digits:40 --channels 1 --size 16 --scales 2 --images 480
kind wide --data synthetic:textures:20 --size 64x64 --scales 2 --images 360 --optimizer adam
kind patches --data synthetic:shapes:40 --family patch-glow --size 16 --images 480
kind dense --data synthetic:shapes:40 --block dense --size 8 --scales 2 --images 480 --ema 0.9
kind additive --data synthetic:shapes:40 --coupling additive --permutation shuffle --size 16 \
    --scales 2 --images 480 --optimizer adamw --schedule cosine
kind plain --data synthetic:shapes:40 --mixing plain --size 16 --scales 2 --images 480
kind classes --data synthetic:shapes:40 --class-conditional --size 16 --scales 2 --images 480
kind labels --data synthetic:shapes:40 --class-conditional --init general.model --images 480 \
    --general-model general.model
run 0 inspect classes.model
expect_out 'classes *10'

# ---- what other implementations do otherwise is trained, and --init takes it up
variant() {
    shown=$1
    shift
    run 0 train --data synthetic:shapes:40 --size 16 --scales 2 --steps 1 --hidden 8 \
        --batch 8 --images 80 --out variant.model --overwrite --quiet "$@"
    run 0 inspect variant.model
    expect_out "^$shown"
    run 0 train --data synthetic:shapes:40 --init variant.model --images 16 --batch 8 \
        --quiet --out again.model --overwrite
    run 0 inspect again.model
    expect_out "^$shown"
}
variant 'split prior  *conv$' --split-prior conv
variant 'latents  *second$' --latents second
variant 'scale map  *exp$' --scale-map exp
variant 'scale map  *sigmoid_inverse$' --scale-map sigmoid_inverse
variant 'scale map  *tanh$' --scale-map tanh
variant 'shift  *after$' --coupling-shift after
variant 'input  *5 bits, scale 0.03125, shift -0.484375, bin 0.03125$' --input-bits 5
variant 'edges *conv1 conv3$' --edges conv3 --edges conv1
variant 'network input  *affine-relu$' --net-input affine-relu
variant 'leak  *0.1$' --leak 0.1
variant 'closing map  *yes$' --closing

# ---- sets beyond the cache lie in a file, and give the same weights
# shellcheck disable=SC2086
run 0 train $base --out file.model --cache 10K
expect_equal 'weights from a file' "$(weights file.model)" "$(weights one.model)"
finish
