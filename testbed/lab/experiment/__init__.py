# SPDX-License-Identifier: Apache-2.0
"""The experiment: the warm-up, the trials, and the record of a run."""
