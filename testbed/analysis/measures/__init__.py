# SPDX-License-Identifier: Apache-2.0
"""One number of a trial or a run each: its formula, its source, None where it is unknown."""
