# SPDX-License-Identifier: Apache-2.0
# outflow clean: findings as CSV, a list of paths and a page; exit codes; what it refuses.
. "$(dirname "$0")/lib.sh"

make_model small.model 1 3 32 32 2 2 8

# Two kinds of stripes, 30 of each, as PGM; FILE KIND SEED.
image() {
    awk -v kind="$2" -v seed="$3" 'BEGIN {
        srand(seed); shift = int(rand() * 8)
        print "P2 32 32 255"
        for (y = 0; y < 32; y++) for (x = 0; x < 32; x++)
            print ((kind ? y : x) + shift) % 8 < 4 ? 60 + int(rand() * 40) : 160 + int(rand() * 40)
    }' >"$1"
}
mkdir -p set/across set/down
i=0
while [ $i -lt 30 ]; do
    image set/across/$i.pgm 0 $((1000 + i))
    image set/down/$i.pgm 1 $((2000 + i))
    i=$((i + 1))
done

# ---- a clean set
run 0 clean set
expect_equal 'a clean set' "$(cat "$out")" \
    'path,label,issue,p_value,suggested,duplicate_of,source,duplicate_source,notes'
expect_err '60 images of 2 classes'
expect_err 'nothing was found'

# ---- mistakes
cp set/across/3.pgm set/down/moved.pgm
image 'set/across/a "name", of two.pgm' 1 777
run 0 clean set --out found.csv --report found.html --list found.txt
expect_equal 'what stands first' "$(sed -n 2p found.csv)" \
    'down/moved.pgm,down,conflict,,,across/3.pgm,set,set,"same pixels, another label"'
grep -q '^"across/a ""name"", of two.pgm",across,misfiled,.*,down,,set,,$' found.csv ||
    fail 'the misfiled image is not in the CSV'
grep -qx 'across/a "name", of two.pgm' found.txt || fail 'the misfiled image is not in the list'
expect_equal 'conflicts in the list' "$(grep -c '^down/moved.pgm$' found.txt)" 1
grep -q 'data:image/png;base64,' found.html || fail 'the report has no pictures'
grep -q 'a &quot;name&quot;, of two.pgm' found.html || fail 'the report does not escape names'
run 0 clean set --model small.model --fdr 0.01
expect_out ',misfiled,'

# ---- classes that do not differ: nobody is accused, and suspects are listed only if asked for
mkdir -p alike/one alike/two
i=0
while [ $i -lt 25 ]; do
    image alike/one/$i.pgm 0 $((3000 + i))
    image alike/two/$i.pgm 0 $((4000 + i))
    i=$((i + 1))
done
run 0 clean alike --suspects 5
expect_equal 'misfiled ones' "$(grep -c ',misfiled,' "$out")" 0
expect_equal 'suspects' "$(grep -c ',suspect,' "$out")" 5

# ---- a second set, and what cannot be read
mkdir -p test/down
cp set/down/5.pgm test/down/seen.pgm
printf 'no image' >test/down/broken.png
run 3 clean set test
expect_out '^down/seen.pgm,down,leak,,,down/5.pgm,test,set,'
expect_out '^down/broken.png,,unreadable,'

# ---- an image list
for f in set/across/*.pgm set/down/?.pgm set/down/??.pgm; do
    label=${f#set/}
    case $f in *' '*) ;; *) echo "$f ${label%%/*}" ;; esac
done >list.txt
run 0 clean imglist:list.txt
expect_err '60 images of 2 classes'

# ---- too few, and nothing at all
run 0 clean test/down/seen.pgm
expect_err 'labels are not judged'
expect_failure 2 'one SRC' clean
expect_failure 1 'nowhere' clean nowhere --out x.csv

finish
