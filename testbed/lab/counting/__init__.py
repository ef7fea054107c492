# SPDX-License-Identifier: Apache-2.0
"""Exact counting: a server of its own, one packet at a time, and every block that its CPU runs."""
