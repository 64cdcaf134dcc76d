#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks the order of the layers: each uses only those before it, peers (data and model; train and
# report) do not use each other, kernels see only headers of simd/, and one file knows oneDNN.
# Both ways of using are checked: #include lines, and symbols in the compiled objects.
# Also: code built for an instruction set stays in that set's folder. Headers that several sets
# share define no function, and the objects hold no wider registers than their folder allows.
#
#   layers.sh SOURCE_DIR [OBJECT...]
set -euo pipefail
cd "$1"
shift
failures=0

fail() {
    echo "layer order: $*" >&2
    failures=$((failures + 1))
}

layer_of() { # path below the source tree -> layer name
    case $1 in
    simd/*) echo simd ;;
    src/*/*) local rest=${1#src/} && echo "${rest%%/*}" ;;
    *) echo none ;;
    esac
}

declare -A rank=([core]=0 [simd]=1 [data]=2 [model]=2 [graph]=3 [score]=4 [train]=5 [report]=5 [cli]=6)

object_path() { # object file -> path of its source, without the .o
    local path=${1#*.dir/}
    path=${path#./}
    echo "${path%.o}"
}

may_use() { # user's layer, used layer
    [[ $1 == "$2" ]] || ((rank[$1] > rank[$2]))
}

resolve() { # including file, included name -> path of an own header
    local candidate
    for candidate in "$(dirname "$1")/$2" "src/$2" "simd/$2"; do
        if [[ -f $candidate ]]; then
            realpath --relative-to=. "$candidate"
            return
        fi
    done
}

check_includes() {
    local file name target from to
    while IFS=: read -r file name; do
        from=$(layer_of "$file")
        target=$(resolve "$file" "$name")
        [[ -n $target ]] || continue # a library's header
        to=$(layer_of "$target")
        [[ -n ${rank[$from]-} ]] || { fail "$file is in no layer" && continue; }
        may_use "$from" "$to" || fail "$file includes \"$name\": '$from' may not use '$to'"
        if [[ $file == simd/*/* && $to != simd ]]; then
            fail "$file includes \"$name\": kernels see only headers of simd/"
        fi
    done < <(grep -rEo '^[[:space:]]*#[[:space:]]*include[[:space:]]+"[^"]+"' --include='*.[ch]' src simd |
        sed -E 's/:[[:space:]]*#[[:space:]]*include[[:space:]]+"([^"]+)"/:\1/')
}

check_onednn() {
    local files
    mapfile -t files < <(grep -rlE '#[[:space:]]*include[[:space:]]+[<"](oneapi/dnnl/)?dnnl[^>"]*\.h' src simd include bench tests \
        --include='*.[ch]' --include='*.cc' 2>/dev/null)
    ((${#files[@]} <= 1)) || fail "more than one file includes dnnl.h: ${files[*]}"
    [[ ${#files[@]} == 0 || ${files[0]} == src/graph/* ]] || fail "${files[0]} includes dnnl.h: only src/graph may"
}

# Everything is declared in one public header, so includes alone do not show who calls whom.
check_symbols() {
    local symbols
    symbols=$(for object in "$@"; do
        path=$(object_path "$object")
        nm --format=posix "$object" | awk -v layer="$(layer_of "$path")" -v file="$path" \
            '$1 ~ /^of_/ && $2 ~ /^[A-Z]$/ {print $1, $2, layer, file}'
    done)
    while read -r user used symbol file; do
        [[ -n ${rank[$user]-} && -n ${rank[$used]-} ]] || { fail "$file is in no layer" && continue; }
        may_use "$user" "$used" || fail "$file uses $symbol: '$user' may not use '$used'"
    done < <(awk '$2 != "U" {home[$1] = $3} {line[NR] = $0}
        END {for (i = 1; i <= NR; i++) {split(line[i], f, " ")
             if (f[2] == "U" && f[1] in home) print f[3], home[f[1]], f[1], f[4]}}' <<<"$symbols")
}

check_instruction_sets() {
    local header object path registers
    for header in simd/*.h simd/scalar/*.h; do
        if grep -nE '\binline\b|^\}$' "$header" | grep -vE '^[0-9]+: ?\*' >/dev/null; then
            fail "$header defines a function: each instruction set would compile its own copy"
        fi
    done
    for object in "$@"; do
        path=$(object_path "$object")
        case $path in
        simd/avx512/*) continue ;;
        simd/avx2/*) registers=zmm ;;
        *) registers='[yz]mm' ;;
        esac
        if objdump -d --no-show-raw-insn "$object" | grep -E "%$registers[0-9]" >/dev/null; then
            fail "$path uses $registers registers"
        fi
    done
}

check_includes
check_onednn
check_symbols "$@"
check_instruction_sets "$@"
if ((failures)); then
    echo "$failures break(s) of: core -> simd -> data, model -> graph -> score -> train, report -> cli" >&2
    exit 1
fi
echo "layers in order: $(find src simd -name '*.[ch]' | wc -l) files, $# objects"
