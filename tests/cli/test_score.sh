# SPDX-License-Identifier: Apache-2.0
# outflow score: formats, columns, exact numbers, outputs that are complete or absent.
. "$(dirname "$0")/lib.sh"

make_model in.model 1 3 16 16 2 2 8
make_model general.model 2 3 16 16 2 3 8
make_model deep.model 3 3 16 16 3 1 8
columns=path,label,bits_per_dim,logp,logp_scale0,logp_scale1,nll,last
pictures=resized_from,notes

# ---- columns and what they hold
run 0 score -m in.model --limit 10 synthetic:shapes
expect_equal 'header' "$(head -n 1 "$out")" "$columns,$pictures"
expect_equal 'number of lines' "$(lines "$out")" 11
expect_err '^outflow: 10 images, 0 unreadable, 0 non-finite, [0-9.]* images/s$'
cp "$out" one.csv
awk -F, 'function near(a, b) { return a - b < 1e-6 && b - a < 1e-6 }
    NR > 1 && !(NF == 10 && near($3, 8 - $4 / (768 * log(2))) && near($4, $5 + $6) &&
                near($7, 768 * log(256) - $4) && near($8, -$6)) { bad = 1 }
    END { exit bad }' one.csv || fail 'the columns do not agree with each other'

run 0 score -m in.model -g general.model --score ratio-last --threshold 0 --limit 10 \
    synthetic:shapes
expect_equal 'header' "$(head -n 1 "$out")" \
    "$columns,logp_general,ratio,ratio-last,score,anomalous,$pictures"
awk -F, 'function near(a, b) { return a - b < 1e-6 && b - a < 1e-6 }
    NR > 1 && !(near($10, $9 - $4) && $11 == $12 && $13 == ($12 >= 0)) { bad = 1 }
    END { exit bad }' "$out" || fail 'the general columns do not agree with each other'
cut -d, -f1-8 "$out" >compared.csv
cut -d, -f1-8 one.csv >own.csv
expect_same_files own.csv compared.csv

run 0 score -m in.model -g deep.model --limit 2 synthetic:shapes
expect_equal 'header' "$(head -n 1 "$out")" "$columns,logp_general,ratio,$pictures"
expect_failure 1 'same number of scales' score -m in.model -g deep.model --score ratio-last \
    synthetic:shapes
expect_failure 1 'the model has 2 scales' score -m in.model --score scale:2 synthetic:shapes
run 0 score -m in.model --score scale:1 --limit 2 synthetic:shapes

# ---- results do not depend on how they are computed
for batch in 1 7 64; do
    run 0 score -m in.model --limit 10 --batch $batch --threads 1 synthetic:shapes
    expect_same_files "$out" one.csv
done
run 0 score -m in.model --limit 10 --threads 3 synthetic:shapes
expect_same_files "$out" one.csv
run 0 score -m in.model --limit 10 --seed 5 synthetic:shapes
if cmp -s "$out" one.csv; then fail 'the seed changes nothing'; fi

# ---- forms
run 0 score -m in.model --limit 10 --format jsonl --quiet synthetic:shapes
expect_silent_err
cp "$out" one.jsonl
for column in path label bits_per_dim logp logp_scale0 logp_scale1 nll last; do
    json --lines one.jsonl $column >json.values
    awk -F, -v name=$column 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i }
        NR > 1 { print $c }' one.csv >csv.values
    expect_equal "$column in lines" "$(lines json.values)" 10
    awk 'NR == FNR { a[NR] = $0; next } a[FNR] + 0 != $0 + 0 { exit 1 }' json.values csv.values ||
        fail "$column differs between csv and jsonl"
done
run 0 score -m in.model --limit 3 --format table --threshold 1e9 synthetic:shapes
expect_equal 'number of lines' "$(lines "$out")" 4
expect_out '^ *bits_per_dim  *logp .* anomalous '
expect_out ' no  '

# ---- several sources
# the first images of a folder that is sorted by class are no fair sample, and that is said
for class in apple bear cat; do
    make_images in.model sorted/$class 4
