# SPDX-License-Identifier: Apache-2.0
# Nothing that is read, or that took hours to make, is replaced by mistake; what is passed over or
# squeezed is said.
. "$(dirname "$0")/lib.sh"

make_model in.model 1 3 16 16 2 2 8
make_model large.model 1 3 96 64 2 2 8
make_images in.model images 3
cp images/0.png one.png
tar -cf images.tar images
ln in.model same.model
mkdir kept
cp in.model one.png images.tar kept

# refuse PATTERN ARGUMENTS...: a usage error that leaves every input as it was
refuse() {
    pattern=$1
    shift
    expect_failure 2 "$pattern" "$@"
    for file in in.model one.png images.tar; do
        expect_same_files "$file" kept/$file
    done
}

# ---- outputs that are inputs
refuse 'out one.png is among the images to read' score -m in.model -o one.png one.png
refuse 'out ./images.tar is among' score -m in.model -o ./images.tar images.tar
refuse 'out images.tar is among' score -m in.model -o images.tar part:0-0.5:images.tar
refuse 'out in.model is the file of --model' score -m in.model -o in.model one.png
refuse 'out same.model is the file of --model' score -m in.model -o same.model one.png
refuse 'report in.model is the file of --general-model' score -m large.model -g in.model \
    --report in.model one.png
refuse 'json in.model is the file of --ensemble' eval -m large.model --ensemble in.model \
    --in one.png --out-of a=images.tar --json in.model
refuse 'figure images.tar is the file of --out-of' eval -m in.model --in one.png \
    --out-of a=images.tar --figure images.tar
refuse 'report images.tar is among' eval -m in.model --in one.png --report images.tar a=images.tar
refuse 'out in.model is the file of --model' sample -m in.model -o in.model
refuse 'log images.tar is the file of --data' train --data images.tar --out new.model \
    --log images.tar
refuse 'out in.model is the file of --init' train --data images.tar --init in.model \
    --out in.model --overwrite
refuse 'out in.model is the file of --model' calibrate -m in.model --data images.tar -o in.model

# ---- one file for two outputs, also before there is one
refuse 'json x is the file of --report' eval -m in.model --in one.png --out-of a=images.tar \
    --json x --report ./x
refuse 'out x is the file of --log' train --data images.tar --out x --log x
run 0 score -m in.model -o /dev/null --report /dev/null one.png
run 0 score -m in.model -o one.csv --report one.html images
expect_silent_or_summary() { ! grep -q 'warning' "$err" || fail 'there is a warning'; }
expect_silent_or_summary

# ---- weights that are there already
small='--data images.tar --steps 1 --hidden 8 --batch 2 --quiet'
# shellcheck disable=SC2086
{
    expect_failure 1 'in.model is there already: it is overwritten only if that is asked for; see --overwrite' train $small --images 4 \
        --out in.model
    expect_failure 1 'there already, without a checkpoint to resume from' train $small --images 4 \
        --out in.model --resume
    expect_same_files in.model kept/in.model
    run 0 train $small --images 4 --out in.model --overwrite
    if cmp -s in.model kept/in.model; then fail 'the weights were not replaced'; fi
    run 0 train $small --images 6 --out in.model --resume
}
cp kept/in.model in.model

# ---- every N-th image of those within --limit
run 0 score -m in.model --limit 10 -q synthetic:shapes
awk 'NR == 1 || (NR - 2) % 4 == 0' "$out" >expected.csv
run 0 score -m in.model --limit 10 --every 4 synthetic:shapes
expect_same_files "$out" expected.csv
expect_err '^outflow: 3 images'
run 0 eval -m in.model --in synthetic:shapes --out-of a=synthetic:flat --limit 21 --every 2 --json -
cp "$out" every.json
expect_equal 'images of the in set' "$(json every.json in/images)" 11

# ---- files of other kinds, large images
echo notes >images/notes.txt
cp images/0.png images/photo.psd
: >images/.hidden
run 0 score -m in.model -q images
expect_err 'warning: images: passed over 2 files that are no images by their names (.png'
expect_equal 'lines' "$(lines "$out")" 4
tar -cf more.tar images
run 0 score -m in.model -q more.tar
expect_err 'warning: more.tar: passed over 2 files'
run 0 score -m in.model -q part:0-1:more.tar
expect_err 'warning: part:0-1:more.tar: passed over 2 files'
run 0 sample -m large.model --count 1 --seed 1 --quiet --out large.png
run 0 score -m in.model large.png
expect_err 'warning: large.png: 1 of 1 images, up to 64x96 (large.png), were shrunk or squeezed to .* 16x16'
finish
