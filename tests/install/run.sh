#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs a build into a scratch prefix, moves it, and uses it as a stranger would: the example is
# built and run through pkg-config (shared and static) and through find_package, and the installed
# program is started.
#
#   run.sh BUILD_DIR SCRATCH_DIR C_COMPILER [COMPILER_FLAG...]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$1 scratch=$2 compiler=$3
shift 3
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"

cmake --install "$build" --prefix "$scratch/first" >install.log
mv first prefix # nothing installed may remember where it was put
library_dir=$(dirname "$(find "$scratch/prefix" -name liboutflow.so)")

check() { # name, program...
    local name=$1
    shift
    "$@" >"$name.txt"
    grep -q 'restored from the latents' "$name.txt"
    cmp "$name.txt" pkgconfig.txt
    echo "$name: $(tail -n 1 "$name.txt")"
}

export PKG_CONFIG_PATH=$library_dir/pkgconfig
read -ra shared < <(pkg-config --cflags --libs outflow)
"$compiler" -std=c11 "$@" "$here/example.c" "${shared[@]}" -lm -o example_shared
check pkgconfig env LD_LIBRARY_PATH="$library_dir" ./example_shared

read -ra static < <(pkg-config --static --cflags --libs outflow)
"$compiler" -std=c11 "$@" "$here/example.c" "${static[@]/#-loutflow/-l:liboutflow.a}" \
    -o example_static
if readelf -d example_static | grep liboutflow >/dev/null; then
    echo "the static example needs the shared library" >&2
    exit 1
fi
check static ./example_static

export CMAKE_GENERATOR=Ninja CMAKE_PREFIX_PATH=$scratch/prefix
awk '/^```cmake$/ {inside = 1; next} /^```$/ {inside = 0} inside' "$here/../../README.md" >readme.cmake
grep -q '^target_link_libraries(example ' readme.cmake
cmake -S "$here" -B cmake -DREADME_LINES="$scratch/readme.cmake" -DCMAKE_C_COMPILER="$compiler" -DCMAKE_C_FLAGS="$*" >cmake.log
cmake --build cmake >>cmake.log
check find_package ./cmake/example

# A project that needs another major version must be told so at once.
mkdir other
printf '%s\n' 'cmake_minimum_required(VERSION 3.16)' 'project(other LANGUAGES NONE)' \
    'find_package(outflow 99 REQUIRED)' >other/CMakeLists.txt
if cmake -S other -B other/build >other.log 2>&1; then
    echo "find_package(outflow 99) was satisfied" >&2
    exit 1
fi

prefix/bin/outflow help >help.txt

# The components are all there is, each with what its name says.
for component in runtime dev models tools; do
    cmake --install "$build" --prefix "$scratch/$component" --component "$component" >>install.log
done
list() {
    (cd "$1" && find . -type f -o -type l) | sort
}
diff <(list prefix) <(for component in runtime dev models tools; do list "$component"; done | sort)
[[ -e tools/bin/outflow && -e models/share/outflow/models/demo-shapes.safetensors ]]
[[ -e dev/include/outflow/detect.h && ! -e dev/bin ]]
find runtime -name 'liboutflow.so.*' | grep -q .
if find runtime -name '*.a' -o -name '*.h' | grep -q .; then
    echo "runtime has what only developers need" >&2
    exit 1
fi
