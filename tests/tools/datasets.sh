#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/datasets against a web server of its own: what arrives whole, in parts, wrong or not at all.
#
#   datasets.sh SOURCE_DIR OUTFLOW
set -uo pipefail
source=$1 outflow=$2
for program in curl python3 tar; do
    command -v $program >/dev/null || { echo "SKIPPED: there is no $program" && exit 77; }
done
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY
work=$(mktemp -d)
server=''
clean() {
    [[ -z $server ]] || kill "$server"
    rm -rf "$work"
}
trap clean EXIT
cd "$work" || exit 1

failures=0 checks=0
fail() {
    failures=$((failures + 1))
    echo "FAILED: $*"
    sed 's/^/  stdout: /' out | head -n 5
    sed 's/^/  stderr: /' err | head -n 10
}
run() { # code, arguments
    local expected=$1 code=0
    shift
    checks=$((checks + 1))
    command="datasets $*"
    "$source/tools/datasets" "$@" >out 2>err </dev/null || code=$?
    [[ $code == "$expected" ]] || fail "$command: exit code $code instead of $expected"
}
says() { # file, pattern
    checks=$((checks + 1))
    grep -q -e "$2" "$1" || fail "$command: $1 does not say '$2'"
}
same() { # what, actual, expected
    checks=$((checks + 1))
    [[ $2 == "$3" ]] || fail "$1 is '$2' instead of '$3'"
}

# ---- files to serve: real ones in small, so that outflow can read what was downloaded
mkdir served cifar-10-batches-bin cifar-100-binary
record() { # label bytes..., then 3072 bytes
    # shellcheck disable=SC2059 # labels are escapes
    printf "$1"
    head -c 3072 /dev/urandom
}
for batch in data_batch_{1..5} test_batch; do
    { record '\3' && record '\7'; } >"cifar-10-batches-bin/$batch.bin"
done
{ record '\3\12' && record '\7\13'; } >cifar-100-binary/train.bin
record '\3\12' >cifar-100-binary/test.bin
tar -czf served/cifar-10-binary.tar.gz cifar-10-batches-bin
tar -czf served/cifar-100-binary.tar.gz cifar-100-binary
{ printf '\0\0\10\3\0\0\0\2\0\0\0\34\0\0\0\34' && head -c 1568 /dev/urandom; } | gzip >served/train-images-idx3-ubyte.gz
printf '\0\0\10\1\0\0\0\2\1\2' | gzip >served/train-labels-idx1-ubyte.gz
head -c 300000 /dev/urandom >served/large

python3 "$source/tests/tools/server.py" served port requests &
server=$!
for _ in {1..100}; do
    [[ -s port ]] && break
    sleep 0.1
done
[[ -s port ]] || { echo 'FAILED: the server does not start' && exit 1; }
site=http://127.0.0.1:$(<port)
md5() {
    md5sum <"served/$1" | cut -d' ' -f1
}

# ---- a table of a mirror; everything arrives, is unpacked, and can be read
{
    echo '# a comment'
    echo "cifar10 cifar-10-binary.tar.gz $(md5 cifar-10-binary.tar.gz) $site/good/cifar-10-binary.tar.gz"
    echo "cifar100 cifar-100-binary.tar.gz $(md5 cifar-100-binary.tar.gz) $site/good/cifar-100-binary.tar.gz"
    for file in train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz; do
        echo "mnist $file $(md5 $file) $site/none/$file $site/good/$file"
    done
} >table
run 0 --table table --to 'a folder' all
says err 'checksum is right'
says err '404\|does not have'
says out 'train: a folder/cifar10/train '
same 'batches' "$(find 'a folder/cifar10/train' -name '*.bin' | wc -l)" 5
model=$source/models/demo-shapes.safetensors
if [[ -f $model ]]; then
    for set in cifar10/train:10 cifar10/test:2 cifar100/train.bin:2 mnist/train-images-idx3-ubyte.gz:2; do
        same "images of $set" "$("$outflow" score -q -m "$model" "a folder/${set%:*}" | sed 1d | wc -l)" \
            "${set#*:}"
    done
fi
same 'leftovers' "$(find 'a folder' -name '*.part' -o -name '.unpack*')" ''
before=$(wc -l <requests)
run 0 --table table --to 'a folder' cifar10 mnist
says err 'there already'
same 'requests of a second run' "$(wc -l <requests)" "$before"
run 0 --table table --to 'a folder' --check
says out 'mnist/train-images-idx3-ubyte.gz: fine'
rm 'a folder/cifar10/train/data_batch_3.bin'
run 1 --table table --to 'a folder' --check
says out 'cifar10: not unpacked'
run 0 --table table --to 'a folder' cifar10
same 'batches unpacked again' "$(find 'a folder/cifar10/train' -name '*.bin' | wc -l)" 5
echo damage >>'a folder/mnist/train-labels-idx1-ubyte.gz'
run 1 --table table --to 'a folder' --check mnist
says out 'train-labels-idx1-ubyte.gz: damaged'
run 1 --table table --to 'a folder' mnist
says err 'its checksum is wrong'

