# SPDX-License-Identifier: Apache-2.0
# A program of several ranks on the shared library: modules are found beside the library as it is
# built, and below it as it is installed; all ranks hear of one's failure.
#
#   test_ranks_library.sh PROGRAM HELPER_FOLDER LAUNCHER CHECK LIBRARY
. "$(dirname "$0")/../cli/lib.sh"
. "$(dirname "$0")/lib.sh"
check=$4 library=$5

export LD_LIBRARY_PATH="${library%/*}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
program=$check
run 0 one.model
expect_out '^1 ranks, 1 here, $'
run_ranks 0 2 two.model
expect_out '^2 ranks, 2 here, .*MPI'
expect_equal 'weights of two ranks' "$(weights two.model)" "$(weights one.model)"

# ---- as it is installed
mkdir lib lib/outflow
cp -L "$library" "lib/$(basename "$library").copy"
soname=$(basename "$library")
mv "lib/$soname.copy" "lib/$soname"
cp "${library%/*}"/outflow_*.so lib/outflow/
LD_LIBRARY_PATH=$PWD/lib:$LD_LIBRARY_PATH
run_ranks 0 2 installed.model
expect_out '^2 ranks, '
expect_equal 'weights of an installed library' "$(weights installed.model)" "$(weights one.model)"
rm lib/outflow/*
run_ranks any 2 none.model
grep -q 'MPI cannot be used: there is no module' "$err" || fail 'a module was found elsewhere'

# ---- a failure of one rank
LD_LIBRARY_PATH=${library%/*}
run_ranks 0 2 failed.model 1
expect_out '^agreed 1: rank 1 (.*): it is broken (data)$'
finish
