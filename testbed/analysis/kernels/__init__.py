# SPDX-License-Identifier: Apache-2.0
"""Counts of two kernels beside each other: which functions differ, and what a hook adds on each."""
