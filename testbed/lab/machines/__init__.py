# SPDX-License-Identifier: Apache-2.0
"""The two virtual machines and their box: made, started, stopped, removed."""
