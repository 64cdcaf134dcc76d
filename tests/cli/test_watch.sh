# SPDX-License-Identifier: Apache-2.0
# score --watch: what arrives in a folder is scored, told, and appended.
. "$(dirname "$0")/lib.sh"

make_model in.model 1 3 16 16 2 2 8
make_images in.model images 4
mkdir inbox
cp images/0.png inbox/first.png

start() { # OPTION...
    "$program" score -m in.model --watch -o rows.csv "$@" inbox >/dev/null 2>"$err" &
    watcher=$!
    wait_for "$err" 'watches inbox'
}

wait_for() { # FILE PATTERN
    checks=$((checks + 1))
    tries=0
    until grep -q "$2" "$1" 2>/dev/null; do
        tries=$((tries + 1))
        if [ "$tries" -gt 200 ]; then
            fail "no line '$2' in $1"
            return
        fi
        sleep 0.1
    done
}

stop() { # EXIT-CODE
    kill -TERM "$watcher"
    wait "$watcher"
    expect_equal 'exit code' "$?" "$1"
}

# ---- what is there, then what arrives: moved, written, in a new folder
start --threshold -1e300 --on-flagged 'cat >>flagged.jsonl'
wait_for rows.csv '^first.png,'
cp images/1.png inbox/.part
mv inbox/.part inbox/moved.png
wait_for rows.csv '^moved.png,,'
cp images/2.png inbox/written.png
wait_for rows.csv '^written.png,,'
mkdir -p new
cp images/3.png new/inside.png
mv new inbox/good
wait_for rows.csv '^good/inside.png,good,'
cp images/0.png inbox/good/later.png
wait_for rows.csv '^good/later.png,good,'
wait_for flagged.jsonl '"path": *"good/later.png"'
stop 0
expect_err '5 images, 0 unreadable'
expect_equal 'headers' "$(grep -c '^path,' rows.csv)" 1
expect_equal 'rows' "$(wc -l <rows.csv | tr -d ' ')" 6
# what was there when it began is not told
expect_equal 'told' "$(grep -c anomalous flagged.jsonl)" 4

# the same bits as without --watch
run 0 score -m in.model --threshold -1e300 -q -o all.csv inbox
sort all.csv >a
sort rows.csv >b
expect_same_files a b

# ---- goes on with the same file; what is no image is warned of and counted
start --threshold -1e300
echo 'no image' >inbox/bad.png
wait_for "$err" 'warning: .*bad.png'
cp images/1.png inbox/again.png
wait_for rows.csv '^again.png,'
stop 3
expect_equal 'headers' "$(grep -c '^path,' rows.csv)" 1
rm inbox/bad.png

# ---- a command that fails is warned of; a folder that goes away ends the watching
start --threshold -1e300 --on-flagged 'exit 7'
cp images/1.png inbox/once-more.png
wait_for "$err" "warning: the command 'exit 7' ended with status 7"
rm -r inbox
wait "$watcher"
expect_equal 'exit code' "$?" 0
expect_err 'the folder is gone'

# ---- refused
mkdir inbox
expect_failure 1 'rows.csv: it has other columns' score -m in.model --watch -o rows.csv inbox
expect_failure 2 'takes one folder' score -m in.model --watch images inbox
expect_failure 2 'takes one folder' score -m in.model --watch --report r.html inbox
expect_failure 2 'needs --watch' score -m in.model --on-flagged true --threshold 0 inbox
expect_failure 2 'needs --watch, and --fpr or' score -m in.model --watch --on-flagged true inbox
expect_failure 1 'not-there' score -m in.model --watch not-there
expect_failure 1 'cannot watch it' score -m in.model --watch images/0.png
finish
