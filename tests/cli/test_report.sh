# SPDX-License-Identifier: Apache-2.0
# Reports, figures and heat maps: what is in them, hostile names, and what is refused.
. "$(dirname "$0")/lib.sh"

make_model in.model 1 3 16 16 2 2 8
make_model general.model 2 3 16 16 2 3 8

# well_formed FILE: XML, with identifiers that are unique, no script but the one that its policy names,
# and nothing to load.
well_formed() {
    checks=$((checks + 1))
    if command -v xmllint >/dev/null; then
        xmllint --noout "$1" 2>"$err" || fail "$1 is not well-formed"
    else
        echo "SKIPPED: no xmllint to check $1 with (package libxml2-utils)"
    fi
    twice=$(grep -o ' id="[^"]*"' "$1" | sort | uniq -d)
    [ -z "$twice" ] || fail "identifiers stand twice in $1: $twice"
    # the name of SVG itself is no address to load from
    if sed 's|xmlns="http://www.w3.org/2000/svg"||' "$1" | grep -qi -e 'https\?://' \
        -e '@import' -e '<link' -e '<iframe'; then
        fail "$1 has something to load"
    fi
    case $1 in
    *.html) script_is_known "$1" ;;
    *) if grep -qi '<script' "$1"; then fail "$1 has a script"; fi ;;
    esac
}

# script_is_known PAGE: its only script is the one whose hash its policy admits.
script_is_known() {
    [ "$(grep -o '<script' "$1" | wc -l)" -eq 1 ] || fail "$1 has more than one script"
    if ! command -v openssl >/dev/null; then
        echo "SKIPPED: no openssl to check the script of $1 with"
        return
    fi
    hash=$(sed -n 's|^<script>\(.*\)</script>$|\1|p' "$1" | tr -d '\n' |
        openssl dgst -sha256 -binary | base64)
    grep -q "script-src 'sha256-$hash'" "$1" || fail "the policy of $1 does not admit its script"
}

count() { # PATTERN FILE: how often
    grep -o -e "$1" "$2" | wc -l | tr -d ' '
}

# ---- eval: a page and a figure, with the figures that JSON has
run 0 eval -m in.model -g general.model --in synthetic:shapes --out-of noise=synthetic:noise \
    flat=synthetic:flat --limit 30 --json all.json --report page.html --figure figure.svg
well_formed page.html
well_formed figure.svg
expect_equal 'images' "$(count '<div class="pair">' page.html)" 48 # 3 sets, 8 at each end
expect_equal 'pictures' "$(count 'src="data:image/png;base64,' page.html)" 97
expect_equal 'pictures with a text' "$(count '<img alt="[^"]' page.html)" 97
for section in sets separation models scales scores images made; do
    expect_equal "section $section" "$(count "id=\"$section\"" page.html)" 1
done
for name in noise flat; do
    for score in nll ratio complexity; do
        value=$(printf '%.4f' "$(json all.json "out/$name/$score/auroc")")
        grep -q ">$value</td>" page.html || fail "the AUROC $value of $score is not in the page"
    done
done
value=$(printf '%.3f' "$(json all.json rank_correlation_all)")
grep -q "<strong>$value</strong> by ranks" page.html || fail "the correlation $value is missing"
grep -q '<pre>outflow eval -m in.model' page.html ||
    fail 'the command is missing'
expect_equal 'panels of the figure' "$(count 'class="heading"' figure.svg)" 2
expect_equal 'rows of the figure' "$(count 'class="hill"' figure.svg)" 6

# ---- the same command gives the same page, but for speed and time
cp page.html first.html
cp figure.svg first.svg
run 0 eval -m in.model -g general.model --in synthetic:shapes --out-of noise=synthetic:noise \
    flat=synthetic:flat --limit 30 --json all.json --report page.html --figure figure.svg
grep -v -e '>speed<' -e '>made<' first.html >a
grep -v -e '>speed<' -e '>made<' page.html >b
expect_same_files a b
expect_same_files first.svg figure.svg

