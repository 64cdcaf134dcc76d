# SPDX-License-Identifier: Apache-2.0
# Models by name: from OUTFLOW_MODELS, or installed beside the program.
. "$(dirname "$0")/lib.sh"

mkdir -p first second prefix/bin prefix/share/outflow/models
make_model first/a.safetensors 1 3 16 16 2 2 8
make_model second/a.safetensors 2 3 16 16 2 2 8
make_model second/b.safetensors 3 3 16 16 2 2 8
make_model prefix/share/outflow/models/c.safetensors 4 3 16 16 2 2 8
cp "$program" prefix/bin/outflow
unset OUTFLOW_MODELS

run 0 score -m first/a.safetensors --limit 2 --quiet synthetic:shapes
cp "$out" expected.csv
OUTFLOW_MODELS=first:second
export OUTFLOW_MODELS
run 0 score -m a --limit 2 --quiet synthetic:shapes
expect_same_files expected.csv "$out"
run 0 score -m a -g b --limit 2 --quiet synthetic:shapes
expect_out 'ratio'
run 0 inspect b
expect_out '^file  *second/b.safetensors'
cp "$out" named
run 0 inspect -m b
expect_same_files named "$out"
run 0 inspect --model second/b.safetensors
expect_same_files named "$out"
run 0 bench --model b --batch 2 --repetitions 1 --seconds 0.001 --quiet
expect_out 'second/b.safetensors'

# a file of that name comes first, a folder does not, and a path is a path
mkdir a
run 0 score -m a --limit 2 --quiet synthetic:shapes
expect_same_files expected.csv "$out"
rmdir a
cp second/a.safetensors a
run 0 score -m a --limit 2 --quiet synthetic:shapes
if cmp -s expected.csv "$out"; then fail 'the file was not taken'; fi
expect_failure 1 'cannot open' score -m ./b synthetic:shapes
expect_failure 1 'nothing: No such file or installed model; installed models: a, b' \
    score -m nothing synthetic:shapes
expect_failure 1 'nothing.safetensors: cannot open' score -m nothing.safetensors synthetic:shapes
cp second/b.safetensors second/shirts10.safetensors
for arguments in 'score -m shirts synthetic:shapes' 'score -m a -g shirst10 synthetic:shapes' \
    'score -m a --ensemble shirts1 synthetic:shapes' 'inspect shirts' 'bench -m shirts' \
    'train --init shirts --data synthetic:shapes -o x.safetensors' \
    'train --general-model shirts --outlier-loss ratio --general-data synthetic:flat
        --data synthetic:shapes -o x.safetensors'; do
    # shellcheck disable=SC2086 # words
    expect_failure 1 "No such file or installed model (did you mean 'shirts10'?)" $arguments
done
rm second/shirts10.safetensors

# without a model, the names there are
expect_failure 2 'option --model FILE is required; installed models: a, b' score synthetic:shapes
OUTFLOW_MODELS=:none:second/
expect_failure 2 'installed models: a, b' score synthetic:shapes
unset OUTFLOW_MODELS
program=$PWD/prefix/bin/outflow
run 0 inspect c
expect_out 'share/outflow/models/c.safetensors'
expect_failure 2 'installed models: c;' score synthetic:shapes

finish
