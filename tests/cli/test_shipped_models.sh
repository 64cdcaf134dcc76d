# SPDX-License-Identifier: Apache-2.0
# The models that come with the program: small, found by name, calibrated, and as good on real
# images as models/README.md says, where these images are at hand.
models=$(cd "$(dirname "$0")/../../models" && pwd)
data=$(cd "$(dirname "$0")/../../.." && pwd)/shared/data
. "$(dirname "$0")/lib.sh"
OUTFLOW_MODELS=$models
export OUTFLOW_MODELS

for file in "$models"/*.safetensors; do
    name=$(basename "$file" .safetensors)
    checks=$((checks + 2))
    [ "$(wc -c <"$file")" -le 8388608 ] || fail "$name has more than 8 MB"
    grep -q "\`$name" "$models/README.md" || fail "models/README.md does not tell of $name"
    run 0 inspect "$name"
done
for name in cifar10 cifar10-outlier fashion-mnist; do
    general=${name%-outlier}-general
    run 0 score -m $name -g $general --fpr 0.05 --limit 10 synthetic:shapes
    expect_out 'combined,.*p_value'
done

if [ ! -e "$data/cifar10-test.tar" ]; then
    echo "SKIPPED: no real images in $data: how good the models are is not tested"
    finish
fi

# at_least SCORE SET LEAST: of the evaluation in eval.json
at_least() {
    value=$("$helpers/json_get" eval.json "out/$2/$1/auroc")
    checks=$((checks + 1))
    awk "BEGIN { exit !($value >= $3) }" || fail "$1 against $2 has AUROC $value, below $3"
}

# evaluate MODEL IN OUT...: on a tenth of each set; 5 % are flagged, as far as so few can tell
evaluate() {
    model=$1
    inside=$2
    shift 2
    sets=
    for name in "$@"; do
        sets="$sets --out-of $name=part:0-0.1:$data/$name-test.tar"
    done
    # shellcheck disable=SC2086
    run 0 eval -q -m "$model" -g "${model%-outlier}-general" --in "part:0-0.1:$data/$inside.tar" \
        $sets --json eval.json
    low=$("$helpers/json_get" eval.json flagged/scores/combined/in/low)
    high=$("$helpers/json_get" eval.json flagged/scores/combined/in/high)
    checks=$((checks + 1))
    awk "BEGIN { exit !($low <= 0.05 && 0.05 <= $high) }" ||
        fail "combined flags $low to $high instead of 0.05"
}

evaluate cifar10 cifar10-test gtsrb mnist fashion-mnist
at_least combined gtsrb 0.9
at_least ratio gtsrb 0.85
at_least combined mnist 0.99
at_least combined fashion-mnist 0.99
at_least ratio mnist 0.99
evaluate cifar10-outlier cifar10-test cifar100 gtsrb mnist fashion-mnist
at_least ratio cifar100 0.78
at_least ratio gtsrb 0.86
at_least ratio mnist 0.98
at_least ratio fashion-mnist 0.98
evaluate fashion-mnist fashion-mnist-test mnist
at_least ratio mnist 0.9
finish
