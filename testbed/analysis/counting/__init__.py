# SPDX-License-Identifier: Apache-2.0
"""Exact counts of a run: instructions per packet, by function, by context and by part of its life.

A pure function of the files below `count/` in a run directory; docs/counting.md describes both.
"""