# ---- score: every SRC is a set, images in the order of the score that is asked for
run 0 score -m in.model --score last --report score.html --limit 20 -o s.csv synthetic:shapes \
    synthetic:noise
well_formed score.html
expect_equal 'images' "$(count '<div class="pair">' score.html)" 32
grep -q '<h3>last (main score)</h3>' score.html || fail 'the main score is not last'
if grep -q 'ROC curves' score.html; then fail 'ROC curves without an in set'; fi

# ---- few images: no image is among the most and the least anomalous, also where all are alike
make_images in.model few 5
mkdir alike
for i in 1 2 3 4 5 6 7; do cp few/0.png alike/alike-$i.png; done
run 0 score -m in.model --report few.html -o s.csv few alike
expect_equal 'images' "$(count '<div class="pair">' few.html)" 12
expect_equal 'different images' "$(grep -o 'img alt="image [^"]*"' few.html | sort -u | wc -l | tr -d " ")" 12
for i in 1 2 3 4 5 6 7; do
    for copy in a b c; do cp few/0.png alike/$copy$i.png; done
done
run 0 score -m in.model --report few.html -o s.csv alike
expect_equal 'of many' "$(grep -o 'img alt="image [^"]*"' few.html | sort -u | wc -l | tr -d " ")" 16

# ---- names of sets: their paths without the folders that they share
mkdir -p plant/line-1
cp -r few plant/line-1/camera-front
cp -r few plant/line-1/camera-rear
run 0 score -m in.model --report names.html -o s.csv plant/line-1/camera-front \
    plant/line-1/camera-rear
well_formed names.html
grep -q '<th scope="row">camera-rear</th><td class="text">plant/line-1/camera-rear</td>' names.html ||
    fail 'the set is not named camera-rear'
if grep -q '>source</th>' score.html; then fail 'a column repeats the names of the sets'; fi

# ---- what is flagged: the numbers of the rows, of JSON, and p-values of the images
run 0 calibrate -m in.model -g general.model --data synthetic:shapes --limit 200 -q
run 0 score -m in.model -g general.model --fpr 0.1 --limit 40 --report flags.html -o s.csv \
    --seed 3 synthetic:shapes synthetic:noise
well_formed flags.html
column() { # NAME: the values of a column and the sources
    awk -F, -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i; next }
        { print $c, $(NF - 2) }' s.csv
}
flagged() { # SOURCE FILE
    number=$(column anomalous | grep -c "^1 $1\$")
    share=$(awk -v n="$number" 'BEGIN { printf "%.2f", 100 * n / 40 }')
    grep -q ">$1</th>.*<td>$number ($share %)</td>" "$2" ||
        fail "$number flagged images of $1 are not in $2"
}
flagged synthetic:shapes flags.html
flagged synthetic:noise flags.html
listed=$(grep -c '<tr><td><div class="pair">' flags.html)
expect_equal 'flagged images that are listed' "$listed" "$(column anomalous | grep -c '^1 ')"
p=$(column p_value | sort -g | awk 'NR == 1 { printf "%.3g", $1 }')
grep -q "<br/>p $p<br/>" flags.html || fail "the smallest p-value, $p, is not at an image"
expect_equal 'lines of the threshold' "$(count 'class="threshold"' flags.html)" 1
grep -q '>flagged above [0-9.]*<' flags.html || fail 'the threshold has no number'
middle=$(column nll | sort -g | awk 'NR == 50 { print $1 }')
run 0 score -m in.model -g general.model --score nll --threshold "$middle" --limit 40 --seed 3 \
    --report flags.html -o s.csv synthetic:shapes synthetic:noise
well_formed flags.html
flagged synthetic:shapes flags.html
flagged synthetic:noise flags.html
grep -q 'whose <em>nll</em> is at or above [0-9.]*, or not' flags.html || fail 'no rule'
expect_equal 'lines of the threshold' "$(count 'class="threshold"' flags.html)" 1
if "$program" score -m in.model --score complexity-webp --threshold 9 --limit 40 -q -o s.csv \
    --report flags.html synthetic:shapes 2>"$err"; then
    grep -q '<h3>complexity-webp (main score)</h3>' flags.html || fail 'another score is the main one'
else
    echo "SKIPPED: complexity-webp, $(cat "$err")"
fi
run 0 score -m in.model -g general.model --limit 40 --report flags.html -o s.csv synthetic:shapes
if grep -q -i 'flagged\|class="threshold"' flags.html; then fail 'flags nobody asked for'; fi
run 0 eval -m in.model -g general.model --fpr 0.1 --in synthetic:shapes \
    --out-of noise=synthetic:noise --limit 40 --json flags.json --report flags.html
well_formed flags.html
grep -q 'Flagged at a false-positive rate of 0.1<' flags.html || fail 'no table of flags'
for score in nll ratio combined; do
    in=flagged/scores/$score/in
    row=$(printf '<td>%.4f</td><td>%.4f \342\200\223 %.4f</td><td>%.4f</td>' \
        "$(json flags.json $in/share)" "$(json flags.json $in/low)" \
        "$(json flags.json $in/high)" "$(json flags.json "flagged/scores/$score/noise/share")")
    grep -q ">$score</th>$row" flags.html || fail "the row of $score is not in the report: $row"
done

# ---- files that cannot be read: all are listed, with the reason
make_images in.model mixed 3
printf 'no image' >mixed/broken-one.png
head -c 60 mixed/0.png >mixed/broken-two.png
run 3 score -m in.model --report broken.html -o s.csv mixed
well_formed broken.html
grep -q '2 files could not be read' broken.html || fail 'the verdict leaves out what is unreadable'
grep -q '<td class="text">broken-one.png</td><td class="text">[^<]' broken.html ||
    fail 'broken-one.png is not listed'
grep -q '<td class="text">broken-two.png</td><td class="text">[^<]' broken.html ||
    fail 'broken-two.png is not listed'
run 3 eval -m in.model --in mixed --out-of noise=synthetic:noise --limit 9 --report broken.html
well_formed broken.html
expect_equal 'unreadable files' "$(grep -c '<td class="text">broken-' broken.html)" 2

# ---- hostile names: text, not markup, and valid
mkdir '<b>"&'
make_images in.model images 2
mv images/0.png '<b>"&/<script>alert(1)<'"'"'script>.png'
mv images/1.png '<b>"&/'"$(printf 'a\377b\001c')"'.png'
run 0 score -m in.model --report hostile.html --heatmaps 'maps <&' -o s.csv '<b>"&'
well_formed hostile.html
grep -q 'alt="image [^"]*&lt;script&gt;alert(1)' hostile.html || fail 'a path is not escaped'
run 0 eval -m in.model --in synthetic:shapes --limit 5 --out-of '<i>&"=synthetic:noise' \
    --report hostile.html --figure hostile.svg
well_formed hostile.html
well_formed hostile.svg
heat_maps=0
for file in 'maps <&'/*; do
    case ${file#*/} in
    *[!0-9A-Za-z._-]*) fail "a file name with odd characters: $file" ;;
    000[12]-*.png) heat_maps=$((heat_maps + 1)) ;;
    esac
