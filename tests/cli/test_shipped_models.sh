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

# at_least WHAT AUROC FILE PATH...
at_least() {
    value=$("$helpers/json_get" "$@" 2>&1)
    checks=$((checks + 1))
}

if [ ! -e "$data/cifar10-test.tar" ]; then
    echo "SKIPPED: no real images in $data: how good the models are is not tested"
    finish
    exit
fi
finish
