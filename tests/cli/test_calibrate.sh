# SPDX-License-Identifier: Apache-2.0
# outflow calibrate, and what score, eval and inspect make of it: p-values, flags, refusals.
. "$(dirname "$0")/lib.sh"

make_model in.model 1 3 16 16 2 1 8
make_model general.model 2 3 16 16 2 1 8
make_model other.model 3 3 16 16 3 1 8
make_model classes.model 4 3 16 16 2 1 8 3
make_model small.model 5 3 8 8 2 1 8
cp in.model plain.model

column() { # FILE NAME: the values of a column
    awk -F, -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i }
        NR > 1 { print $c }' "$1"
}

# ---- without a calibration: one error with a remedy
for score in combined typicality; do
    expect_failure 1 "'$score' needs a calibration.*outflow calibrate" score -m in.model \
        --score $score --limit 1 synthetic:shapes
done
expect_failure 1 'outflow calibrate' score -m in.model --fpr 0.05 --limit 1 synthetic:shapes
expect_failure 1 'p-values need a calibration' score -m in.model --fpr 0.05 --score nll --limit 1 \
    synthetic:shapes
expect_failure 1 'outflow calibrate' eval -m in.model --fpr 0.05 --in synthetic:shapes \
    --out-of n=synthetic:noise --limit 5 --json e.json

# ---- refused, and the model stays as it was
expect_failure 2 'either --data SRC or --remove' calibrate -m in.model
expect_failure 2 'either --data SRC or --remove' calibrate -m in.model --remove --data synthetic:flat
expect_failure 2 'unexpected operand' calibrate -m in.model --data synthetic:shapes more
expect_failure 1 '99 images are too few.*at least 100' calibrate -m in.model --limit 99 \
    --data synthetic:shapes
mkdir empty
expect_failure 1 'empty' calibrate -m in.model --data empty
expect_failure 1 'no-such' calibrate -m in.model --data no-such
expect_failure 1 'images of the same size\|same image size' calibrate -m in.model -g small.model \
    --data synthetic:shapes --limit 200
expect_failure 1 'a model of the ensemble' calibrate -m in.model --ensemble small.model \
    --data synthetic:shapes --limit 200
expect_same_files in.model plain.model

# ---- a copy, and no change to what is installed
mkdir installed
cp in.model installed/all.safetensors
OUTFLOW_MODELS=installed
export OUTFLOW_MODELS
expect_failure 2 'installed/all.safetensors is installed for all: give --out' calibrate -m all \
    --data synthetic:shapes:200
expect_failure 2 'is installed for all' calibrate -m all --remove
run 0 calibrate -q -m all --data synthetic:shapes:200 --out copy.model
expect_same_files installed/all.safetensors plain.model
run 0 inspect copy.model
expect_out '^calibration  *200 images'
run 0 calibrate -q -m copy.model --remove --out bare.model
run 0 inspect copy.model
expect_out '^calibration  *200 images'
run 0 score -m bare.model --limit 2 -q synthetic:shapes
if grep -q p_value "$out"; then fail 'the calibration is still there'; fi

# the general model that a calibration was made with is taken if it is installed, or named
cp general.model installed/general.safetensors
run 0 calibrate -q -m in.model -g general --data synthetic:shapes:200 --out pair.model
run 0 score -m pair.model --limit 2 synthetic:shapes
expect_err 'takes the general model .*installed/general.safetensors, which pair.model was cal'
expect_out '^path,.*,ratio,.*,p_value'
cp "$out" found.csv
run 0 score -q -m pair.model -g general --limit 2 synthetic:shapes
expect_same_files found.csv "$out"
run 0 score -m pair.model --fpr 0.1 --limit 2 synthetic:shapes
run 0 score -m pair.model -g none --limit 2 synthetic:shapes
expect_err 'warning: no p-values: .*(it is installed: general); see --general-model'
expect_failure 1 'it is installed: general.*see --general-model' score -m pair.model -g in.model \
    --fpr 0.1 synthetic:shapes
unset OUTFLOW_MODELS

