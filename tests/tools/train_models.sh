#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/train_models from end to end, on few random images, and what it refuses.
#
#   train_models.sh SOURCE_DIR OUTFLOW
set -uo pipefail
source=$1 outflow=$2
PATH=/usr/bin:$PATH # where python3-numpy is installed for
python3 -c 'import numpy' 2>/dev/null || { echo 'SKIPPED: there is no numpy' && exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

failures=0 checks=0
fail() {
    failures=$((failures + 1))
    echo "FAILED: $*"
    sed 's/^/  stderr: /' err | tail -n 5
}
run() { # code, arguments
    local expected=$1 code=0
    shift
    checks=$((checks + 1))
    "$source/tools/train_models" --outflow "$outflow" "$@" >out 2>err </dev/null || code=$?
    [[ $code == "$expected" ]] || fail "train_models $*: exit code $code instead of $expected"
}
says() { # file, pattern
    checks=$((checks + 1))
    grep -q -e "$2" "$1" || fail "$1 does not say '$2'"
}

# ---- data as tools/datasets makes them: 1,400 images of noise each
python3 - <<'TEXT'
import gzip, os, struct
import numpy as np

random = np.random.default_rng(1)
for folder in ("cifar10/train", "cifar100", "fashion-mnist"):
    os.makedirs("data/" + folder)
noise = random.integers(0, 256, (1400, 3072), np.uint8)
label = np.zeros((1400, 1), np.uint8)
np.hstack([label, noise]).tofile("data/cifar10/train/data_batch_1.bin")
np.hstack([label, label, noise]).tofile("data/cifar100/train.bin")
with gzip.open("data/fashion-mnist/train-images-idx3-ubyte.gz", "wb") as file:
    file.write(struct.pack(">IIII", 2051, 1400, 28, 28) + noise[:, :784].tobytes())
TEXT

run 2
says err '--data DIR is required'
run 2 --data data --images many
says err "'many' is not a whole number"
run 1 --data /nonexistent
says err "^tools/train_models: there is no /nonexistent/cifar10/train: tools/datasets"
[[ $(wc -l <err) == 1 && ! -e trained ]] || fail 'a missing folder is not one line'
run 0 --data data --dry-run
says out 'train .* --images 532000 .*--out trained/cifar10-general.safetensors'
[[ ! -e trained ]] || fail 'a dry run made a folder'

run 0 --data data --out made --images 64
for name in cifar10-general cifar10 cifar10-outlier fashion-mnist-general fashion-mnist; do
    checks=$((checks + 1))
    [[ -e made/$name.safetensors ]] || fail "there is no $name"
done
for name in cifar10 cifar10-outlier fashion-mnist; do
    checks=$((checks + 1))
    "$outflow" score -m made/$name.safetensors -g "made/${name%-outlier}-general.safetensors" \
        --fpr 0.05 --limit 2 synthetic:shapes >out 2>err || fail "$name is not calibrated"
done
run 0 --data data --out made --images 64
checks=$((checks + 1))
! grep -q 'resume' err || fail 'what was there was trained again'

echo "$checks checks, $failures failures"
[[ $failures == 0 ]]
