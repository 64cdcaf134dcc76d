# SPDX-License-Identifier: Apache-2.0
"""PyTorch, eager or compiled: scoring or training."""
from __future__ import annotations

import pytorch_score
import pytorch_train


def create(job: dict):
    return (pytorch_train.Trainer if job["mode"] == "train" else pytorch_score.Scorer)(job)