# drift: the summary says how far the images as a whole are from the calibration's
run 0 calibrate -q -m in.model --data synthetic:shapes:400 --out drift.model
run 0 score -m drift.model --seed 5 -o rows.csv synthetic:shapes:200
expect_err "as a whole, Kolmogorov distance 0.0[0-9]* from the calibration's images (p "
run 0 score -m drift.model --report drift.html -o rows.csv synthetic:noise:200
expect_err 'warning: the images as a whole score unlike those of the calibration'
grep -q 'scores unlike the calibration' drift.html || fail 'the report does not speak of drift'
grep -q '<th scope="col">drift</th>' drift.html || fail 'the report has no column of drift'
run 0 score -m in.model -g none -o rows.csv synthetic:noise:200
if grep -q -i kolmogorov "$err"; then fail 'drift without a calibration'; fi

# ---- calibrated without a general model
run 0 calibrate -m in.model --data synthetic:shapes:2000 --every 5
expect_out '^400 images$'
expect_out '^combined  '
run 0 inspect in.model
expect_out '^calibration  *400 images of synthetic:shapes:2000$'
run 0 inspect --json in.model
cp "$out" inspect.json
expect_equal 'images' "$(json inspect.json calibration/images)" 400
data_bytes() { # the tensors of a weight file: what follows its header
    header=$(od -An -N 8 -t u8 "$1" | tr -d ' ')
    tail -c +$((header + 9)) "$1"
}
data_bytes in.model >after
data_bytes plain.model >before
expect_same_files before after

run 0 score -m in.model --limit 300 --seed 9 synthetic:shapes
cp "$out" scores.csv
expect_equal 'header' "$(head -n 1 scores.csv)" \
    'path,label,bits_per_dim,logp,logp_scale0,logp_scale1,nll,last,typicality,combined,p_value,resized_from,notes'
column scores.csv p_value | awk '!($1 > 0 && $1 <= 1) { exit 1 }' || fail 'a p-value is none'
# 200 images count for combined: p is a multiple of 1/201
column scores.csv p_value | awk '{ x = $1 * 201; y = int(x + 0.5); if (x - y > 1e-9 || y - x > 1e-9)
    exit 1 }' || fail 'a p-value is no multiple of 1/(n + 1)'
run 0 score -m in.model --limit 300 --seed 9 --fpr 0.1 synthetic:shapes
cp "$out" flags.csv
expect_err 'non-finite, [0-9]* anomalous, '
column flags.csv p_value >p
column flags.csv anomalous >a
paste p a | awk '($1 <= 0.1) != ($2 == 1) { exit 1 }' || fail 'flags and p-values disagree'
expect_equal 'anomalous' "$(grep -c 1 a)" "$(sed -n 's/.* \([0-9]*\) anomalous.*/\1/p' "$err")"

# p-values of any score, and the flags of its threshold
run 0 score -m in.model --limit 50 --score nll --fpr 0.05 synthetic:noise
expect_out ',combined,score,p_value,anomalous,resized_from,notes$'
run 0 score -m in.model --limit 50 --fpr 0.05 synthetic:flat
column "$out" anomalous | awk '!$1 { exit 1 }' || fail 'too likely images are not flagged'
run 0 score -m in.model --limit 5 --score complexity synthetic:shapes
expect_out ',score,p_value,resized_from,notes$'
run 0 score -m in.model --limit 5 --threshold 0 synthetic:shapes
expect_out ',combined,score,anomalous\|,combined,score,p_value,anomalous'

# rates that these images cannot give, or that make no sense
expect_failure 1 'at least 498 calibration images' score -m in.model --fpr 0.004 --limit 1 \
    synthetic:shapes
expect_failure 1 'at least 19998 calibration images' score -m in.model --fpr 0.0001 --limit 1 \
    synthetic:shapes
expect_failure 2 'between 0 and 1' score -m in.model --fpr 0 --limit 1 synthetic:shapes
expect_failure 2 'between 0 and 1' score -m in.model --fpr 1 --limit 1 synthetic:shapes
expect_failure 2 'exclude each other' score -m in.model --fpr 0.1 --threshold 1 synthetic:shapes

