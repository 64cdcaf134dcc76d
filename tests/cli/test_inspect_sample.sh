# SPDX-License-Identifier: Apache-2.0
# outflow inspect and outflow sample.
. "$(dirname "$0")/lib.sh"

make_model in.model 1 3 16 16 2 3 8 training '{"epochs": 3}'
make_model grey.model 1 1 8 16 1 1 4

# ---- inspect
run 0 inspect in.model
expect_out '^architecture  *glow, conv block, affine coupling, invconv (LU)$'
expect_out '^image  *3 x 16 x 16'
expect_out '^size  *2 scales, 3 steps a scale, 8 hidden$'
expect_out '^parameters  *[1-9][0-9]*, [1-9][0-9]* of them trained$'
expect_out 'training: {"epochs": 3}'
expect_out '^cost  *[0-9]'
expect_out '^memory  *[0-9.]* .* packed weights, .* workspace$'
expect_out '^scales\.[01]\..*steps\.0-2'
folded=$(lines "$out")
run 0 inspect --layers in.model
[ "$(lines "$out")" -gt "$folded" ] || fail '--layers shows no more lines'
expect_out '^scales\.1\.steps\.2\.'
run 0 inspect --json --isa scalar --threads 1 --micro-batch 2 in.model
cp "$out" in.json
expect_equal 'family' "$(json in.json architecture/family)" glow
expect_equal 'image' "$(json in.json architecture/image)" '[3,16,16]'
expect_equal 'input' "$(json in.json architecture/input/scale)" 0.00390625
expect_equal 'split prior' "$(json in.json architecture/split_prior)" none
expect_equal 'edges' "$(json in.json architecture/edges)" '[]'
expect_equal 'isa' "$(json in.json plan/isa)" scalar
expect_equal 'threads' "$(json in.json plan/threads)" 1
expect_equal 'micro-batch' "$(json in.json plan/micro_batch)" 2
expect_equal 'training' "$(json in.json metadata/training)" '{"epochs": 3}'
for key in parameters trained_parameters flops_per_image plan/weight_bytes plan/layers; do
    json in.json $key >value || fail "$key is missing"
    if grep -q '^0$\|^\[\]$' value; then fail "$key is zero"; fi
done

# ---- inspect --ops: the model's list, and what each pass makes of it
run 0 inspect --ops in.model
for pass in model fold fuse taps choose; do
    expect_out "^$pass\$"
done
expect_out '^  scales\.0\.input  *input  *12->12 at 8x8$'
expect_out '^  scales\.0\.steps\.0-2\.conv1  *actnorm  *8->8 at 8x8$'
expect_out '^  scales\.0\.steps\.0-2\.mix  *map  *12->12 at 8x8$'
expect_out '^  scales\.0\.steps\.0-2\.conv1  *convolution  *3x3 6->8 +relu at 8x8$'
expect_out '^  scales\.0\.steps\.0-1\.coupling  *tail  *12->12 +map at 8x8$'
expect_out '^  scales\.1\.prior  *latents '
of_pass() { awk -v pass="$1" '/^[a-z]/ {in_pass = $0 == pass} in_pass' "$out"; }
if of_pass fold | grep -q ' relu '; then fail 'fold leaves a ReLU'; fi
if of_pass fuse | grep -Eq ' (squeeze|map|coupling|gaussian) '; then fail 'fuse leaves ops'; fi
run 0 inspect --ops --layers in.model
expect_equal 'what runs' "$(of_pass choose | grep -c '^  ')" \
    "$(json in.json plan/layers | grep -o '"name"' | wc -l)"
run 0 inspect grey.model
expect_out '^image  *1 x 8 x 16'

# ---- sample
png_number() { # FILE OFFSET: four bytes, big-endian
    od -An -tu1 -j "$2" -N 4 "$1" | awk '{ print (($1 * 256 + $2) * 256 + $3) * 256 + $4 }'
}
run 0 sample -m in.model --count 5 --temperature 0.7 --seed 3 -o grid.png
expect_equal 'standard output' "$(lines "$out")" 0
expect_equal 'width of 3 columns' "$(png_number grid.png 16)" 52
expect_equal 'height of 2 rows' "$(png_number grid.png 20)" 34
run 0 sample -m in.model --count 5 --temperature 0.7 --seed 3 --threads 1 -q -o again.png
expect_silent_err
expect_same_files grid.png again.png
run 0 sample -m in.model --count 5 --temperature 0.7 --seed 4 -o other.png
if cmp -s grid.png other.png; then fail 'the seed changes nothing'; fi
run 0 sample -m in.model --count 5 --columns 5 -o row.png
expect_equal 'width of 5 columns' "$(png_number row.png 16)" 88
expect_equal 'height of 1 row' "$(png_number row.png 20)" 16
run 0 sample -m grey.model --count 1 --columns 9 --temperature 0 -o grey.png
expect_equal 'width' "$(png_number grey.png 16)" 16
expect_equal 'height' "$(png_number grey.png 20)" 8
run 0 score -m grey.model grey.png
expect_equal 'number of lines' "$(lines "$out")" 2
expect_failure 1 'cannot write nowhere/grid.png' sample -m in.model -o nowhere/grid.png
finish
