# SPDX-License-Identifier: Apache-2.0
"""The crafted frames of the gate, and what must become of each.

Pure: neither machines nor files. `lab` sends what is crafted here, `analysis` judges what came out.
"""
