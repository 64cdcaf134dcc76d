#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs the README's examples as printed: every ```sh block that follows a line <!-- run -->, one
# after the other in one scratch directory, and checks that every `outflow VERB --option` of the
# README exists.
#
#   readme.sh README BUILD_DIR SCRATCH_DIR
set -euo pipefail
readme=$(realpath "$1") build=$(realpath "$2")
tree=$(dirname "$readme")
rm -rf "$3"
mkdir -p "$3"
cd "$3"
export PATH=$build:$PATH
ln -s "$tree/models" models
if [[ ! -f models/demo-shapes.safetensors || ! -f models/demo-general.safetensors ]]; then
    echo "models/ has no demo models: tools/demo_models makes them"
    exit 1
fi

failures=0

blocks=0
while IFS= read -r -d '' block; do
    blocks=$((blocks + 1))
    if ! printf '%s' "$block" | bash -euo pipefail /dev/stdin >"block$blocks.out" 2>&1; then
        echo "this example of the README fails:"
        printf '%s' "$block" | sed 's/^/    /'
        tail -n 5 "block$blocks.out"
        failures=$((failures + 1))
    fi
done < <(awk '/^<!-- run -->$/ {armed = 1; next}
    armed && /^```sh$/ {inside = 1; armed = 0; next}
    inside && /^```$/ {inside = 0; printf "%c", 0; next}
    inside {print}' "$readme")

# Every verb and option that the README names must exist.
while read -r verb options; do
    outflow help "$verb" >help.txt 2>&1 || { echo "no verb '$verb'" && failures=$((failures + 1)); }
    for option in $options; do
        grep -qE -- "$option([^a-z-]|\$)" help.txt ||
            { echo "'outflow $verb' has no option $option" && failures=$((failures + 1)); }
    done
done < <(sed -e ':a' -e '/\\$/{N;s/\\\n//;ba' -e '}' "$readme" | awk '
    {while (match($0, /(^|[^\/a-z])outflow (score|calibrate|train|eval|inspect|sample|cpu)[^`|;&]*/)) {
        line = substr($0, RSTART, RLENGTH); $0 = substr($0, RSTART + RLENGTH)
        n = split(line, w, " "); out = ""
        for (i = 1; i <= n; i++) {
            if (w[i] ~ /outflow$/) out = w[i + 1]
            if (w[i] ~ /^--/) out = out " " w[i]
        }
        print out}}')

((blocks > 0)) || { echo "the README has no example to run" && exit 1; }
((failures == 0)) || exit 1
echo "$blocks blocks of examples ran"