# ---- one large file, in every way
one() { # kinds of address...
    local kind addresses=''
    for kind in "$@"; do
        addresses+=" $site/$kind/large"
    done
    echo "large large $(md5 large)$addresses" >one
}
requests_since() {
    tail -n "+$((before + 1))" requests | sed 's/ *$//' | tr '\n' ';'
}
again() { # forgets what was downloaded
    rm -rf to
    before=$(wc -l <requests)
}

again
one cut
run 1 --table one --to to large
says err 'ended early: run the same command'
[[ -s to/large/large.part && ! -e to/large/large ]] || fail 'the part is not kept'
run 0 --table one --to to large
cmp -s to/large/large served/large || fail 'what was continued is not the file'
same 'requests' "$(requests_since)" "cut large;cut large bytes=150000-;"

again
one slow
command='datasets, ended by a signal'
"$source/tools/datasets" --table one --to to large >out 2>err </dev/null &
downloading=$!
for _ in {1..100}; do
    (($(stat -c %s to/large/large.part 2>/dev/null || echo 0) > 100000)) && break
    sleep 0.1
done
kill -TERM $downloading
wait $downloading
same 'exit code after a signal' $? 130
says err 'interrupted: the same command goes on'
one good
run 0 --table one --to to large
cmp -s to/large/large served/large || fail 'what was interrupted is not the file'
same 'requests' "$(requests_since | sed 's/=[1-9][0-9]*-/=N-/')" "slow large;good large bytes=N-;"

again # a name with apostrophes, and an archive without what it should hold
mkdir -p Bobs and empty
: >Bobs/file
tar -czf served/cifar-10-binary.tar.gz.bare empty
mv served/cifar-10-binary.tar.gz whole.tar.gz
mv served/cifar-10-binary.tar.gz.bare served/cifar-10-binary.tar.gz
echo "cifar10 cifar-10-binary.tar.gz $(md5 cifar-10-binary.tar.gz) $site/good/cifar-10-binary.tar.gz" >bare
run 1 --table bare --to "Bob's and Al's data" cifar10
says err 'there is no data_batch_1.bin in it'
[[ -e Bobs/file && -d and ]] || fail 'folders of somebody else are gone'
same 'what is left' "$(ls -A "Bob's and Al's data/cifar10")" cifar-10-binary.tar.gz
mv whole.tar.gz served/cifar-10-binary.tar.gz

again # interrupted, and then a server that cannot continue
mkdir -p to/large
head -c 1000 served/large >to/large/large.part
one plain
run 0 --table one --to to large
says err 'beginning again'
cmp -s to/large/large served/large || fail 'what was begun again is not the file'

again # a part of something else
mkdir -p to/large
head -c 1000 /dev/zero >to/large/large.part
one good
run 0 --table one --to to large
cmp -s to/large/large served/large || fail 'a wrong part was kept'

again # a part that is longer than the file
mkdir -p to/large
cat served/large served/table 2>/dev/null >to/large/large.part
echo more >>to/large/large.part
run 0 --table one --to to large
cmp -s to/large/large served/large || fail 'a part that is too long was kept'

again # a part that is complete needs no network
mkdir -p to/large
cp served/large to/large/large.part
run 0 --table one --to to large
same 'requests' "$(requests_since)" ''

again
one wrong
run 1 --table one --to to large
says err 'the checksum is [0-9a-f]* instead of '
same 'what a wrong checksum leaves' "$(ls to/large)" ''
one wrong good
run 0 --table one --to to large
cmp -s to/large/large served/large || fail 'the second address was not tried'

again
one none
run 1 --table one --to to large
says err '404'
says err 'By hand: put the file at to/large/large'
same 'what a missing file leaves' "$(ls to/large)" ''

again # nobody listens
echo "large large $(md5 large) http://127.0.0.1:9/large" >one
run 1 --table one --to to large
says err 'cannot reach 127.0.0.1:9'
echo "large large $(md5 large) http://no-such-host.invalid/large" >one
run 1 --table one --to to large
says err 'cannot find no-such-host.invalid: is there a network'

# ---- usage
run 2
says err 'no data set is named'
run 2 imagenet
says err "no data set 'imagenet': cifar10, cifar100, svhn, mnist, fashion-mnist or all"
run 2 --nonsense
run 2 --to
for line in '../up large 0 http://x' "up ../large $(md5 large) http://x" "up large $(md5 large) gopher://x" \
    "up large $(md5 large)"; do
    echo "$line" >bad
    run 2 --table bad large
    says err 'bad: file 1 is not of the form'
done
run 0 --list
says out 'house numbers'
same 'built-in files' "$(grep -c '[0-9a-f]\{32\}' out)" 12
run 1 --check --to nowhere

echo "$checks checks, $failures failures"
((failures == 0))
