# SPDX-License-Identifier: Apache-2.0
"""A run directory becomes one frozen record; every error names the file."""
