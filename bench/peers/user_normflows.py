# SPDX-License-Identifier: Apache-2.0
"""The same with normflows on PyTorch: its Glow example, without classes."""
import sys
import time

import normflows as nf
import numpy as np
import torch

SCALES, STEPS, HIDDEN, BATCH = 3, 8, 64, 64


def make_glow(shape):
    channels, height, width = shape
    priors, flows, merges = [], [], []
    for i in range(SCALES):
        inner = channels * 2 ** (SCALES + 1 - i)
        blocks = [nf.flows.GlowBlock(inner, HIDDEN, split_mode="channel") for _ in range(STEPS)]
        flows.append([*blocks, nf.flows.Squeeze()])
        factor = 2 ** (SCALES if i == 0 else SCALES - i)
        depth = channels * 2 ** (SCALES + 1 if i == 0 else SCALES - i)
        priors.append(nf.distributions.DiagGaussian((depth, height // factor, width // factor)))
        if i > 0:
            merges.append(nf.flows.Merge())
    return nf.MultiscaleFlow(priors, flows, merges, class_cond=False)


def prepare(images, noise):
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    return (x + (torch.rand_like(x) if noise else 0.5)) / 256


train, test = np.load(sys.argv[1]), np.load(sys.argv[2])
model = make_glow((train.shape[3], *train.shape[1:3]))
begin = time.perf_counter()
optimizer = torch.optim.Adamax(model.parameters(), lr=1e-3)
model.train()
for rows in np.array_split(np.random.permutation(len(train)), max(1, len(train) // BATCH)):
    optimizer.zero_grad()
    loss = model.forward_kld(prepare(train[rows], noise=True))
    if torch.isfinite(loss):
        loss.backward()
        optimizer.step()
torch.save(model.state_dict(), "normflows.pt")
trained = time.perf_counter()
model.eval()
with torch.no_grad():
    logp = [
        model.log_prob(prepare(test[i : i + BATCH], noise=False), None)
        for i in range(0, len(test), BATCH)
    ]
dimensions = test[0].size
scores = -torch.cat(logp).double().numpy() + dimensions * np.log(256)
scored = time.perf_counter()
print(trained - begin, scored - trained, scores.mean() / dimensions / np.log(2))
