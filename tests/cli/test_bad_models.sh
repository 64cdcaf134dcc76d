# SPDX-License-Identifier: Apache-2.0
# Damaged weight files and pairs that do not fit: one line, exit 1, no output, for every verb.
. "$(dirname "$0")/lib.sh"

make_model good.model 1 3 16 16 2 2 8
make_model small.model 1 3 8 8 2 2 8
make_model grey.model 1 1 16 16 2 2 8

# refuses FILE PATTERN
refuses() {
    expect_failure 1 "$1.*$2" score -m "$1" synthetic:noise --limit 2 --out o.csv
    expect_failure 1 "$1.*$2" score -m good.model -g "$1" synthetic:noise --limit 2 --out o.csv
    expect_failure 1 "$1.*$2" eval -m "$1" --in synthetic:noise --out-of f=synthetic:flat \
        --limit 2 --json o.json
    expect_failure 1 "$1.*$2" inspect "$1"
    expect_failure 1 "$1.*$2" sample -m "$1" --out o.png
}

for how in overlap misname missing shape nan infinity family; do
    "$helpers/corrupt_model" $how good.model $how.model || fail "corrupt_model $how"
done
refuses overlap.model 'overlap'
refuses misname.model 'Xcales\|missing'
refuses missing.model 'tensor'
refuses shape.model 'shape'
refuses nan.model 'finite'
refuses infinity.model 'finite'
refuses family.model 'family'

size=$(wc -c <good.model)
for kept in 0 7 8 100 $((size / 2)) $((size - 1)); do
    head -c "$kept" good.model >truncated.model
    refuses truncated.model ''
done
{
    cat good.model
    printf 'more'
} >longer.model
refuses longer.model ''

# One bit of a weight that a disk turned: the last byte but two, where a float stays finite.
cp good.model turned.model
byte=$(tail -c 3 good.model | od -An -tu1 -N1 | tr -d ' ')
printf "$(printf '\\%03o' $((byte ^ 1)))" |
    dd of=turned.model bs=1 seek=$((size - 3)) conv=notrunc 2>"$log/dd"
refuses turned.model 'damaged'
expect_failure 1 'turned.model.*damaged' train --init turned.model --data synthetic:noise --steps 1 \
    --out t.model
# A file of before there were hashes has none, and is taken as it is.
sed 's/"content_hash":"/"content_none":"/' turned.model >unhashed.model
run 0 inspect unhashed.model

printf '\000\000\000\000\000\000\000\020{}' >header-2-60.model
refuses header-2-60.model 'header'
printf '\377\377\377\377\377\377\377\377{}' >header-2-64.model
refuses header-2-64.model 'header'
{
    printf '\002\000\000\000\000\000\000\000{}'
} >no-architecture.model
refuses no-architecture.model ''
head -c 4096 /dev/zero >zeros.model
refuses zeros.model ''
echo 'not a model at all, but long enough to have a header length' >text.model
refuses text.model ''
mkdir folder.model
refuses folder.model ''
refuses no-such.model 'No such file'

expect_failure 1 '3x16x16.*3x8x8' score -m good.model -g small.model synthetic:noise -o o.csv
expect_failure 1 '3x16x16.*1x16x16' eval -m good.model -g grey.model --in synthetic:noise \
    --out-of f=synthetic:flat --json o.json
finish