done
run 0 score -m in.model --limit 6 sorted
expect_err "sorted: sorted by class: its first 6 of 12 images are of 2 classes ('apple' to 'bear')"
expect_err 'a fair sample takes one image in 2 instead'
run 0 score -m in.model --limit 12 sorted
if grep -q 'sorted by class' "$err"; then fail 'nothing was left out'; fi
run 0 score -m in.model --every 2 sorted
if grep -q 'sorted by class' "$err"; then fail 'a sample of all is fair'; fi

run 0 score -m in.model --limit 2 synthetic:shapes synthetic:noise
expect_equal 'header' "$(head -n 1 "$out")" "$columns,source,$pictures"
expect_equal 'rows of the second' "$(grep -c ',synthetic:noise,,$' "$out")" 2

# ---- names that need quoting; every kind of SRC with images in it
make_images in.model images 3
mkdir -p 'images/a,"b'
cp images/0.png 'images/a,"b/x.png'
cp images/1.png "$(printf 'images/\377.png')"
run 0 score -m in.model images
expect_equal 'number of lines' "$(lines "$out")" 6
expect_out '^"[^"]*a,""b/x.png","a,""b",'
run 0 score -m in.model --format jsonl images
cp "$out" names.jsonl
json --lines names.jsonl path | grep -q 'a,"b/x.png$' || fail 'a path is not read back'
iconv -f UTF-8 -t UTF-8 names.jsonl >"$log/utf8" 2>&1 || fail 'the JSON is not UTF-8'
run 0 score -m in.model images/2.png
row=$(sed -n 2p "$out" | cut -d, -f3-)
printf '%s\n' images/2.png images/0.png >list
command='outflow score -m in.model - <list'
"$program" score -m in.model - <list >"$out" 2>"$err"
check_code 0 $?
expect_equal 'row from a list' "$(sed -n 2p "$out" | cut -d, -f3-)" "$row"
tar -cf images.tar images/2.png
run 0 score -m in.model images.tar
expect_equal 'row from an archive' "$(sed -n 2p "$out" | cut -d, -f3-)" "$row"

# ---- files that cannot be read
cp -r images broken
echo 'this is text' >broken/text.png
: >broken/zero.png
run 3 score -m in.model broken
expect_equal 'number of lines' "$(lines "$out")" 6
expect_err '^outflow: warning: .*text.png: '
expect_err '^outflow: warning: .*zero.png: '
expect_err '^outflow: 5 images, 2 unreadable, 0 non-finite'
run 3 score -m in.model --quiet broken --out scores.csv
expect_equal 'number of lines' "$(lines scores.csv)" 6
expect_failure 1 'text.png: ' score -m in.model --strict broken --out strict.csv

# of several sources each line names its own; the first ten of a source are shown
run 3 score -m in.model --quiet broken/text.png broken images
expect_err '^outflow: warning: broken/text.png: [^:]*$'
expect_err '^outflow: warning: broken: text.png: '
mkdir many
for number in 1 2 3 4 5 6 7 8 9 10; do
    echo 'no image' >"many/$number.png"
done
run 3 score -m in.model --quiet many images
expect_equal 'warnings' "$(grep -c ': many: ' "$err")" 10
expect_equal 'lines' "$(lines "$err")" 10
echo 'no image' >many/11.png
echo 'no image' >many/12.png
run 3 score -m in.model --quiet many images many
expect_equal 'warnings' "$(grep -c '^outflow: warning: many: [0-9]*.png: ' "$err")" 20
expect_equal 'ends of warnings' "$(grep -c '^outflow: warning: many: ... and 2 more$' "$err")" 2
run 0 score -m in.model --limit 1 images
expect_err '^outflow: 1 image, 0 unreadable'

