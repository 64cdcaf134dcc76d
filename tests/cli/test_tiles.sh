#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Pictures in tiles: outflow score, calibrate, eval and train with windows of large pictures.
. "$(dirname "$0")/lib.sh"

# expect WHAT CONDITION
expect() {
    checks=$((checks + 1))
    eval "$2" || fail "$1: not $2"
}

"$helpers/make_model" m.safetensors 1 3 32 32 3 1 8 || exit 1
"$helpers/make_textures" t 72 44 6 3 || exit 1

# field FILE ROW NAME: a CSV field by its column's name.
field() {
    awk -F, -v row="$2" -v name="$3" \
        'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i }
         NR == row + 1 { print $at }' "$1"
}

# ---- score ------------------------------------------------------------------------------------

run 0 score -m m.safetensors --tiles 32:16 t/test/good --tile-rows tiles.csv --out rows.csv
expect "a row for each picture" "[ $(wc -l <rows.csv) -eq 7 ]"
expect "16 windows of 72 x 72" "[ $(field rows.csv 1 tiles) -eq 16 ]"
expect "as large as asked" "[ $(field rows.csv 1 tile_width) -eq 32 ]"
expect "a row for each window" "[ $(wc -l <tiles.csv) -eq 97 ]"
expect "the last window ends with the picture" "[ $(field tiles.csv 16 x) -eq 40 ]"
expect "the picture's score is the largest" \
    "[ $(field rows.csv 1 nll) = $(awk -F, 'NR > 1 && $2 == "000.png" { print $8 }' tiles.csv |
        sort -g | tail -n 1) ]"

# The windows as images of their own score the same.
run 0 score -m m.safetensors tiles:32:16:t/test/good --out windows.csv
expect "as many images as windows" "[ $(wc -l <windows.csv) -eq 97 ]"
sed 's/"\([^,"]*\),\([^"]*\)"/\1;\2/' windows.csv >plain.csv # no comma in the names
expect "of the same score" "[ $(field plain.csv 7 nll) = $(field tiles.csv 7 nll) ]"
expect "named by their place" "grep -q '^\"000.png@40,16\"' windows.csv"
run 0 score -m m.safetensors "part:0-0.5:tiles:32:t/test/good" -q
run 0 score -m m.safetensors "tiles:32:part:0-0.5:t/test/good" -q

# Smaller pictures are enlarged, and that is said.
run 0 score -m m.safetensors --tiles 100 t/test/good --out small.csv
expect "said" "grep -q '6 of 6 pictures are smaller than a tile of 100' '$err'"
expect "one window each" "[ $(field small.csv 1 tiles) -eq 1 ]"

run 0 score -m m.safetensors --tiles 32 --limit 4 --every 2 t/test/good --format jsonl
expect "pictures are counted, not windows" "[ $(wc -l <"$out") -eq 2 ]"
run 0 score -m m.safetensors --tiles 32:32 t/test/patch --heatmaps maps --report r.html --out p.csv
expect "heat maps" "[ $(find maps -name '*.png' | wc -l) -eq 3 ]"
expect "tiles in the report" "grep -q '32 pixels, 32 apart' r.html"

# ---- what is refused --------------------------------------------------------------------------

for bad in 0 1:0 32:0 32:33 3 99999999 32: :16 32x32 -5 ''; do
    expect_failure 2 'see --tiles' score -m m.safetensors "--tiles=$bad" t/test/good
    expect_failure 2 'see --tiles' eval -m m.safetensors "--tiles=$bad" --in t/test/good o=t/test/blur
    expect_failure 2 'see --tiles' calibrate -m m.safetensors "--tiles=$bad" --data t/train --out c
done
expect_failure 1 'tiles of tiles' score -m m.safetensors --tiles 32 tiles:32:t/test/good
expect_failure 1 'tiles:SIZE' score -m m.safetensors tiles:32
expect_failure 1 'nothing to cut' score -m m.safetensors --tiles 32 synthetic:noise:3
expect_failure 1 'tile-rows needs --tiles' score -m m.safetensors --tile-rows x.csv t/test/good

# ---- calibrate --------------------------------------------------------------------------------

expect_failure 1 'standard input' calibrate -m m.safetensors --tiles 32:32 --data - --out c
expect_failure 1 'too few' calibrate -m m.safetensors --tiles 32:32 --data t/train --limit 19 --out c
run 0 calibrate -m m.safetensors --tiles 32:32 --data t/train --out c.safetensors
expect "pictures are counted" "grep -q '^44 pictures in tiles of 32 pixels, 32 apart' '$out'"
run 0 score -m c.safetensors t/test/good t/test/stain --fpr 0.1 --out c.csv
expect "the tiling is known" "[ $(field c.csv 1 tiles) -eq 9 ]"
expect "a bound from windows" "[ -n \"$(field c.csv 1 p_bonferroni)\" ]"
expect "shares of windows" "[ -n \"$(field c.csv 1 tiles_flagged)\" ]"
expect_failure 1 'calibrated on tiles of 32 pixels, 32 apart' \
    score -m c.safetensors --tiles 32:16 t/test/good --fpr 0.1
run 0 score -m c.safetensors --tiles 32:16 t/test/good --out w.csv
expect "another tiling is warned of" "grep -q 'no p-values.*calibrated on tiles' '$err'"
run 0 score -m c.safetensors --tiles off t/test/good --out off.csv
expect "no tiles" "! grep -q 'tile_width' off.csv"

# ---- eval with masks --------------------------------------------------------------------------

run 0 eval -m c.safetensors --in t/test/good --out-of patch=t/test/patch \
    --out-of stain=t/test/stain --masks t/masks --json e.json --report e.html
expect "pixels of every set" "[ $(grep -c aupro e.json) -eq 3 ]"
expect "3 pictures with masks" "grep -A 4 '\"stain\": {' e.json | grep -q '\"pictures\": 3'"
run 0 eval -m m.safetensors --in t/test/good --out-of stain=t/test/stain --masks t/masks --json w.json
expect "without tiles as well" "grep -q aupro w.json"
mkdir none
expect_failure 1 'no mask' eval -m c.safetensors --in t/test/good o=t/test/blur --masks none
cp -r t/masks wrong
cp t/masks/blur/000.png wrong/stain/000.png
"$helpers/make_textures" u 80 0 0 1 || exit 1
cp u/masks/stain/000.png wrong/stain/001.png
expect_failure 1 'this mask has 80x80' eval -m c.safetensors --in t/test/good \
    stain=t/test/stain --masks wrong

# ---- train ------------------------------------------------------------------------------------

run 0 train --data tiles:32:t/train --out trained.safetensors --size 32x32 --scales 2 --steps 1 \
    --hidden 8 --images 320 --batch 32 -q
run 0 score -m trained.safetensors --tiles 32 t/test/good -q

finish
