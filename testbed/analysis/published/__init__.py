# SPDX-License-Identifier: Apache-2.0
"""The original experiment's published tables, through the same checks, beside a run."""
