# SPDX-License-Identifier: Apache-2.0
# outflow train: sets of several sources, their shares, images that are held out.
. "$(dirname "$0")/lib.sh"

tiny='--steps 1 --hidden 8 --batch 8 --scales 2 --size 16x16 --quiet'
small="$tiny --images 96"

weights() {
    "$helpers/weights" "$1" 2>&1
}

# train NAME ARGUMENTS...
train() {
    name=$1
    shift
    # shellcheck disable=SC2086
    run 0 train $small --out "$name.model" "$@"
}

# ---- several sources, in their order
train pair --data synthetic:shapes:40 --data synthetic:digits:30
train again --data synthetic:shapes:40 --data synthetic:digits:30
train turned --data synthetic:digits:30 --data synthetic:shapes:40
expect_equal 'weights of the same run' "$(weights again.model)" "$(weights pair.model)"
[ "$(weights turned.model)" != "$(weights pair.model)" ] || fail 'the order of sources is nothing'
run 0 inspect pair.model
expect_out '"sources":\[{"source":"synthetic:shapes:40"},{"source":"synthetic:digits:30"}\],"images":70'

# ---- a checkpoint knows its sources
# shellcheck disable=SC2086
{
    expect_failure 1 'data=70 images.* there' train $small --out pair.model --resume \
        --data synthetic:shapes:40 --data synthetic:digits:31
    expect_failure 1 'data=70 images.* there' train $small --out pair.model --resume \
        --data synthetic:digits:30 --data synthetic:shapes:40
    expect_failure 1 'data-share-1' train $small --out pair.model --resume \
        --data synthetic:shapes:40 --data synthetic:digits:30 --data-share 1 --data-share 1
}

# ---- shares: interrupted and resumed, the same bits
shares="--data synthetic:shapes:40 --data synthetic:digits:6 --data-share 1 --data-share 2.5"
# shellcheck disable=SC2086
{
    train shares $shares --flip --shift 0.1
    run 0 train $tiny --images 40 $shares --flip --shift 0.1 --out cut.model
    train cut $shares --flip --shift 0.1 --resume
}
expect_equal 'weights after a resume' "$(weights cut.model)" "$(weights shares.model)"
[ "$(weights shares.model)" != "$(weights pair.model)" ] || fail 'shares change nothing'
# shellcheck disable=SC2086
expect_failure 1 "1=1, images up to 40' there, '2, images up to 40' here" train $small --resume \
    --out cut.model --data synthetic:shapes:40 --data synthetic:digits:6 --data-share 2 \
    --data-share 2.5 --flip --shift 0.1

# ---- a general set of several sources
train general --data synthetic:general:60 --data synthetic:stripes:30
train in --data synthetic:shapes:40 --init general.model --outlier-loss ratio \
    --general-model general.model --general-data synthetic:general:60 \
    --general-data synthetic:stripes:30 --general-share 1 --general-share 1
run 0 inspect in.model
expect_out '"general_data":{"sources":\[{"source":"synthetic:general:60","share":1}'

# ---- classes by their names: digits of two sources are ten classes
train classes --class-conditional --data synthetic:digits:60 --data part:0-0.5:synthetic:digits:300
run 0 inspect classes.model
expect_out '"classes":\["[0-9]"\(,"[0-9]"\)\{9\}\]'

# ---- held-out images: the same as the parts given by name, and never trained on
train held --data synthetic:shapes:80 --data synthetic:digits:40 --hold-out 0.25
train named --data part:0.25-1:synthetic:shapes:80 --data part:0.25-1:synthetic:digits:40 \
    --valid part:0-0.25:synthetic:shapes:80 --valid part:0-0.25:synthetic:digits:40
expect_equal 'weights with --hold-out' "$(weights held.model)" "$(weights named.model)"
run 0 inspect held.model
expect_out '"source":"part:0.25-1:synthetic:shapes:80"'
run 0 score -m held.model synthetic:shapes:80
grep -c . "$out" >whole.lines
run 0 score -m held.model part:0-0.25:synthetic:shapes:80
sed 1d "$out" | cut -d, -f1 | sort >held.list
run 0 score -m held.model part:0.25-1:synthetic:shapes:80
sed 1d "$out" | cut -d, -f1 | sort >kept.list
expect_equal 'images in both parts' "$(comm -12 held.list kept.list | grep -c .)" 0
expect_equal 'images of the parts' "$(($(lines held.list) + $(lines kept.list) + 1))" \
    "$(cat whole.lines)"
run 0 eval -m held.model --in part:0-0.25:synthetic:shapes:80 --out-of x=synthetic:flat:20 --json -
cp "$out" eval.json
expect_equal 'held-out images of eval' "$(json eval.json in/images)" "$(lines held.list)"

# ---- the record of a run is a command that a shell reads back
train 'with blank' --data synthetic:shapes:40
run 0 inspect 'with blank.model'
expect_out "\"command\":\"outflow train .*--out 'with blank.model' --data synthetic:shapes:40\""

# ---- what does not go together
bad() {
    pattern=$1
    shift
    expect_failure 2 "$pattern" train --out bad.model "$@"
}
bad 'data-share is given 1 times, and there are 2 sources of --data' --data synthetic:shapes \
    --data synthetic:digits --data-share 1
bad "data-share: '0' is not a number" --data synthetic:shapes --data-share 0
bad "data-share: 'inf' is not a number" --data synthetic:shapes --data-share inf
bad "general-share: 'much' is not a number" --data synthetic:shapes --outlier-loss margin \
    --general-data synthetic:general --general-share much
bad '2 sources of --general-data' --data synthetic:shapes --outlier-loss margin \
    --general-data synthetic:general --general-data synthetic:flat --general-share 1
bad 'exclude each other' --data synthetic:shapes --hold-out 0.1 --valid synthetic:shapes
bad 'hold-out' --data synthetic:shapes --hold-out 1
bad 'cannot divide' --data - --hold-out 0.1
bad 'cannot divide' --data part:0-0.5:synthetic:shapes --hold-out 0.1
bad 'one set only' --data - --data -
# shellcheck disable=SC2086
{
    expect_failure 1 'less than one image' train $small --out bad.model --data synthetic:shapes:40 \
        --data synthetic:digits:6 --data-share 1 --data-share 0.0001
    expect_failure 1 'no-such-file' train $small --out bad.model --data synthetic:shapes:40 \
        --data no-such-file
    expect_failure 1 'noise:9: .*has no label' train $small --out bad.model --class-conditional \
        --data synthetic:shapes:40 --data synthetic:noise:9
}
expect_failure 1 'expected part:FROM-TO:SRC' score -m held.model part:0.1:synthetic:shapes
expect_failure 1 'no part of a list' score -m held.model part:0-0.1:-
finish
