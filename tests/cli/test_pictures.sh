# SPDX-License-Identifier: Apache-2.0
# What was done to pictures is said: columns, notes, warnings with counts; names read back; links do
# not count twice; the hostile files that were collected are answered soon and with one line.
. "$(dirname "$0")/lib.sh"

make_model in.model 1 3 16 16 2 2 8

# ---- columns and warnings

mkdir pictures
{ printf 'P5 8 8 255\n' && head -c 64 /dev/zero; } >pictures/small-grey.pgm
{ printf 'P6 100 80 255\n' && head -c 24000 /dev/zero; } >pictures/large.ppm
{ printf 'P6 16 16 255\n' && head -c 768 /dev/zero; } >pictures/exact.ppm
{ printf 'P5 16 16 65535\n' && head -c 512 /dev/zero; } >pictures/dark.pgm
run 0 score -m in.model pictures
expect_out '^path,label,.*,resized_from,notes$'
expect_out '^small-grey.pgm,,.*,8x8,grey to colour; enlarged$'
expect_out '^large.ppm,,.*,100x80,much shrunk or squeezed$'
expect_out '^exact.ppm,,.*,,$'
expect_out '^dark.pgm,,.*,,16 to 8 bits; uses few of its bits; grey to colour$'
expect_err 'pictures: 1 of 4 images, up to 100x80 (large.ppm), were shrunk .* 16x16, width x height'
expect_err 'pictures: 2 of 4 images are grey and were made colour'
expect_err 'pictures: 1 of 4 images are smaller than the model.s and were enlarged'
expect_err 'pictures: 1 of 4 images have 16 bits a sample and use 14 or fewer'
run 0 score -m in.model --format jsonl pictures
expect_out '"path": "small-grey.pgm".*"resized_from": "8x8", "notes": "grey to colour; enlarged"'
run 0 score -m in.model --format table pictures
expect_out 'small-grey.pgm  (grey to colour; enlarged)$'

# ---- formats by content: a wrong name does not matter

cp pictures/exact.ppm renamed.jfif
run 0 score -m in.model renamed.jfif

# ---- transparency

# 2 x 1 pixels, the second one transparent
clear_gif='GIF89a\002\000\001\000\200\000\000\001\002\003\004\005\006!\371\004\001\000\000\001\000,'
clear_gif=$clear_gif'\000\000\000\000\002\000\001\000\000\002\002D\n\000'
# shellcheck disable=SC2059 # it is a format
printf "$clear_gif;" >clear.gif
run 0 score -m in.model clear.gif
expect_out 'alpha on background'
cp "$out" white.csv
run 0 score -m in.model --background white clear.gif
expect_same_files "$out" white.csv
run 0 score -m in.model --background '#000000' clear.gif
! cmp -s "$out" white.csv || fail 'the background makes no difference'
expect_failure 2 'blue-ish' score -m in.model --background blue-ish clear.gif
expect_failure 2 'rrggbb' score -m in.model --background '#12345' clear.gif

# ---- frames

# shellcheck disable=SC2059
{ printf "$clear_gif" && printf '!\371\004\001\000\000\001\000,' &&
    printf '\000\000\000\000\002\000\001\000\000\002\002D\n\000;'; } >two.gif
run 0 score -m in.model two.gif
expect_out '^two.gif,.*first frame'
expect_err '1 of 1 images hold several pictures'
run 0 score -m in.model --frames all two.gif clear.gif
expect_out '^two.gif#0,'
expect_out '^two.gif#1,'
expect_out '^clear.gif,'
expect_equal rows "$(lines "$out")" 4

# ---- names: valid UTF-8, and back

mkdir names
for name in "$(printf 'latin\351.ppm')" 'back\x41.ppm' "'=quote.ppm" '=formula.ppm' 'plain\n.ppm'; do
    cp pictures/exact.ppm "names/$name"
done
run 0 score -m in.model names
expect_out '^latin\\xe9.ppm,'
expect_out '^back\\x5cx41.ppm,'
expect_out "^''=quote.ppm,"
expect_out "^'=formula.ppm,"
expect_out '^plain\\n.ppm,'
run 0 score -m in.model --format jsonl names
expect_out '"path": "latin\\\\xe9.ppm"'
expect_out '"path": "back\\\\x5cx41.ppm"'
if command -v iconv >/dev/null; then
    iconv -f UTF-8 -t UTF-8 "$out" >/dev/null 2>&1 || fail 'the JSON is not UTF-8'
fi

# ---- links

mkdir -p tree/real/inner outside/deep
cp pictures/exact.ppm tree/real/inner
cp pictures/exact.ppm outside/deep
ln -s real tree/again
ln -s real/inner tree/inner
ln -s .. tree/real/up
ln -s ../outside tree/linked
ln -s ../outside/deep tree/linked-deep
run 0 score -m in.model tree
expect_equal rows "$(lines "$out")" 3
expect_out '^real/inner/exact.ppm,real,'
expect_out '^linked-deep/exact.ppm,linked-deep,'

# ---- version says what is read

run 0 version
expect_out '^reads PNG (libpng'
expect_out '^reads PNM (built in)$'

# ---- hostile files: two seconds, half a gigabyte, one line

hostile=${OUTFLOW_SHARED:-$(dirname "$0")/../../../shared}/hostile
if [ ! -d "$hostile" ]; then
    echo "test_pictures: no $hostile: those files are left out" >&2
    finish
fi
for file in "$hostile"/*; do
    case $file in
    *.md | *.json) continue ;;
    esac
    command="outflow score $file"
    started=$(date +%s)
    (
        # shellcheck disable=SC3045 # the shells here have it
        # AddressSanitizer reserves more than any limit.
        grep -q __asan_init "$program" || ulimit -v 800000 || exit 98
        exec "$program" score -m in.model -t 1 "$file" >"$out" 2>"$err" </dev/null
    )
    code=$?
    checks=$((checks + 1))
    [ $(($(date +%s) - started)) -le 2 ] || fail 'takes more than 2 seconds'
    case $code in
    0) ;;
    1 | 3) [ "$(grep -c '^outflow: error: ' "$err")" -eq 1 ] || fail 'not one clear line' ;;
    *) fail "exit code $code" ;;
    esac
done

finish
