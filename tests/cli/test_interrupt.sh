# SPDX-License-Identifier: Apache-2.0
# SIGTERM while images are waited for or unpacked: the run ends at once and leaves nothing.
. "$(dirname "$0")/lib.sh"

make_model in.model 1 3 16 16 2 2 8
mkfifo silent

# A text of 16 GiB before the first image: many times the same 64 MiB, each packed by itself.
truncate -s 16G text
tar --format=gnu -cf - text 2>/dev/null | head -c 512 | gzip -1 >piece
cat piece >packed.tgz
head -c 64M /dev/zero | gzip -9 >piece
for _ in 1 2 3 4; do
    cat piece piece piece piece >four
    mv four piece
done
cat piece >>packed.tgz
rm text piece

# ends_soon INPUT ARGUMENTS...
ends_soon() {
    stop_early "$@"
    expect_error 'interrupted by signal 15'
}

stop_early() {
    command="outflow $* <$1 (SIGTERM)"
    input=$1
    shift
    before=$(ls -A)
    began=$(date +%s)
    # Opened for writing as well, a pipe that nobody fills neither ends nor waits to be opened.
    timeout -k 20 -s TERM --preserve-status 1 "$program" "$@" <>"$input" >"$out" 2>"$err"
    check_code 143 $?
    [ $(($(date +%s) - began)) -le 4 ] || fail "it took $(($(date +%s) - began)) s"
    [ "$(ls -A)" = "$before" ] || fail "files were left: $(ls -A)"
}

ends_soon silent score -m in.model - -o o.csv
ends_soon silent eval -m in.model --in - --out-of noise=synthetic:noise -o o.json
ends_soon /dev/null score -m in.model packed.tgz -o o.csv
ends_soon /dev/null score -m in.model part:0-0.5:packed.tgz -o o.csv
ends_soon /dev/null train --data packed.tgz --steps 1 --hidden 8 --scales 2 --size 16x16 \
    --channels 3 --out t.model
# The size and channels of the first image are asked for, when nothing has begun.
stop_early /dev/null train --data packed.tgz --out t.model
finish
