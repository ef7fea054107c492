# SPDX-License-Identifier: Apache-2.0
"""Intervals, precision, several comparisons together: numbers in, numbers out."""
