# SPDX-License-Identifier: Apache-2.0
# outflow train: what it refuses, and that nothing is lost by it.
. "$(dirname "$0")/lib.sh"

small='--steps 1 --hidden 8 --batch 8 --scales 2 --size 16x16 --quiet'
make_model model.model 1 3 16 16 2 1 8
make_model grey.model 2 1 16 16 2 1 8
make_images model.model one 1
make_images model.model unlabelled 3

# ---- usage
expect_failure 2 'option --data SRC is required' train --out a.model
expect_failure 2 'option --out FILE is required' train --data synthetic:shapes
expect_failure 2 "'photos' is no option" train photos --data synthetic:shapes --out a.model
bad() {
    pattern=$1
    shift
    expect_failure 2 "$pattern" train --data synthetic:shapes:9 --out a.model "$@"
}
bad 'lr' --lr 0
bad 'lr' --lr nan
bad 'batch' --batch 0
bad 'shift' --shift 0.6
bad 'ema' --ema 1
bad 'split-prior' --split-prior dense
bad 'latents' --latents third
bad 'scale-map' --scale-map softplus
bad 'coupling-shift' --coupling-shift 0.1
bad 'input-bits' --input-bits 9
bad 'net-input' --net-input relu
bad 'leak' --leak 1
bad 'optimizer' --optimizer sgd
bad "'12Q' is not a size" --memory 12Q
bad 'channels: 2 is neither' --channels 2
bad 'outlier loss needs .*see --general-data' --outlier-loss margin
bad 'ratio loss needs .*see --general-model' --outlier-loss ratio --general-data synthetic:general
bad 'a set of general images is of no use .*see --outlier-loss' --general-data synthetic:general
bad 'a general model is of no use' --general-model model.model
bad 'a temperature is of no use' --temperature 10
bad 'a weight of the outlier loss is of no use' --outlier-weight 10
bad 'patience needs .*see --valid' --patience 3
bad 'a set of outliers needs .*see --valid' --out-of a=synthetic:flat
bad "not of the form NAME=SRC" --valid synthetic:flat --out-of flat
bad 'patience needs .*see --out-of' --valid synthetic:flat --patience 2 --outlier-loss margin \
    --general-data synthetic:general
bad 'exclude each other' --resume --overwrite
bad "one set only" --valid - --out-of a=-
expect_failure 1 "'16x' is not a size" train --data synthetic:shapes:9 --out a.model --size 16x
expect_failure 1 "option --edges: unknown edge 'conv2'" train --data synthetic:shapes:9 --out a.model \
    --edges conv2
expect_failure 1 'split_prior is of convolutions' train --data synthetic:shapes:9 --out a.model \
    --block dense --split-prior conv
expect_failure 1 'scale_map is of affine couplings' train --data synthetic:shapes:9 --out a.model \
    --coupling additive --scale-map exp
expect_failure 1 'edges: split needs split_prior conv' train --data synthetic:shapes:9 \
    --out a.model --edges conv1 --edges split
expect_failure 1 'model.model has another architecture' train --data synthetic:shapes:9 \
    --out a.model --init model.model --latents second
expect_failure 1 'divisible\|multiple' train --data synthetic:shapes:9 --out a.model --size 18x18

# ---- data
mkdir empty
# shellcheck disable=SC2086
{
    expect_failure 1 'empty' train --data empty $small --out a.model
    expect_failure 1 'no-such-file' train --data no-such-file $small --out a.model
    expect_failure 1 'at least two images' train --data one $small --out a.model
    expect_failure 1 'has no label' train --data unlabelled $small --class-conditional --out a.model
    expect_failure 1 'smaller than 32 x 32' train --data unlabelled --size 64 --out a.model -q \
        --channels 3 --strict
    expect_failure 1 'standard input cannot be looked at' train --data - $small --out a.model
}
run 1 train --data unlabelled --size 64 --out a.model -q
expect_error 'none of its 3 images can be used; the first: .*smaller than 32 x 32'
run 0 train --data unlabelled --size 32 --scales 2 --steps 1 --hidden 8 --images 8 --batch 4 \
    --out enlarged.model -q
echo text >unlabelled/text.png
run 3 train --data unlabelled --size 16 --scales 2 --steps 1 --hidden 8 --images 8 --batch 4 \
    --out some.model -q
