# SPDX-License-Identifier: Apache-2.0
"""Conclusions from measures and findings: comparisons, their verdict, and sentences."""