done
expect_equal 'heat maps' "$heat_maps" 2

# ---- one image alone, and images without colour
make_model grey.model 3 1 16 16 2 1 8
run 0 eval -m grey.model --in synthetic:shapes --out-of n=synthetic:noise --limit 1 \
    --report grey.html --figure grey.svg
well_formed grey.html
well_formed grey.svg

# ---- classes, and patches
make_model classes.model 4 3 16 16 2 1 8 3
run 0 eval -m classes.model -g general.model --in synthetic:shapes --out-of n=synthetic:noise \
    --limit 9 --report classes.html
well_formed classes.html
grep -q '<th scope="row">class</th>' classes.html || fail 'the score class is missing'

# ---- heat maps: the most anomalous ones, as images that can be read
run 0 score -m in.model -g general.model --score ratio --heatmaps maps --heatmap-count 5 \
    --limit 12 -o s.csv synthetic:shapes synthetic:noise
expect_equal 'files' "$(ls maps | wc -l | tr -d ' ')" 6
expect_equal 'lines' "$(lines maps/index.csv)" 6
highest=$(awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "score") c = i; next }
    { print $c }' s.csv | sort -gr | head -n 5)
expect_equal 'the scores of index.csv' "$(awk -F, 'NR > 1 { print $5 }' maps/index.csv)" "$highest"
while IFS=, read -r file rest; do
    [ "$file" = file ] || [ -s "maps/$file" ] || fail "maps/$file of '$rest' is missing"