expect_err 'warning: text.png: '
for number in 1 2 3 4 5 6 7 8 9 10 11; do
    echo text >"unlabelled/text$number.png"
done
run 3 train --data unlabelled --valid synthetic:shapes:9 --size 16 --scales 2 --steps 1 \
    --hidden 8 --images 8 --batch 4 --out more.model -q
expect_equal 'warnings' "$(grep -c 'warning: unlabelled: text[0-9]*.png: ' "$err")" 10
expect_err 'warning: unlabelled: ... and 2 more$'
rm -f unlabelled/text[1-9]*.png more.model*
rm -f enlarged.model* some.model*

# ---- models
# shellcheck disable=SC2086
{
    expect_failure 1 'another architecture' train --data synthetic:shapes:9 --init model.model \
        --hidden 16 --out a.model
    expect_failure 1 'general model of 1x16x16' train --data synthetic:shapes:9 $small \
        --general-data synthetic:general:9 --general-model grey.model --outlier-loss ratio \
        --out a.model
    expect_failure 1 'no-such-file' train --data synthetic:shapes:9 --init no-such-file --out a.model
}

# ---- outputs that cannot be written are noticed before anything else
expect_failure 1 'nowhere/a.model' train --data no-such-file --size 16 --channels 3 --scales 2 \
    --out nowhere/a.model
expect_failure 1 'nowhere/log' train --data no-such-file --size 16 --channels 3 --scales 2 \
    --out a.model --log nowhere/log

# ---- checkpoints
start="--data synthetic:shapes:30 $small"
# shellcheck disable=SC2086
run 0 train $start --images 80 --out a.model
cp a.model.checkpoint kept.checkpoint
# refuse PATTERN ARGUMENTS...: fails, and leaves the checkpoint as it was
refuse() {
    cp a.model.checkpoint before.checkpoint
    pattern=$1
    shift
    expect_failure 1 "$pattern" train --out a.model "$@"
    expect_same_files a.model.checkpoint before.checkpoint
}
# shellcheck disable=SC2086
{
    refuse 'is there already: go on from it, or let it be overwritten; see --resume' $start --images 160
    refuse "'lr=0.0005.*' there, '0.25' here" $start --resume --images 160 --lr 0.25
    refuse "'warmup=0' there, '3' here" $start --resume --images 160 --warmup 3
    refuse 'data=30 images.* there' $start --limit 29 --resume --images 160
    refuse 'another architecture' --data synthetic:shapes:30 --steps 1 --hidden 9 --batch 8 \
        --scales 2 --size 16x16 --quiet --resume --images 160
    refuse "flip=0' there, '1' here" $start --flip --resume --images 160
    refuse "zoom=0' there, '0.2.*' here" $start --zoom 0.2 --resume --images 160
    refuse "color=0' there, '0.5' here" $start --color 0.5 --resume --images 160
}
cut() { # to this many bytes
    head -c "$1" kept.checkpoint >a.model.checkpoint
    # shellcheck disable=SC2086
    refuse 'a.model.checkpoint: ' $start --resume --images 160
}
size=$(wc -c <kept.checkpoint)
cut 0
cut 7
cut 100
cut $((size / 2))
cut $((size - 1))
cp model.model a.model.checkpoint
# shellcheck disable=SC2086
refuse 'not a checkpoint' $start --resume --images 160
cp kept.checkpoint a.model.checkpoint
# shellcheck disable=SC2086
run 0 train $start --images 160 --out a.model --resume

# counters that no run has: refused, not counted up to
header_size=$(od -An -N 8 -t u8 a.model.checkpoint | tr -d ' ')
begin=$(tail -c +9 a.model.checkpoint | head -c "$header_size" |
    sed 's/.*"state.counters":{[^}]*"data_offsets":\[\([0-9]*\).*/\1/')
printf '\377\377\377\377\377\377\377\077' | # images
    dd of=a.model.checkpoint bs=1 seek=$((8 + header_size + begin + 8)) conv=notrunc 2>/dev/null
# shellcheck disable=SC2086
refuse 'damaged: its content is not what was written' $start --images 200 --resume \
    --valid synthetic:shapes:10
