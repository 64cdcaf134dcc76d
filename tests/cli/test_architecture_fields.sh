# SPDX-License-Identifier: Apache-2.0
# Models with everything that an architecture's fields say: inspect, score, sample, heat maps.
. "$(dirname "$0")/lib.sh"

make_variant() { # FILE NAME
    "$helpers/make_variant" "$@" || {
        echo 'FAILED: make_variant'
        exit 1
    }
}
make_variant all.model 'all fields'
make_variant edges.model 'edges all'
make_variant bits.model 'input.bits 5'

# ---- inspect
run 0 inspect all.model
expect_out '^input  *6 bits, scale 0.015625, shift 0.0078125, bin 0.015625, logit 0.1$'
expect_out '^latents  *second$'
expect_out '^split prior  *conv$'
expect_out '^edges  *conv1 conv3 split$'
expect_out '^scale map  *tanh$'
expect_out '^shift  *after$'
expect_out '^network input  *affine-relu$'
expect_out '^leak  *0\.1$'
expect_out '^closing map  *yes$'
expect_out '^scales\.0\.split_prior  *tap sum, affine '
if grep -q '^scales\.1\.split' "$out"; then fail 'the last scale has a split prior'; fi
run 0 inspect --json all.model
cp "$out" all.json
expect_equal 'edges' "$(json all.json architecture/edges)" '["conv1","conv3","split"]'
expect_equal 'scale' "$(json all.json architecture/input/scale)" 0.015625
run 0 inspect --ops all.model
expect_out '^  scales\.0\.steps\.0-1\.in  *network input 6->6 at 12x8$'
expect_out '^  scales\.1\.closing\.mix  *mix  *24->24 at 6x4$'
expect_out '^  scales\.0\.split_prior  *coupling  *12->12 at 12x8$'
of_pass() { awk -v pass="$1" '/^[a-z]/ {in_pass = $0 == pass} in_pass' "$out"; }
if of_pass fold | grep -q ' network input '; then fail 'fold leaves a network input'; fi
if of_pass fuse | grep -q 'closing'; then fail 'fuse leaves a closing map'; fi

# ---- score: bits/dim count the input map's bins; nothing depends on threads
run 0 score -m all.model --limit 4 synthetic:shapes
cp "$out" all.csv
awk -F, 'function near(a, b) { return a - b < 1e-6 && b - a < 1e-6 }
    NR > 1 && !(near($3, 6 - $4 / (1152 * log(2))) && near($7, 1152 * log(64) - $4)) { bad = 1 }
    END { exit bad || NR != 5 }' all.csv || fail 'bits/dim are not of 6 bits'
run 0 score -m all.model --limit 4 --threads 1 --batch 1 synthetic:shapes
expect_same_files "$out" all.csv
run 0 score -m all.model --limit 4 --threads 4 --batch 1 synthetic:shapes
expect_same_files "$out" all.csv
run 0 score -m all.model --limit 4 --isa scalar synthetic:shapes
awk -F, 'function near(a, b) { return a - b < 1e-2 && b - a < 1e-2 }
    NR == FNR { logp[FNR] = $4; next }
    FNR > 1 && !near($4, logp[FNR]) { bad = 1 }
    END { exit bad }' all.csv "$out" || fail 'scalar finds something else'

# ---- heat maps
run 0 score -m edges.model --heatmaps maps --limit 3 -o edges.csv synthetic:shapes
expect_equal 'lines of the index' "$(lines maps/index.csv)" 4
run 0 score -m edges.model maps
expect_equal 'heat maps that are images' "$(lines "$out")" 4
run 0 score -m all.model --heatmaps all-maps --limit 3 -o all-maps.csv synthetic:shapes
expect_equal 'lines of the index' "$(lines all-maps/index.csv)" 4

# ---- sample
for model in all edges bits; do
    run 0 sample -m $model.model --count 3 --seed 3 -o $model.png
    run 0 sample -m $model.model --count 3 --seed 3 --threads 1 -o again.png
    expect_same_files $model.png again.png
    run 0 score -m $model.model $model.png
    expect_equal 'number of lines' "$(lines "$out")" 2
done

# ---- calibration
run 0 calibrate -m edges.model --data synthetic:shapes --limit 200
run 0 score -m edges.model --score typicality --fpr 0.05 --limit 3 synthetic:shapes
expect_equal 'number of lines' "$(lines "$out")" 4
finish
