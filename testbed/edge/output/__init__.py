# SPDX-License-Identifier: Apache-2.0
"""The user's side: the terminal, the log, and how long steps took before."""
