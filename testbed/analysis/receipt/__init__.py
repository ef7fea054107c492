# SPDX-License-Identifier: Apache-2.0
"""The receipt of a count: what it says in words, in a picture and on a page, and whether it holds.

`testbed.analysis.counting` has the numbers, as docs/counting.md defines them.
"""