# ---- the guarantee: the measured rate agrees with the one asked for
run 0 eval -m in.model --in synthetic:shapes --out-of flat=synthetic:flat \
    --out-of noise=synthetic:noise --limit 500 --seed 77 --fpr 0.1 --json eval.json
expect_out '^flagged at a false-positive rate of 0.1$'
for score in combined typicality nll complexity; do
    low=$(json eval.json "flagged/scores/$score/in/low")
    high=$(json eval.json "flagged/scores/$score/in/high")
    awk -v l="$low" -v h="$high" 'BEGIN { exit !(l < 0.13 && h > 0.07) }' ||
        fail "$score: the rate lies between $low and $high"
done
expect_equal 'flat flagged' "$(json eval.json flagged/scores/combined/flat/share)" 1
expect_equal 'noise flagged' "$(json eval.json flagged/scores/combined/noise/share)" 1
for score in complexity typicality combined; do
    json eval.json "out/flat/$score/auroc" | grep -q '^[01]' || fail "eval lacks $score"
done
run 0 eval -m in.model --in synthetic:shapes --out-of flat=synthetic:flat --limit 20
expect_out '^flagged at a false-positive rate of 0.05$'

# ---- with a general model: good for that one only
run 0 calibrate -q -m in.model -g general.model --data synthetic:shapes:200
expect_equal 'standard output' "$(lines "$out")" 0
expect_silent_err
run 0 score -m in.model -g general.model --limit 5 --fpr 0.1 synthetic:shapes
expect_out ',ratio-last,typicality,combined,score,p_value,anomalous,resized_from,notes$'
expect_failure 1 'together with a general model.*; see --general-model' score -m in.model --fpr 0.1 --limit 1 \
    synthetic:shapes
expect_failure 1 'another general model' score -m in.model -g other.model --fpr 0.1 --limit 1 \
    synthetic:shapes
expect_failure 1 'another general model' score -m in.model -g other.model --score ratio --fpr 0.1 \
    --limit 1 synthetic:shapes
run 0 score -m in.model -g other.model --limit 1 synthetic:shapes
expect_err 'warning: no p-values: .*another general model'
run 0 score -m in.model --score nll --fpr 0.1 --limit 1 synthetic:shapes

# ---- ensembles
expect_failure 1 'see --ensemble' score -m in.model --score ensemble --limit 1 synthetic:shapes
run 0 score -m in.model --ensemble general.model --ensemble other.model --score ensemble \
    --limit 3 synthetic:shapes
cp "$out" ensemble.csv
column ensemble.csv score >together
for model in in general other; do
    run 0 score -m $model.model --limit 3 synthetic:shapes
    column "$out" nll >$model.nll
done
paste together in.nll general.nll other.nll | awk '{ m = ($2 + $3 + $4) / 3
    v = (($2 - m) ^ 2 + ($3 - m) ^ 2 + ($4 - m) ^ 2) / 2; d = ($1 - m - v) / $1
    if (d > 1e-9 || d < -1e-9) exit 1 }' || fail 'ensemble is not mean + variance'
expect_failure 1 'same image size' score -m in.model --ensemble small.model --score ensemble \
    --limit 1 synthetic:shapes
run 0 calibrate -q -m in.model --ensemble other.model --data synthetic:shapes:200
run 0 score -m in.model --ensemble other.model --score ensemble --fpr 0.1 --limit 3 \
    synthetic:shapes
expect_failure 1 'another ensemble' score -m in.model --ensemble general.model --score ensemble \
    --fpr 0.1 --limit 3 synthetic:shapes

# ---- classes
run 0 score -m classes.model -g general.model --score class --limit 3 synthetic:shapes
cp "$out" classes.csv
expect_out ',predicted_class,logp_class0,logp_class1,logp_class2,score,resized_from,notes$'
for name in logp_general score logp_class0 logp_class1 logp_class2; do
    column classes.csv $name >$name
done
paste logp_general score logp_class0 logp_class1 logp_class2 | awk '{ b = $3
    if ($4 > b) b = $4; if ($5 > b) b = $5; d = $2 - ($1 - b)
    if (d > 1e-6 || d < -1e-6) exit 1 }' || fail 'class is not the best ratio'
