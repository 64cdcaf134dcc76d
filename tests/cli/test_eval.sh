# SPDX-License-Identifier: Apache-2.0
# outflow eval: tables, JSON, conventions, and what it refuses.
. "$(dirname "$0")/lib.sh"

make_model in.model 1 3 16 16 2 2 8
make_model general.model 2 3 16 16 2 3 8
make_model deep.model 3 3 16 16 3 1 8

# ---- the same set on both sides separates nothing
run 0 eval -m in.model --in synthetic:shapes --out-of same=synthetic:shapes --limit 40 \
    --json same.json
expect_out '^same  *AUROC  *AUPR-out  *AUPR-in  *FPR95$'
expect_out '^  nll  *0.5000 '
expect_out '^Convention: outliers are the positive class'
expect_out '^[0-9.]* images/s with '
for score in nll last scale:0 scale:1; do
    expect_equal "auroc of $score" "$(json same.json "out/same/$score/auroc")" 0.5
done
if json same.json out/same/ratio >/dev/null; then fail 'a ratio without a general model'; fi
expect_equal 'general model' "$(json same.json general_model)" null

# ---- everything that the JSON promises
run 0 eval -m in.model -g general.model --in synthetic:shapes --out-of noise=synthetic:noise \
    flat=synthetic:flat --limit 30 --quiet --json all.json
expect_silent_err
expect_out 'rank corr'
for name in noise flat; do
    for score in nll last scale:0 scale:1 ratio ratio-last; do
        for metric in auroc aupr_in aupr_out fpr95; do
            value=$(json all.json "out/$name/$score/$metric")
            awk -v x="$value" 'BEGIN { exit !(x ~ /^[0-9.e-]+$/ && x >= 0 && x <= 1) }' ||
                fail "out/$name/$score/$metric is '$value'"
        done
        expect_equal 'non-finite' "$(json all.json "out/$name/$score/non_finite_out")" 0
    done
    expect_equal "$name's source" "$(json all.json out_sets/$name/source)" "synthetic:$name"
    expect_equal "$name's images" "$(json all.json out_sets/$name/images)" 30
done
expect_equal 'source' "$(json all.json in/source)" synthetic:shapes
expect_equal 'images' "$(json all.json in/images)" 30
expect_equal 'unreadable' "$(json all.json in/unreadable)" 0
expect_equal 'non-finite' "$(json all.json in/non_finite)" 0
for key in bits_per_dim mean_logp bits_per_dim_general mean_logp_general rank_correlation; do
    for name in in noise flat; do
        json all.json "$key/$name" >value || fail "$key/$name is missing"
        grep -q '^-\{0,1\}[0-9]' value || fail "$key/$name is no number"
    done
done
for key in images_per_second convention model version isa threads rank_correlation_all; do
    json all.json "$key" >value || fail "$key is missing"
done

# ---- agrees with outflow score, to the last bit
run 0 score -m in.model -g general.model --limit 30 synthetic:noise
mean=$(awk -F, 'NR > 1 { sum += $4 } END { printf "%.17g", sum / (NR - 1) }' "$out")
awk -v a="$mean" -v b="$(json all.json mean_logp/noise)" \
    'BEGIN { d = a - b; exit !(d < 1e-9 && d > -1e-9) }' || fail 'the mean logp differs'

# ---- JSON alone on standard output
run 0 eval -m in.model --in synthetic:shapes --out-of n=synthetic:noise --limit 5 --json - -q
cp "$out" stdout.json
expect_equal 'images' "$(json stdout.json in/images)" 5

# ---- other numbers of scales: no ratio of the last scales
run 0 eval -m in.model -g deep.model --in synthetic:shapes --out-of n=synthetic:noise --limit 5
expect_out '^  ratio  '
if grep -q 'ratio-last' "$out"; then fail 'ratio-last between other scales'; fi

# ---- unreadable files
make_images in.model images 3
echo text >images/text.png
run 3 eval -m in.model --in images --out-of n=synthetic:noise --limit 4 --json bad.json
expect_err 'warning: .*text.png'
expect_equal 'unreadable' "$(json bad.json in/unreadable)" 1
expect_failure 1 'text.png' eval -m in.model --in images --out-of n=synthetic:noise --strict \
    --limit 5 --json strict.json

# ---- refused
mkdir empty only-bad
echo text >only-bad/text.png
expect_failure 1 'empty' eval -m in.model --in empty --out-of n=synthetic:noise --json e.json
expect_failure 1 'only-bad: no image could be read, 1 failed' eval -m in.model \
    --in synthetic:noise --limit 5 --out-of n=only-bad --json e.json
expect_failure 1 'no-such-file' eval -m in.model --in synthetic:noise --limit 5 \
    --out-of n=no-such-file --json e.json
expect_failure 1 'cannot write nowhere/e.json' eval -m in.model --in synthetic:noise --limit 5 \
    --out-of n=synthetic:flat --json nowhere/e.json
finish
