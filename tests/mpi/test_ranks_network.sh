# SPDX-License-Identifier: Apache-2.0
# Two ranks on two hosts, as far as their network is concerned: network namespaces with a virtual
# cable, which is then pulled. Needs root and Open MPI.
#
#   test_ranks_network.sh PROGRAM HELPER_FOLDER LAUNCHER
. "$(dirname "$0")/../cli/lib.sh"
. "$(dirname "$0")/lib.sh"

here=outflow-$$-a there=outflow-$$-b
skip() {
    echo "skipped: $1"
    exit 77
}
lay_cable() {
    ip netns add "$here" && ip netns add "$there" &&
        ip link add "ofa$$" netns "$here" type veth peer name "ofb$$" netns "$there" &&
        ip -n "$here" addr add 10.213.7.1/30 dev "ofa$$" &&
        ip -n "$there" addr add 10.213.7.2/30 dev "ofb$$" &&
        ip -n "$here" link set "ofa$$" up && ip -n "$there" link set "ofb$$" up &&
        ip -n "$here" link set lo up && ip -n "$there" link set lo up
}
remove_hosts() {
    for host in "$here" "$there"; do
        ip netns pids "$host" 2>/dev/null | xargs -r kill -KILL 2>/dev/null
        ip netns del "$host" 2>/dev/null
    done
}
command -v ip >/dev/null || skip 'there is no ip (iproute2)'
trap 'remove_hosts; rm -rf "$folder" "$log"' EXIT
lay_cable 2>/dev/null || skip 'network namespaces cannot be made: this needs root'

# What Open MPI calls instead of ssh: HOST COMMAND...
cat >agent.sh <<SCRIPT
#!/bin/sh
[ "\$1" = 10.213.7.1 ] && host=$here || host=$there
shift
exec ip netns exec \$host sh -c "\$*"
SCRIPT
chmod +x agent.sh
cat >launch.sh <<SCRIPT
#!/bin/sh
exec ip netns exec $here $launcher --host 10.213.7.1:1,10.213.7.2:1 \
    --mca plm_rsh_agent $PWD/agent.sh --mca btl tcp,self \
    --mca btl_tcp_if_include 10.213.7.0/30 --mca oob_tcp_if_include 10.213.7.0/30 \
    --mca oob_tcp_keepalive_time 5 --mca oob_tcp_keepalive_intvl 5 --mca oob_tcp_keepalive_probes 2 \
    "\$@"
SCRIPT
chmod +x launch.sh
launcher=$PWD/launch.sh

base='--data synthetic:shapes:50 --steps 2 --hidden 8 --scales 2 --size 16x16 --lr 0.005 --batch 16
    --threads 1 --lanes 2 --checkpoint-every 0'
# shellcheck disable=SC2086
{
    run 0 train $base --images 320 --out one.model
    run_ranks 0 2 train $base --images 320 --out two.model
}
expect_equal 'weights over a network' "$(weights two.model)" "$(weights one.model)"

# ---- the cable is pulled: the ranks lose each other, the next start goes on
# shellcheck disable=SC2086
start_ranks 2 train $base --images 100000000 --out cut.model
wait_for cut.model.checkpoint
sleep 0.5
began=$(date +%s)
ip -n "$there" link set "ofb$$" down
wait "$job"
code=$?
checks=$((checks + 2))
[ "$code" -ne 0 ] || fail 'a lost network did not end the job with a failure'
[ $(($(date +%s) - began)) -le 40 ] || fail 'a lost network did not end the job in time'
# whoever notices first: mpirun, thanks to its keepalive, or the neighbour
cat "$out" >>"$err"
expect_err 'lost communication with a remote daemon\|rank 1 (.*) has given no sign of life'
# shellcheck disable=SC2086
run 0 train $base --minutes 0.01 --images 100000000 --out cut.model --resume
expect_err 'resumed at step'
finish