expect_failure 1 'no classes' score -m in.model -g general.model --score class --limit 1 \
    synthetic:shapes
expect_failure 1 'general model.*see --general-model' score -m classes.model --score class --limit 1 synthetic:shapes
run 0 score -m classes.model --score mixture --limit 1 synthetic:shapes
expect_failure 1 'no classes' score -m in.model --score mixture --limit 1 synthetic:shapes
run 0 calibrate -q -m classes.model -g general.model --data synthetic:shapes:200
run 0 score -m classes.model -g general.model --score class --fpr 0.1 --limit 3 synthetic:shapes

# ---- removed; damaged
run 0 calibrate -m in.model --remove
expect_failure 1 'outflow calibrate' score -m in.model --fpr 0.1 --limit 1 synthetic:shapes
make_model damaged.model 1 3 16 16 2 1 8 calibration '{"version":1}'
expect_failure 1 'damaged.model: calibration: .images. is missing' score -m damaged.model \
    --fpr 0.1 --limit 1 synthetic:shapes
run 0 score -m damaged.model --limit 1 synthetic:shapes
expect_err 'warning: no p-values: damaged.model: calibration: '
run 0 calibrate -q -m damaged.model --data synthetic:shapes:100
run 0 score -m damaged.model --fpr 0.1 --limit 1 synthetic:shapes

# ---- training data are named as such
make_model trained.model 1 3 16 16 2 1 8 training '{"data":{"source":"synthetic:shapes:150"}}'
run 0 calibrate -m trained.model --data synthetic:shapes:150
expect_err 'warning: synthetic:shapes:150 is what the model was trained on'
run 0 calibrate -m trained.model --data part:0.2-1:synthetic:shapes:150
expect_err 'warning: part:0.2-1:synthetic:shapes:150 is what the model was trained on'
make_model mixed.model 1 3 16 16 2 1 8 training '{"data":{"sources":[{"source":"a.tar"},
    {"source":"part:0.5-1:synthetic:shapes:250"}]}}'
run 0 calibrate -m mixed.model --data part:0.4-1:synthetic:shapes:250
expect_err 'warning: part:0.4-1:synthetic:shapes:250 is what the model was trained on'
run 0 calibrate -m mixed.model --data part:0-0.5:synthetic:shapes:250
expect_equal 'a part that was held out' "$(grep -c 'trained on' "$err")" 0

# ---- model, general model and calibration in one file
expect_failure 2 '--bundle needs --out' calibrate -m in.model -g general.model --bundle \
    --data synthetic:shapes:150
expect_failure 1 'a bundle needs a general model.*--general-model' calibrate -m in.model --bundle \
    --data synthetic:shapes:150 -o bundle.model
if [ -e bundle.model ]; then fail 'a failed run left a bundle'; fi
run 0 calibrate -q -m in.model -g general.model --bundle --data synthetic:shapes:150 -o bundle.model
run 0 calibrate -q -m in.model -g general.model --data synthetic:shapes:150 -o pair.model
run 0 score -q -m pair.model -g general.model --fpr 0.1 --limit 20 synthetic:digits
cp "$out" pair.csv
run 0 score -q -m bundle.model --fpr 0.1 --limit 20 synthetic:digits
expect_same_files pair.csv "$out"
run 0 score -q -m bundle.model --score ratio --limit 2 synthetic:digits
run 0 inspect bundle.model
expect_out '^general model .*in the same file'
run 0 calibrate -q -m bundle.model --data synthetic:digits:120
run 0 score -q -m bundle.model --score ratio --limit 2 synthetic:digits
run 0 eval -q -m bundle.model --in synthetic:shapes --out-of d=synthetic:digits --limit 20
expect_out 'ratio'

# ---- files that cannot be read are counted
make_images small.model images 3
for i in $(seq 100); do cp "images/$((i % 3)).png" "images/x$i.png"; done
echo text >images/text.png
run 3 calibrate -q -m small.model --data images
expect_err 'warning: .*text.png'
finish
