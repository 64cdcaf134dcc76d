# SPDX-License-Identifier: Apache-2.0
# Helpers of the tests of several ranks, sourced after cli/lib.sh: . lib.sh; $3 is the launcher.
# shellcheck shell=sh disable=SC2034,SC2154
launcher=$3
# The tests may run as root, and on fewer CPUs than there are ranks.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMP_WAIT_POLICY=passive

weights() {
    "$helpers/weights" "$1" 2>&1
}

# run_ranks CODE RANKS ARGUMENTS...; the launcher's own lines are among those of the ranks. Code
# "any": any failure.
run_ranks() {
    expected=$1 ranks=$2
    shift 2
    command="$launcher -n $ranks outflow $*"
    timeout 120 "$launcher" -n "$ranks" "$program" "$@" >"$out" 2>"$err" </dev/null
    code=$?
    if [ "$expected" = any ]; then
        checks=$((checks + 1))
        [ "$code" -ne 0 ] || fail 'no failure'
    else
        check_code "$expected" "$code"
    fi
}

# start_ranks RANKS ARGUMENTS...: in the background, as $job.
start_ranks() {
    ranks=$1
    shift
    command="$launcher -n $ranks outflow $*"
    timeout 120 "$launcher" -n "$ranks" "$program" "$@" >"$out" 2>"$err" </dev/null &
    job=$!
}

wait_for() { # file
    tries=0
    until [ -e "$1" ] || [ $tries -ge 300 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
}

# Of a rank, as the map at the start has it.
pid_of() {
    sed -n "s/^outflow: rank $1: .*process \([0-9]*\),.*/\1/p" "$err"
}

# One line that says this, however many ranks there are.
expect_one_error() {
    checks=$((checks + 1))
    [ "$(grep -c "^outflow: error: .*$1" "$err")" -eq 1 ] || fail "not one error with '$1'"
}

# Rank 1 runs in the folder "elsewhere", as if it were another machine.
in_other_folder() {
    mkdir elsewhere
    cat >rank.sh <<'SCRIPT'
rank=${OMPI_COMM_WORLD_RANK:-$PMI_RANK}
[ "$rank" -ne 1 ] || cd elsewhere || exit 1
exec "$@"
SCRIPT
}

# ranks_in_folders ARGUMENTS...: two ranks of a run that fails.
ranks_in_folders() {
    command="$launcher -n 2 sh rank.sh outflow $*"
    checks=$((checks + 1))
    timeout 120 "$launcher" -n 2 sh rank.sh "$program" "$@" >"$out" 2>"$err" </dev/null &&
        fail 'no failure'
}
