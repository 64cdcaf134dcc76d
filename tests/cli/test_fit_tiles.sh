#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# outflow fit with tiles, and what it needs: random windows as a source.
. "$(dirname "$0")/lib.sh"

# expect WHAT CONDITION
expect() {
    checks=$((checks + 1))
    eval "$2" || fail "$1: not $2"
}

make_model general.model 1 3 32 32 1 1 8
"$helpers/make_textures" t 72 30 4 3 || exit 1
base="--general-model general.model --threads 2 --images 64"

# ---- windows at random places -----------------------------------------------------------------

run 0 score -m general.model windows:32:6:t/test/good --format csv --out a.csv
expect 'six of each picture' "[ $(wc -l <a.csv) -eq 25 ]"
run 0 score -m general.model windows:32:6:t/test/good --format csv --out b.csv --threads 1
expect 'the same again' 'cmp a.csv b.csv'
run 0 score -m general.model windows:32:6:t/test/good --format csv --out c.csv --seed 1
expect 'others by another seed' '! cmp -s a.csv c.csv'
mkdir one && cp t/test/good/002.png one/
run 0 score -m general.model windows:32:6:one --format csv --out d.csv
expect 'a place depends on its picture alone' \
    "[ \"$(grep '002.png' a.csv)\" = \"$(grep '002.png' d.csv)\" ]"
run 0 score -m general.model windows:32:t/test/good --format csv --out e.csv
expect 'sixteen without a number' "[ $(wc -l <e.csv) -eq 65 ]"
for bad in 3:5:t/test/good 32:0:t/test/good 32:1000001:t/test/good 32:5: 32 t; do
    expect_failure 1 'windows:' score -m general.model "windows:$bad"
done
run 1 score -m general.model windows:32:tiles:32:t
expect_error 'tiles of tiles'
run 1 score -m general.model --tiles 32 windows:32:t/test/good
expect_error 'tiles of tiles'
run 0 train --data windows:32:8:t/train --out w.model --images 32 --batch 8 --scales 1 --steps 1 \
    --hidden 8 --seed 3 --size 32x32
run 0 train --data windows:32:8:t/train --out v.model --images 32 --batch 8 --scales 1 --steps 1 \
    --hidden 8 --seed 3 --size 32x32 --threads 1
"$helpers/weights" w.model >w.txt
"$helpers/weights" v.model >v.txt
expect 'training repeats bit for bit' 'cmp w.txt v.txt'

# ---- the plan ---------------------------------------------------------------------------------

# shellcheck disable=SC2086
run 0 fit t/train $base --out d.model --dry-run
expect_err 'look like textures'
expect_err 'windows of 32 pixels, 16 apart, in their own size; --tiles none'
expect_err 'parts: 10 pictures to learn from, by about .* windows .* 20 whole pictures'
# shellcheck disable=SC2086
run 0 fit t/train $base --out d.model --dry-run --tiles none
expect 'no tiles' "! grep -q 'tiles: \|windows' '$err'"
mkdir few && cp t/train/00?.png t/train/01?.png t/train/020.png few/
# shellcheck disable=SC2086
run 0 fit few $base --out d.model --dry-run
expect_err 'tiles would show what is smaller, but take more pictures: 24'
# shellcheck disable=SC2086
expect_failure 1 'tiles need 24 different pictures' fit few $base --out d.model --tiles 32
# shellcheck disable=SC2086
expect_failure 1 'tiles need a folder of image files' fit synthetic:shapes:60 $base --out d.model \
    --tiles 32
expect_failure 2 'see --tiles' fit t/train --out d.model --tiles 32:33

# Of a rate that takes more pictures than there are, whole ones are left.
# shellcheck disable=SC2086
run 0 fit t/train $base --out d.model --dry-run --fpr 0.02
expect_err 'more for a low rate'
# shellcheck disable=SC2086
expect_failure 1 'a rate of 0.02 needs 49 pictures' fit t/train $base --out d.model --fpr 0.02 --tiles 32

# Scoring tiles takes time: where it is short, they do not overlap, and what it takes is said.
"$helpers/make_textures" wide 288 30 0 0 || exit 1
run 0 fit wide/train --general-model cifar10-general --threads 1 --minutes 0.1 --out d.model --dry-run
expect_err 'windows of 32 pixels, 32 apart'
expect 'more than was wished for' "! grep -q 'takes about 0.1 minutes' '$err'"

# ---- a detector -------------------------------------------------------------------------------

# shellcheck disable=SC2086
run 0 fit t/train $base --out d.model
expect_no_file d.model.work
expect 'tiles are settings' "grep -q '\"tiles\": \"32:16\"' d.model.settings.json"
expect 'tiles in the report' "grep -q '32 pixels, 16 apart' d.model.html"
expect_err 'degraded'
run 0 inspect d.model
expect_out 't/train (held out)'
rm general.model
run 0 score --model d.model t/test/good t/test/stain --format csv --out rows.csv
expect 'a row for each picture' "[ $(wc -l <rows.csv) -eq 8 ]"
expect 'tiles by themselves' "head -n 1 rows.csv | grep -q ',tiles,tile_height,'"
expect 'and p-values' "head -n 1 rows.csv | grep -q 'tiles_flagged'"
if "$program" serve --help >/dev/null 2>&1; then
    run 1 serve --model d.model --port 0
    expect_error 'cuts pictures into tiles, which is not served'
fi
run 1 score --model d.model --tiles 16 t/test/good --fpr 0.05
expect_error 'calibrate again'

# ---- a run that is killed goes on ---------------------------------------------------------------

make_model general.model 1 3 32 32 1 1 8
# shellcheck disable=SC2086
run 0 fit t/train $base --out e.model
# shellcheck disable=SC2086
"$program" fit t/train $base --out f.model >/dev/null 2>&1 &
killed=$!
while [ ! -e f.model.work/state.json ] && kill -0 $killed 2>/dev/null; do sleep 0.01; done
kill -9 $killed
wait $killed 2>/dev/null
# shellcheck disable=SC2086
run 0 fit t/train $base --out f.model --resume
"$helpers/weights" e.model >e.txt
"$helpers/weights" f.model >f.txt
expect 'as if it had not been killed' 'cmp e.txt f.txt'

# ---- what is said of a picture in tiles is what is said of a whole one --------------------------

# 64 x 40 pixels of grey
mkdir grey
{ printf 'P5\n64 40\n255\n'; head -c 2560 /dev/zero | tr '\0' 'g'; } >grey/a.pgm
run 0 score --model d.model grey --format csv --out grey.csv
expect 'its notes' "grep -q 'grey to colour' grey.csv"
expect_err '1 of 1 images are grey and were made colour'
finish
