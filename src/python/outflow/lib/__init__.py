# SPDX-License-Identifier: Apache-2.0
"""The compiled library. Use `outflow`, not this."""
