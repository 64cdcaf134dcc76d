# SPDX-License-Identifier: Apache-2.0
# Settings files: --config, and what a run writes beside its result.
. "$(dirname "$0")/lib.sh"

weights() {
    "$helpers/weights" "$1" || fail "weights of $1"
}
small='--steps 1 --hidden 8 --batch 8 --scales 2 --size 16x16 --images 80 --quiet'

# ---- a run writes its settings, and they repeat it
# shellcheck disable=SC2086
run 0 train --data synthetic:shapes:50 --data synthetic:digits:20 --data-share 2 --data-share 1 $small \
    --lr 1.5e-3 --flip --seed 9007199254740993 --memory 64M --edges conv1 --out a.model --overwrite
expect_equal 'the verb' "$(json a.model.settings.json outflow)" train
expect_equal 'a number' "$(json a.model.settings.json lr)" 0.0015
expect_equal 'a large number' "$(json a.model.settings.json seed)" 9007199254740993
expect_equal 'bytes' "$(json a.model.settings.json memory)" 64M
! grep -q 'quiet\|overwrite' a.model.settings.json || fail 'how it was started is among the settings'
run 0 train --config a.model.settings.json --out b.model -q
expect_equal 'weights by the settings' "$(weights b.model)" "$(weights a.model)"
sed '/"out"/d' a.model.settings.json >a.rest
sed '/"out"/d' b.model.settings.json >b.rest
expect_same_files a.rest b.rest

# ---- names of any bytes
odd=$(printf 'n\377\\x41')
mkdir "$odd"
for seed in 1 2 3; do
    run 0 sample --model a.model --count 1 --seed $seed --quiet --out "$odd/$seed.png"
done
# shellcheck disable=SC2086
run 0 train --data "$odd" $small --out "$odd.model"
grep -qF 'n\\xff\\x5cx41.model' "$odd.model.settings.json" || fail 'the name is not as it is in CSV'
run 0 train --config "$odd.model.settings.json" --overwrite -q
mkdir again
run 0 train --config "$odd.model.settings.json" --out again/b.model -q
expect_equal 'weights by the settings' "$(weights again/b.model)" "$(weights "$odd.model")"

# ---- the command line wins, for lists as a whole
run 0 train --config a.model.settings.json --data synthetic:flat:20 --data-share 1 --seed 3 \
    --out c.model -q
expect_equal 'the seed' "$(json c.model.settings.json seed)" 3
! grep -q shapes c.model.settings.json || fail 'the data of the file are still there'

# ---- what is wrong with a file is said with its name and the key
bad() {
    printf '%s' "$1" >bad.json
    expect_failure 2 "$2" train --config bad.json --data synthetic:shapes:9 --out x.model
}
bad '{"lrr": 1}' "bad.json: unknown key 'lrr' (did you mean 'lr'?)"
bad '{"config": "a"}' "bad.json: unknown key 'config'"
bad '{"lr": "fast"}' "bad.json: option --lr: 'fast' is not a finite number"
bad '{"lr": 1e9}' 'bad.json: option --lr: 1000000000 is not between'
bad '{"lr": [1]}' "bad.json: key 'lr': expected a string or a number"
bad '{"lr": 1, "lr": 1}' 'bad.json: option --lr is given twice'
bad '{"flip": 1}' "bad.json: key 'flip': expected true or false"
bad '{"batch": 1.5}' 'bad.json: option --batch'
bad '{"valid": [{}]}' "bad.json: key 'valid': expected"
bad '{"outflow": "fit"}' 'bad.json: these are settings of another verb'
bad '[1]' 'bad.json: no JSON object'
bad '{"lr": 1' 'bad.json: no JSON object'
bad '{} {}' 'bad.json: something follows'
bad '' 'bad.json: no JSON object'
expect_failure 2 'nosuch.json: No such file' train --config nosuch.json --out x.model
expect_failure 2 "'more' is no option" train --config a.model.settings.json --out x.model more
finish
