# SPDX-License-Identifier: Apache-2.0
"""What PyTorch's scoring and training have in common: layouts, inductor."""
from __future__ import annotations

import torch


def memory_format(setting: dict) -> torch.memory_format:
    return torch.channels_last if setting["layout"] == "nhwc" else torch.contiguous_format


def prepare_compiler(setting: dict) -> None:
    """Inductor writes C++: it needs a C++ compiler, and the headers of Python."""
    if not hasattr(torch, "compile"):
        raise RuntimeError(f"PyTorch {torch.__version__} has no torch.compile")
    from torch._inductor import config
    config.freezing = True
    config.cpp_wrapper = setting["wrapper"] == "cpp"
