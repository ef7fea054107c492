# SPDX-License-Identifier: Apache-2.0
"""The verbs that measure: bench, count, check, selftest."""
