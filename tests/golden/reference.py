# SPDX-License-Identifier: Apache-2.0
"""The network a second time, in PyTorch and double precision, from the equations alone.

A model is its tensors by their names in a weight file, and the file's description of the
architecture. Gradients are autograd's. Needs PyTorch and numpy.
"""
import math

import numpy as np
import torch
import torch.nn.functional as F

PATCH = 8
TEMPERATURE, WEIGHT = 1000, 6000  # of the ratio outlier loss
CONSTANTS = ("permutation", "sign", "indices")  # parts of a mixing that are never trained


# ---- The network ----


def squeeze(x):
    """[N,C,H,W] to [N,4C,H/2,W/2]; channel c*4 + 2*dy + dx."""
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // 2, 2, w // 2, 2)
    return x.permute(0, 1, 3, 5, 2, 4).reshape(n, 4 * c, h // 2, w // 2)


def patches(x):
    """[N,C,H,W] to [N*P,C,8,8], an image's patches one after the other."""
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // PATCH, PATCH, w // PATCH, PATCH)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(-1, c, PATCH, PATCH)


def positions(x):
    return x.shape[2] * x.shape[3]


def actnorm(p, name, x):
    """exp(log_scale) (x + loc), and its log-determinant at one position."""
    loc, log_scale = p[name + ".loc"], p[name + ".log_scale"]
    shape = (1, -1) + (1,) * (x.dim() - 2)
    return (x + loc.view(shape)) * log_scale.exp().view(shape), log_scale.sum()


def mixing_matrix(p, name):
    """W and log|det W|: a plain W, or P (L + I) (U + diag(sign exp(log_diag)))."""
    if name + ".weight" in p:
        weight = p[name + ".weight"]
        return weight, torch.linalg.slogdet(weight)[1]
    log_diag = p[name + ".log_diag"]
    lower = torch.tril(p[name + ".lower"], -1) + torch.eye(len(log_diag), dtype=log_diag.dtype)
    upper = torch.triu(p[name + ".upper"], 1) + torch.diag(p[name + ".sign"] * log_diag.exp())
    return p[name + ".permutation"] @ lower @ upper, log_diag.sum()


def mix(p, name, x):
    if name + ".indices" in p:
        return x[:, p[name + ".indices"]], 0
    weight, log_det = mixing_matrix(p, name)
    return torch.einsum("ij,njhw->nihw", weight, x), log_det


def coefficients(p, net, x):
    """The coupling's network: three convolutions, or three linear layers on [N,D,1,1]."""
    if net + ".fc1.weight" in p:
        y = x.flatten(1)
        for layer in (".fc1", ".fc2"):
            y = F.relu(F.linear(y, p[net + layer + ".weight"], p[net + layer + ".bias"]))
        return F.linear(y, p[net + ".fc3.weight"], p[net + ".fc3.bias"])[:, :, None, None]
    for layer, padding in ((".conv1", 1), (".conv2", 0)):
        x = F.conv2d(x, p[net + layer + ".weight"], padding=padding)
        x = F.relu(actnorm(p, net + layer + ".actnorm", x)[0])
    x = F.conv2d(x, p[net + ".conv3.weight"], p[net + ".conv3.bias"], padding=1)
    return x * (3 * p[net + ".conv3.log_scale"]).exp().view(1, -1, 1, 1)


def couple(p, net, x, affine):
    x_a, x_b = x.chunk(2, 1)
    out = coefficients(p, net, x_a)
    if not affine:
        return torch.cat([x_a, x_b + out], 1), 0
    log_s = F.logsigmoid(out[:, 1::2] + 2)
    return torch.cat([x_a, (x_b + out[:, 0::2]) * log_s.exp()], 1), log_s.sum((1, 2, 3))


def step(p, name, x, affine):
    x, norm = actnorm(p, name + ".actnorm", x)
    x, mixed = mix(p, name + ".mix", x)
    x, coupled = couple(p, name + ".net", x, affine)
    return x, positions(x) * (norm + mixed) + coupled


def flow(p, architecture, x):
    """A list of (latents [N,D'], log-determinants [N]), a pair for each scale."""
    patched = architecture["family"] == "patch-glow"
    scales = 1 if patched else architecture["scales"]
    dense, affine = architecture["block"] == "dense", architecture["coupling"] == "affine"
    results = []
    for i in range(scales):
        x = squeeze(x)
        shape, log_det = x.shape, 0
        if dense:
            x = x.reshape(len(x), -1, 1, 1)
        for j in range(architecture["steps"]):
            x, added = step(p, f"scales.{i}.steps.{j}", x, affine)
            log_det = log_det + added
        x = x.reshape(shape)
        z, x = x.chunk(2, 1) if i + 1 < scales else (x, None)
        z, added = actnorm(p, f"scales.{i}.prior", z.flatten(1))
        results.append((z, (log_det + added).expand(len(z))))
    return results


def log_normal(z):
    return -0.5 * (z * z + math.log(2 * math.pi)).sum(1)


def class_logp(p, c, results):
    """Of class c: an ActNorm and a diagonal Gaussian of its own on each scale's latents."""
    total = 0
    for i, (z, log_det) in enumerate(results):
        name = f"classes.{c}.scales.{i}"
        z, added = actnorm(p, name + ".actnorm", z)
        log_std = p[name + ".log_std"]
        total = total + log_det + added + log_normal((z - p[name + ".mean"]) / log_std.exp())
        total = total - log_std.sum()
    return total


def likelihoods(p, architecture, images):
    """All likelihoods of bytes [N,H,W,C], by their names in the expected file, and 'logp'."""
    x = (torch.tensor(images).double() + 0.5) / 256 - 0.5
    x = x.permute(0, 3, 1, 2)
    patched = architecture["family"] == "patch-glow"
    results = flow(p, architecture, patches(x) if patched else x)
    got = {}
    if architecture["classes"]:
        got["logp.class"] = torch.stack(
            [class_logp(p, c, results) for c in range(architecture["classes"])], 1)
        got["logp"] = got["logp.class"].logsumexp(1) - math.log(architecture["classes"])
        got["logp.mixture"] = got["logp"]
        return got
    for i, (z, log_det) in enumerate(results):
        contribution = log_det + log_normal(z)
        got[f"logp.scale{i}"] = contribution.reshape(len(x), -1).sum(1)
        if not patched:
            got[f"z.scale{i}"] = z
    got["logp"] = sum(got[f"logp.scale{i}"] for i in range(len(results)))
    return got


# ---- What is expected ----


def nll(logp, dimensions):
    return dimensions * math.log(256) - logp


def gradients(p, loss):
    trained = {name: tensor for name, tensor in p.items() if tensor.requires_grad}
    found = torch.autograd.grad(loss, list(trained.values()), retain_graph=True)
    return dict(zip(trained, found))


def expected_values(tensors, architecture, images, outliers=None, base_nll=None):
    """Everything that an expected file may hold but the images, in double precision."""
    p = {}
    for name, values in tensors.items():
        p[name] = torch.tensor(values)
        p[name] = p[name] if values.dtype == np.int64 else p[name].double()
        fixed = name.rsplit(".", 1)[1] in CONSTANTS or (
            architecture["permutation"] == "invconvfixed" and name.endswith(".mix.weight"))
        p[name].requires_grad_(not fixed)
    dimensions = int(np.prod(images.shape[1:]))
    got = likelihoods(p, architecture, images)
    logp = got.pop("logp")
    losses = {"nll": ("loss.nll_mean_nats", nll(logp, dimensions).mean())}
    if outliers is not None:
        out = nll(likelihoods(p, architecture, outliers)["logp"], dimensions)
        base = torch.tensor(base_nll).double()
        ratio = WEIGHT * F.softplus((base - out) / TEMPERATURE).mean()
        margin = F.relu(dimensions + nll(logp, dimensions).detach() - out).mean()
        losses["outlier_class"] = ("outlier.class_loss", ratio)
        losses["outlier_margin"] = ("outlier.margin_loss", margin)
    got["logp"] = got["logp.float64"] = logp
    got["bits_per_dim"] = 8 - logp / (dimensions * math.log(2))
    for kind, (name, loss) in losses.items():
        got[name] = loss.reshape(1)
        for parameter, gradient in gradients(p, loss).items():
            got[f"grad.{kind}.{parameter}"] = gradient
    return {name: tensor.detach().numpy() for name, tensor in got.items()}
