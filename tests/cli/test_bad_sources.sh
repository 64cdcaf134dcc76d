# SPDX-License-Identifier: Apache-2.0
# Sources with nothing to score: one error line, exit 1, no output.
. "$(dirname "$0")/lib.sh"

make_model in.model 1 3 16 16 2 2 8

# refuses SRC PATTERN
refuses() {
    expect_failure 1 "$2" score -m in.model "$1" --out o.csv
    expect_failure 1 "$2" eval -m in.model --in synthetic:noise --limit 5 --out-of "x=$1" \
        --json o.json
    run 1 score -m in.model "$1"
    expect_equal 'standard output' "$(lines "$out")" 0
}

refuses no-such-file.png 'no-such-file.png.*No such file'
refuses no-such-folder/ 'no-such-folder.*No such file'
refuses synthetic:nonsense 'nonsense'
expect_failure 1 '' score -m in.model ''

mkdir empty nothing-but-text
echo hello >nothing-but-text/readme.txt
refuses empty 'empty'
refuses nothing-but-text 'nothing-but-text'

tar -cf empty.tar -T /dev/null
refuses empty.tar 'empty.tar'
gzip -k empty.tar
refuses empty.tar.gz 'empty.tar.gz'
head -c 100 /dev/zero >damaged.zip
refuses damaged.zip 'damaged.zip'

echo 'this is text' >text.png
refuses text.png 'text.png'
: >zero.png
refuses zero.png 'zero.png'
: >zero.tar
refuses zero.tar 'zero.tar'
mkdir only-bad
cp text.png zero.png only-bad
refuses only-bad 'only-bad: no image could be read, 2 failed'

make_images in.model images 2
head -c 100 images/0.png >truncated.png
refuses truncated.png 'truncated.png'

# ---- an archive that breaks off: what came before counts
make_images in.model three 3
tar -cf three.tar three/0.png three/1.png three/2.png
size=$(wc -c <three/0.png)
member=$((512 + (size + 511) / 512 * 512))
head -c $((member + 600)) three.tar >cut.tar
[ "$size" -gt 100 ] || fail "an image of $size bytes does not fill the archive"
run 3 score -m in.model cut.tar --out cut.csv
expect_err 'warning: three/1.png: damaged archive: .*nothing after this can be read'
expect_err '1 image, 1 unreadable'
expect_equal 'rows' "$(lines cut.csv)" 2
rm cut.csv
expect_failure 1 'three/1.png: damaged archive' score -m in.model cut.tar --strict --out cut.csv
head -c 600 three.tar >cut.tar
refuses cut.tar 'cut.tar: damaged or not an archive'

# ---- what concerns one image is said once
run 1 score -m in.model text.png
expect_equal 'lines' "$(lines "$err")" 1
expect_error 'text.png: content is not a PNG'
run 3 score -m in.model text.png images
expect_err 'warning: text.png: content is not a PNG'

# A PNG header of 100,000 x 100,000 pixels is refused without allocating them.
{
    head -c 16 images/0.png
    printf '\000\001\206\240\000\001\206\240'
    tail -c +25 images/0.png
} >huge.png
refuses huge.png 'huge.png'

# ---- limits are the user's, and say so
expect_failure 1 'three.tar: unpacks to more than 1000 bytes; see --max-unpacked' \
    score -m in.model --max-unpacked 1000 three.tar --out o.csv
expect_failure 1 'over the limit of 255.*see --max-pixels' \
    score -m in.model --max-pixels 255 --strict images --out o.csv
expect_failure 1 'more than 1000 bytes to decode; see --max-bytes' \
    score -m in.model --max-bytes 1000 --strict images --out o.csv
run 0 score -m in.model --max-pixels 256 --max-bytes 2000000 --max-unpacked 20000 three.tar

printf 'no-such-1.png\nno-such-2.png\n' >list
command='outflow score - <list'
"$program" score -m in.model - --out o.csv <list >"$out" 2>"$err"
check_code 1 $?
expect_error ''
expect_no_file o.csv
finish
