# SPDX-License-Identifier: Apache-2.0
"""A two-VM testbed that measures what a packet hook costs, and refuses untrue comparisons."""

__version__ = "0.1.0"
