#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The programs of docs/api-c.md, built against an installed copy (through pkg-config shared and
# static, and through find_package), do what the program does, with the same numbers.
#
#   run.sh SOURCE_DIR BUILD_DIR SCRATCH_DIR C_COMPILER [COMPILER_FLAG...]
set -euo pipefail
source=$1 build=$2 scratch=$3 compiler=$4
shift 4
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"

fail() {
    echo "api: $*" >&2
    exit 1
}

# ---- Building ----

awk '/^<!-- program: / {name = $3; next}
     /^```c$/ && name != "" {inside = 1; next}
     /^```$/ {inside = 0; name = ""}
     inside {print > name}' "$source/docs/api-c.md"
programs=(score calibrate train evaluate)
for name in "${programs[@]}"; do
    [[ -s $name.c ]] || fail "docs/api-c.md has no program $name.c"
done

cmake --install "$build" --prefix "$scratch/prefix" >install.log
library_dir=$(dirname "$(find "$scratch/prefix" -name liboutflow.so)")
export PKG_CONFIG_PATH=$library_dir/pkgconfig
warnings=(-std=c11 -Wall -Wextra -Wpedantic -Werror)
read -ra shared < <(pkg-config --cflags --libs outflow)
read -ra static_flags < <(pkg-config --static --cflags --libs outflow)
{
    echo 'cmake_minimum_required(VERSION 3.16)'
    echo 'project(api LANGUAGES C)'
    echo 'find_package(outflow REQUIRED)'
    for name in "${programs[@]}"; do
        echo "add_executable($name ../$name.c)"
        echo "target_link_libraries($name PRIVATE outflow::outflow)"
    done
} >CMakeLists.txt
mkdir -p shared static project
mv CMakeLists.txt project/
for name in "${programs[@]}"; do
    "$compiler" "${warnings[@]}" "$@" "$name.c" "${shared[@]}" -o "shared/$name"
    "$compiler" "${warnings[@]}" "$@" "$name.c" "${static_flags[@]/#-loutflow/-l:liboutflow.a}" \
        -o "static/$name"
done
CMAKE_PREFIX_PATH=$scratch/prefix cmake -G Ninja -S project -B found \
    -DCMAKE_C_COMPILER="$compiler" -DCMAKE_C_FLAGS="$*" >cmake.log
cmake --build found >>cmake.log

# ---- Running: each kind of build once, compared with the program ----

outflow=$scratch/prefix/bin/outflow
unset OUTFLOW_MODELS
export LD_LIBRARY_PATH=$library_dir
model=demo-shapes general=demo-general # by name: they are found beside the installed library

# The value of a column of the program's first row.
column() { # FILE.csv NAME
    awk -F, -v name="$2" 'NR == 1 {for (i = 1; i <= NF; i++) if ($i == name) at = i; next}
        NR == 2 {print $at}' "$1"
}
# The second word of the line that begins with a name.
word() { # FILE NAME
    awk -v name="$2" '$1 == name {print $2}' "$1"
}
same() { # WHAT, the example's, the program's
    [[ -n $2 && $2 == "$3" ]] || fail "$1: the example has '$2', the program '$3'"
}

"$outflow" calibrate --quiet --model $model --general-model $general \
    --data synthetic:shapes:300 --out calibrated.safetensors
"$outflow" sample --quiet --model $model --count 1 --seed 5 --out image.png
"$outflow" score --quiet --model calibrated.safetensors --general-model $general --fpr 0.05 \
    --out row.csv image.png
./shared/score image.png heat.png calibrated.safetensors $general >score.txt
same combined "$(word score.txt combined)" "$(column row.csv combined)"
same p_value "$(word score.txt p_value)" "$(column row.csv p_value)"
same anomalous "$(word score.txt anomalous)" "$(column row.csv anomalous)"
[[ $(word score.txt PNG) == 32x32 ]] || fail "score: $(cat score.txt)"
"$outflow" score --quiet --model calibrated.safetensors --general-model $general \
    --heatmaps maps --out row.csv image.png
cmp heat.png maps/0001-image.png.png || fail "the heat map differs from the program's"
if ./shared/score "$0" heat.png $model $general >bad.txt 2>bad.err; then
    fail "a file that is no image was scored"
fi
[[ $(wc -l <bad.err) == 1 ]] || fail "no line of error for a bad image"

# linked into a program that lies anywhere, the library has nothing beside it
static=(env OUTFLOW_MODELS="$scratch/prefix/share/outflow/models" ./static/calibrate)
"${static[@]}" synthetic:shapes:300 bundle.safetensors $model $general >calibrate.txt
"$outflow" score --quiet --model bundle.safetensors --fpr 0.05 --out bundle.csv image.png
for name in ratio combined p_value anomalous; do
    "$outflow" score --quiet --model calibrated.safetensors --general-model $general --fpr 0.05 \
        --out row.csv image.png
    same "bundle: $name" "$(column bundle.csv $name)" "$(column row.csv $name)"
done
if "${static[@]}" synthetic:shapes:20 few.safetensors $model $general 2>/dev/null; then
    fail "20 images were enough to calibrate"
fi
[[ ! -e few.safetensors ]] || fail "a failed calibration left a file"

options=(--quiet --data synthetic:shapes --scales 3 --steps 1 --hidden 8 --size 32x32 --channels 3
    --batch 8 --images 1600 --seed 3)
"$outflow" train "${options[@]}" --out whole.safetensors
./shared/train synthetic:shapes stopped.safetensors 800 >train.txt 2>train.err
grep -q '^stopped after step 100$' train.txt || fail "train: $(cat train.txt)"
[[ $(grep -c '^step ' train.err) -ge 4 ]] || fail "train: no reports"
./shared/train synthetic:shapes unstopped.safetensors 0 >unstopped.txt 2>/dev/null
same "bits/dim of a stopped run" "$(tail -n 1 train.txt)" "$(tail -n 1 unstopped.txt)"
fingerprint() {
    "$outflow" score --quiet --model "$1" --out - synthetic:shapes:4
}
same "weights of a resumed run" "$(fingerprint stopped.safetensors)" \
    "$(fingerprint unstopped.safetensors)"
same "weights of the program's run" "$(fingerprint stopped.safetensors)" \
    "$(fingerprint whole.safetensors)"

./found/evaluate synthetic:shapes synthetic:digits eval.json report.html calibrated.safetensors \
    $general >evaluate.txt
"$outflow" eval --quiet --model calibrated.safetensors --general-model $general --limit 200 \
    --in synthetic:shapes --out-of other=synthetic:digits --json program.json \
    --report program.html >/dev/null
without_times() {
    sed -E 's/("images_per_second[a-z0-9_]*": )[0-9.e+-]+/\1/' "$1"
}
cmp <(without_times eval.json) <(without_times program.json) || fail "eval.json differs"
grep -q '<svg' report.html || fail "the report has no charts"
grep -q '^combined [01]' evaluate.txt || fail "evaluate: $(cat evaluate.txt)"
echo "api: score, calibrate, train and evaluate from C, as the program does them"
