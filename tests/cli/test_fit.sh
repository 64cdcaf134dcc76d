# SPDX-License-Identifier: Apache-2.0
# outflow fit: from normal images to a detector; what it says of too few; that nothing is lost when it
# is stopped, killed or out of space.
. "$(dirname "$0")/lib.sh"

make_model general.model 1 3 32 32 2 2 24
weights() {
    "$helpers/weights" "$1" || fail "weights of $1"
}
normal=synthetic:shapes:440
base="$normal --general-model general.model --threads 2"
short="$base --images 320"

# ---- the plan alone
expect_nothing_written() {
    before=$(ls -A)
    run "$@"
    expect_equal 'the folder afterwards' "$(ls -A)" "$before"
}
# shellcheck disable=SC2086
expect_nothing_written 0 fit $short --out a.model --dry-run
expect_err 'found: 440 images'
expect_err 'parts: 29[0-9] to learn from, 100 to set the threshold by, [345][0-9] to check'
expect_err 'start: from the general model'
expect_nothing_written 0 fit $normal --out a.model --dry-run --minutes 7
expect_err 'from the general model cifar10-general'
expect_err 'this takes about [0-9.]* minutes'

# ---- a detector in one file
# shellcheck disable=SC2086
run 0 fit $short --out a.model
expect_err 'normal images that were kept for this'
expect_err 'score new images with:  outflow score --model a.model NEW_FOLDER'
expect_no_file a.model.work
expect_equal 'the files' "$(echo a.model*)" 'a.model a.model.html a.model.settings.json'
rm general.model
run 0 score --model a.model synthetic:noise:30
expect_err '30 anomalous'
expect_out ',anomalous,resized_from,notes$'
run 0 score --model a.model --fpr 0.1 synthetic:noise:5
run 0 eval --model a.model --in synthetic:shapes:30 --out-of noise=synthetic:noise:30
run 0 inspect a.model
expect_out 'judging'
make_model general.model 1 3 32 32 2 2 24

# ---- the file says which images it was trained on: others are to calibrate it again
run 0 calibrate --model a.model --data "$normal" --out again.model
expect_err "warning: $normal is what the model was trained on"
! grep -q 'a.model.work' a.model || fail 'the file names the folder of the run'
run 0 calibrate --model a.model --data synthetic:shapes:150 --out again.model
expect_equal 'others' "$(grep -c 'trained on' "$err")" 0

# ---- the settings repeat it; what is there is not replaced
expect_failure 1 'is there already.*see --overwrite' fit $normal --out a.model
run 0 fit --config a.model.settings.json --out b.model
expect_equal 'weights by the settings file' "$(weights b.model)" "$(weights a.model)"

# ---- killed again and again: the same weights in the end
kills=0
for wait in 0.3 0.6 0.9 1.2 1.5; do
    [ ! -e cut.model ] || break
    # shellcheck disable=SC2086
    "$program" fit $base --images 9600 --out cut.model --resume >"$out" 2>"$err" &
    child=$!
    sleep $wait
    if kill -KILL $child 2>/dev/null; then kills=$((kills + 1)); fi
    wait $child 2>/dev/null
done
[ "$kills" -ge 2 ] || echo "note: only $kills of 5 runs were long enough to be killed"
# shellcheck disable=SC2086
{
    [ -e cut.model ] || run 0 fit $base --images 9600 --out cut.model --resume --no-report
    run 0 fit $base --images 9600 --out whole.model --no-report
}
expect_equal 'weights after kills' "$(weights cut.model)" "$(weights whole.model)"
expect_no_file cut.model.work

# ---- stopped: a detector of what was learned, and a way to go on
command="outflow fit (SIGTERM)"
# shellcheck disable=SC2086
"$program" fit $base --minutes 60 --out stop.model >"$out" 2>"$err" &
child=$!
tries=0
while [ ! -e stop.model.work/model.safetensors.checkpoint ] && [ $tries -lt 600 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
sleep 1
kill -TERM $child
wait $child
check_code 0 $?
expect_err 'interrupted after [1-9]'
run 0 score --model stop.model synthetic:noise:20
expect_err '20 anomalous'
# shellcheck disable=SC2086
expect_failure 1 'unfinished run.*see --resume' fit $base --out stop.model
expect_failure 1 'other normal images' fit synthetic:flat:300 --out stop.model --resume
# shellcheck disable=SC2086
expect_failure 1 'another number of images' fit $base --images 10 --out stop.model --resume
# shellcheck disable=SC2086
touch stop.model.work/.train.npy.tmp-1-0 # as a process that was killed leaves it
# shellcheck disable=SC2086
run 0 fit $base --minutes 0.01 --out stop.model --resume
expect_no_file stop.model.work
run 0 score --model stop.model synthetic:noise:20

# ---- no space: an error, and what was done is kept
command='outflow fit (ulimit -f)'
# shellcheck disable=SC2086
(ulimit -f 300 && "$program" fit $short --out full.model >"$out" 2>"$err")
check_code 1 $?
expect_error 'full.model.work/'
expect_no_file full.model
# shellcheck disable=SC2086
run 0 fit $short --out full.model --resume
expect_equal 'weights after no space' "$(weights full.model)" "$(weights a.model)"

# ---- too few images
for count in 1 2 3; do
    run 0 sample --model general.model --count 1 --seed $count --quiet --out $count.png
done
mkdir few same broken
cp 1.png 2.png 3.png few
for copy in $(seq 25); do cp 1.png same/"$copy".png; done
echo text >broken/a.png
expect_failure 1 'few: 3 different images: at least 20 .* 200 on' fit few --out x.model
expect_failure 1 'same: all 25 images are the same picture' fit same --out x.model
expect_failure 1 'No such file' fit nowhere --out x.model
run 1 fit broken --out x.model
expect_error 'broken: none of its 1 images can be read; the first: a.png'
expect_failure 1 'rate of 0.001 needs' fit $normal --out x.model --fpr 0.001
run 0 fit synthetic:shapes:120 --general-model general.model --out few.model --no-report
expect_err 'too few to train'
run 0 score --model few.model synthetic:noise:20
expect_err '20 anomalous'
run 0 fit synthetic:shapes:30 --general-model general.model --out fewer.model --no-report
expect_err 'warning: with fewer than 100 images'

# ---- a size without a general model: one is trained first; general images that are given
run 0 fit $normal --size 16 --images 64 --general synthetic:general:200 --out own.model --no-report
expect_err 'a small one is trained first'
expect_err 'to tell them from the general images given'
expect_err 'general images '
run 0 score --model own.model synthetic:noise:20
expect_out 'ratio'
finish
