#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks the order of the layers: each uses only those before it, peers (data and model) do not use
# each other, kernels see only headers of simd/, and one file knows oneDNN.
# Both ways of using are checked: #include lines, and symbols in the compiled objects.
# Headers that kernels of several instruction sets share define no function. Files of some folders
# use each other one way.
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

declare -A rank=([core]=0 [simd]=1 [data]=2 [model]=2 [graph]=3 [score]=4 [ranks]=5 [detect]=6
    [train]=7 [evaluate]=8 [report]=9 [fit]=10 [clean]=11 [server]=12 [cli]=13
    [python]=12)

# folders without circles
one_way=(src/core src/data src/model src/graph src/score src/ranks src/detect src/train src/evaluate
    src/report src/fit src/clean src/server)

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
        if [[ $from =~ ^(server|cli|python)$ && $to != "$from" && $target != src/server/server.h ]]; then
            fail "$file includes \"$name\": '$from' sees only public headers"
        fi
        if [[ $file == simd/*/* && $to != simd ]]; then
            fail "$file includes \"$name\": kernels see only headers of simd/"
        fi
    done < <(grep -rEo '^ *# *include +"[^"]+"' --include='*.[ch]' src simd |
        sed -E 's/: *# *include +"([^"]+)"/:\1/')
}

check_onednn() {
    local files
    mapfile -t files < <(grep -rlE '# *include +[<"](oneapi/dnnl/)?dnnl' --include='*.[ch]' \
        --include='*.cc' src simd include bench tests 2>/dev/null)
    if [[ ${#files[@]} != 1 || ${files[0]} != src/graph/* ]]; then
        fail "one file of src/graph includes dnnl.h; here it is: ${files[*]:-none}"
    fi
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
        if [[ -z ${rank[$user]-} || -z ${rank[$used]-} ]]; then
            fail "$file is in no layer"
            continue
        fi
        may_use "$user" "$used" || fail "$file uses $symbol: '$user' may not use '$used'"
    done < <(awk '$2 != "U" {home[$1] = $3} {line[NR] = $0}
        END {for (i = 1; i <= NR; i++) {split(line[i], f, " ")
             if (f[2] == "U" && f[1] in home) print f[3], home[f[1]], f[1], f[4]}}' <<<"$symbols")
}

# Pairs "user used" of files of a folder, then the first circle among them.
circle_in() { # folder, object...
    local folder=$1 object path
    shift
    for object in "$@"; do
        path=$(object_path "$object")
        [[ $path == "$folder"/* ]] || continue
        nm --format=posix "$object" | awk -v file="${path##*/}" \
            '$1 ~ /^of_/ && $2 ~ /^[A-Z]$/ {print $1, $2, file}'
    done | awk '$2 != "U" {home[$1] = $3} {line[NR] = $0}
        END {for (i = 1; i <= NR; i++) {split(line[i], f, " ")
             if (f[2] == "U" && f[1] in home) print f[3], home[f[1]]}}' |
        { tsort 2>&1 >/dev/null || true; } | sed -n 's/^tsort: \([^:]*\)$/\1/p' | tr '\n' ' '
}

check_circles() {
    local folder circle
    for folder in "${one_way[@]}"; do
        circle=$(circle_in "$folder" "$@")
        [[ -z $circle ]] || fail "files of $folder use each other in a circle: $circle"
    done
}

check_mpi() {
    local files
    mapfile -t files < <(grep -rlE '# *include +[<"]mpi\.h' --include='*.[ch]' \
        --include='*.cc' src simd include bench tests 2>/dev/null)
    if [[ ${files[*]} != src/ranks/mpi/transport.c ]]; then
        fail "src/ranks/mpi/transport.c alone includes mpi.h; here it is: ${files[*]:-none}"
    fi
}

# A function in a header that several instruction sets share would be compiled once for each.
check_shared_headers() {
    local header
    for header in simd/*.h simd/scalar/*.h; do
        if sed 's|/\*.*||; s|^ \*.*||' "$header" | grep -E '\binline\b|^\}$' >/dev/null; then
            fail "$header defines a function, and is shared by kernels of several instruction sets"
        fi
    done
}

check_includes
check_onednn
check_mpi
check_symbols "$@"
check_circles "$@"
check_shared_headers
if ((failures)); then
    echo "$failures break(s) of core -> simd -> data, model -> graph -> score -> ranks -> detect" \
        "-> train -> evaluate -> report -> fit -> clean -> cli, or of the other rules above" >&2
    exit 1
fi
echo "layers in order: $(find src simd -name '*.[ch]' | wc -l) files, $# objects"