# ---- outputs
run 0 score -m in.model --limit 10 synthetic:shapes --out=out.csv
expect_equal 'standard output' "$(lines "$out")" 0
expect_same_files out.csv one.csv
ln -s out.csv link.csv
run 0 score -m in.model --limit 2 synthetic:shapes -o link.csv
[ -L link.csv ] || fail 'the symbolic link was replaced'
expect_equal 'lines behind the link' "$(lines out.csv)" 3
cp one.csv kept.csv
expect_failure 1 'no-such-folder' score -m in.model no-such-folder/x.png --out kept.csv
expect_same_files kept.csv one.csv
expect_failure 1 'cannot write no-such-folder/x.csv: No such file' score -m in.model \
    synthetic:shapes -o no-such-folder/x.csv
run 0 score -m in.model --limit 2 synthetic:shapes -o /dev/stdout
expect_equal 'number of lines' "$(lines "$out")" 3
run 0 score -m in.model --limit 2 synthetic:shapes -o /dev/null
[ -c /dev/null ] || fail '/dev/null was replaced'
if [ -c /dev/full ]; then
    command='outflow score >/dev/full'
    "$program" score -m in.model --limit 2 synthetic:shapes >/dev/full 2>"$err"
    check_code 1 $?
    expect_error 'cannot write standard output: No space left'
    "$program" score --help >/dev/full 2>"$err"
    check_code 1 $?
fi
command='outflow score | (closed pipe)'
{
    "$program" score -m in.model synthetic:shapes:5000 2>"$err"
    echo $? >code
} | :
check_code 141 "$(cat code)"
expect_equal 'messages of a closed pipe' "$(grep -c 'error' "$err")" 0
for verb in 'help train' 'inspect in.model --json --layers' 'cpu'; do
    command="outflow $verb | (closed pipe)"
    # shellcheck disable=SC2086 # words
    {
        sleep 0.1
        "$program" $verb 2>"$err"
        echo $? >code
    } | :
    check_code 141 "$(cat code)"
    expect_silent_err
done

# ---- a file that may not grow, and a terminal that is gone
# (ThreadSanitizer keeps a part of its own memory in a file and fails where that may not grow.)
if ! grep -q __tsan_init "$program"; then
    command='(ulimit -f 8; outflow score -o)'
    (
        ulimit -f 8
        exec "$program" score -m in.model synthetic:shapes:2000 -o grown.csv >"$out" 2>"$err"
    )
    check_code 1 $?
    expect_error 'cannot write grown.csv: File too large'
    expect_equal 'temporary files' "$(ls -A | grep -c 'tmp-')" 0
fi
command='outflow score (SIGHUP)'
timeout -s HUP --preserve-status 1 "$program" score -m in.model synthetic:shapes:100000000 \
    -o never.csv >"$out" 2>"$err"
check_code 129 $?
expect_error 'interrupted'
expect_no_file never.csv
expect_equal 'temporary files' "$(ls -A | grep -c 'tmp-')" 0

# ---- interruption
command='outflow score (SIGINT)'
timeout -s INT --preserve-status 2 "$program" score -m in.model synthetic:shapes:100000000 \
    -o never.csv >"$out" 2>"$err"
check_code 130 $?
expect_error 'interrupted'
expect_no_file never.csv
expect_equal 'temporary files' "$(ls -A | grep -c 'tmp-')" 0
# ---- names that spreadsheets would calculate, and that terminals would obey
make_images in.model odd/=1+1 1
escape=$(printf '\033[31m')
cp odd/=1+1/0.png "odd/$escape.png"
run 0 score -m in.model odd
expect_out "^'=1+1/0.png,'=1+1,"
grep -qF "$escape.png," "$out" || fail 'the name in a file is not as it is'
run 0 score -m in.model --format jsonl odd
expect_out '"path": "=1+1/0.png"'
if command -v script >/dev/null; then
    command='outflow score on a terminal'
    script -qec "'$program' score -q -m in.model odd" /dev/null </dev/null >"$out" 2>"$err"
    check_code 0 $?
    expect_out '^?\[31m.png,'
    ! grep -qF "$escape" "$out" || fail 'a name reaches the terminal raw'
else
    echo 'SKIPPED: names on a terminal, as there is no script(1)'
fi
finish
