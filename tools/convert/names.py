# SPDX-License-Identifier: Apache-2.0
"""The layouts by name; needs no numpy, so that --help works without."""
from typing import Dict, Tuple

SUMMARIES: Dict[str, str] = {
    "outflow": "scales.I.steps.J: Outflow's own names",
    "invglow": "prev.I.prev.0...module.sequential.J: invglow, the paper's own code",
    "y0ast": "flow.layers.N.{actnorm,invconv,block}: y0ast/Glow-PyTorch",
    "chaiyujin": "flow.layers.N.{actnorm,invconv,f}: chaiyujin/glow-pytorch",
    "rosinality": "blocks.I.flows.J.{actnorm,invconv,coupling}: rosinality/glow-pytorch",
    "openai": "model/SCALE/STEP/f1/l_1/W: openai/glow, TensorFlow checkpoints",
    "pclucas14": "layers.N.{b,weight,indices,NN,conv_zero}: pclucas14/pytorch-glow",
    "kamen": "flowlevels.I.flowsteps.J, flowstep.J: kamenbliznashki/normalizing_flows",
    "normflows": "flows.LEVEL.K.flows.0.flows.1.param_map: normflows, GlowBlock",
    "chrischute": "flows.next.steps.J.{norm,conv,coup}: chrischute/glow",
    "flows_ood": "body.N.{0,1,2}.module1: PolinaKirichenko/flows_ood, glow_convnet",
    "freia": "module_list.N.{global_scale,w_perm,subnet}: FrEIA, AllInOneBlock"}

# Names that tools/export_pytorch.py used.
ALIASES: Dict[str, str] = {"blocks": "rosinality", "layers": "y0ast", "layers-f": "chaiyujin"}


def layout_names() -> Tuple[str, ...]:
    return (*SUMMARIES, *ALIASES)