# the same in one from before there were hashes
sed 's/"content_hash":"/"content_none":"/' a.model.checkpoint >unhashed
mv unhashed a.model.checkpoint
# shellcheck disable=SC2086
refuse 'counters or figures are none of a run' $start --images 200 --resume \
    --valid synthetic:shapes:10

# ---- a disk that fills up: an error, and the previous checkpoint as it was
disk=$folder/disk
mkdir "$disk"
if mount -t tmpfs -o size=400k none "$disk" 2>/dev/null; then
    trap 'umount "$disk"; rm -rf "$folder" "$log"' EXIT
    # shellcheck disable=SC2086
    run 0 train $start --images 80 --out "$disk/a.model"
    rm "$disk/a.model" "$disk/a.model.settings.json"
    cp "$disk/a.model.checkpoint" before.checkpoint
    head -c 10000000 /dev/zero >"$disk/filler" 2>/dev/null
    # shellcheck disable=SC2086
    run 1 train $start --images 160 --out "$disk/a.model" --resume
    expect_error 'No space left on device'
    expect_same_files "$disk/a.model.checkpoint" before.checkpoint
    expect_equal 'what is left on the disk' "$(ls "$disk" | tr '\n' ' ')" \
        'a.model.checkpoint filler '

    # for a while only, and under the log: the run goes on until it is told to stop, far from its
    # end, so that however slow this script is the disk is full in the middle of the run
    rm "$disk"/*
    await() { # until standard error has this, or the run is over
        while ! grep -q "$1" "$err" && kill -0 $training 2>/dev/null; do sleep 0.02; done
    }
    # shellcheck disable=SC2086
    "$program" train $start --minutes 2 --out "$disk/a.model" --log "$disk/log" --log-every 1 \
        --checkpoint-every 0.05 >"$out" 2>"$err" &
    training=$!
    while [ ! -s "$disk/log" ] && kill -0 $training; do sleep 0.02; done
    head -c 10000000 /dev/zero >"$disk/filler" 2>/dev/null
    await 'training goes on without this log'
    await 'checkpoint before is kept'
    rm "$disk/filler"
    kill -TERM $training
    wait $training
    code=$?
    command='outflow train on a disk that is full for a while'
    check_code 143 $code
    expect_err 'training goes on without this log'
    expect_err 'checkpoint before is kept'
    expect_err "^outflow: error: cannot write $disk/log: No space left"
    # shellcheck disable=SC2086
    run 0 train $start --images 8 --out "$disk/a.model" --resume
    run 0 inspect "$disk/a.model"
else
    echo 'SKIPPED: the full disk: this user may not mount a tmpfs'
fi

# a log that cannot be written does not end a run, but is its failure at the end
if [ -c /dev/full ]; then
    # shellcheck disable=SC2086
    run 1 train $start --images 400 --out unlogged.model --log /dev/full --log-every 1
    expect_err 'training goes on without this log'
    expect_error 'cannot write /dev/full: No space left'
    run 0 inspect unlogged.model
fi

# ---- two runs of one output: the second is refused, resumed or not, and the first goes on
two="--data synthetic:shapes:60 $small --out two.model"
# shellcheck disable=SC2086
"$program" train $two --minutes 5 >"$log/first" 2>&1 </dev/null &
first=$!
for _ in $(seq 300); do
    [ -e two.model.checkpoint ] && break
    sleep 0.1
done
# shellcheck disable=SC2086
run 1 train $two --images 8 --resume
expect_error 'two.model.checkpoint: another run is writing it'
# shellcheck disable=SC2086
run 1 train $two --images 8 --overwrite
expect_error 'two.model.checkpoint: another run is writing it'
kill -TERM "$first"
wait "$first"
[ ! -e .two.model.checkpoint.lock ] || fail 'the lock of a run that ended is still there'
# shellcheck disable=SC2086
run 0 train $two --images 8 --overwrite

# ---- numbers that leave the finite ones: steps are skipped, counted, and end the run
wild="--data synthetic:noise:30 $small --lr 10 --clip 0 --out wild.model"
# shellcheck disable=SC2086
run 1 train $wild --images 100000 --checkpoint-every 0 --log wild.jsonl --log-every 1
expect_error 'not finite in 20 steps in a row.*see --lr'
expect_no_file wild.model
# shellcheck disable=SC2086
run 0 train $wild --images 8 --resume
run 0 score -m wild.model synthetic:noise:2
finish
