# SPDX-License-Identifier: Apache-2.0
"""Weights of published Glow implementations as Outflow weight files: see ../convert_weights.py."""