done <maps/index.csv
mkdir pngs
cp maps/*.png pngs
run 0 score -m in.model pngs
expect_equal 'heat maps that are images' "$(lines "$out")" 6
run 0 score -m in.model --heatmaps maps --heatmap-count 0 --limit 25 -o s.csv synthetic:digits
expect_equal 'heat maps of all' "$(lines maps/index.csv)" 26
: >maps/mine.png
echo '../s.csv,0001-../s.csv,0002-x/y.png' >>maps/index.csv
run 0 score -m in.model --score complexity --heatmaps maps --limit 3 -o s.csv synthetic:digits
expect_equal 'heat maps of this run alone, and what is not ours' "$(ls maps/*.png | wc -l)" 4
grep -q '^file,path,source,label,complexity,strongest_colour$' maps/index.csv ||
    fail 'the list does not name its score'

# ---- what others put into the folder: links are not followed, lists not believed
echo precious >victim
ln -sf ../victim maps/index.csv
second=$(cd maps && ls 0002-*.png)
rm -f "maps/$second"
ln -s ../victim "maps/$second"
run 0 score -m in.model --score complexity --heatmaps maps --limit 3 -o s.csv synthetic:digits
expect_equal 'the file that links lead to' "$(cat victim)" precious
if [ -L maps/index.csv ] || [ -L "maps/$second" ]; then fail 'a link is still there'; fi
mkdir foreign
: >foreign/0009-victim.png
printf 'what,ever\n0009-victim.png,x\n' >foreign/index.csv
run 0 score -m in.model --heatmaps foreign --heatmap-count 1 -o s.csv --limit 3 synthetic:digits
[ -e foreign/0009-victim.png ] || fail 'a file that some other list names was removed'
if [ "$(id -u)" -eq 0 ]; then
    printf 'file,path,source,label,nll,strongest_colour\n0009-victim.png,x\n' >foreign/index.csv
    chown 12345 foreign/index.csv
    run 0 score -m in.model --heatmaps foreign --heatmap-count 1 -o s.csv --limit 3 synthetic:digits
    [ -e foreign/0009-victim.png ] || fail 'a file that the list of another user names was removed'
fi
rm foreign/index.csv
mkfifo foreign/index.csv
command='outflow score --heatmaps foreign, with a pipe in it'
timeout 60 "$program" score -m in.model --heatmaps foreign -o s.csv --limit 3 synthetic:digits \
    >"$out" 2>"$err"
check_code 1 $?
expect_error 'index.csv: not a regular file'

# ---- refused, before the work, and nothing is left
: >file
expect_failure 1 'cannot write heat maps to file: it is not a folder' score -m in.model \
    --heatmaps file synthetic:noise
expect_failure 1 'cannot write heat maps to no/where' score -m in.model --heatmaps no/where \
    synthetic:noise
expect_failure 1 'cannot write no/page.html' score -m in.model --report no/page.html synthetic:noise
expect_failure 1 'cannot write no/page.html' eval -m in.model --in synthetic:noise --limit 3 \
    --out-of n=synthetic:flat --report no/page.html
expect_failure 1 'cannot write no/f.svg' eval -m in.model --in synthetic:noise --limit 3 \
    --out-of n=synthetic:flat --report new.html --figure no/f.svg
expect_failure 1 'no-such-file' eval -m in.model --in synthetic:noise --limit 3 \
    --out-of n=no-such-file --report new.html --figure new.svg
expect_failure 2 'heatmaps DIR' score -m in.model --heatmap-count 3 synthetic:noise
finish
