# SPDX-License-Identifier: Apache-2.0
"""Finds images that do not belong, with invertible networks on CPUs."""

from .errors import OutflowError

__all__ = ["OutflowError"]
