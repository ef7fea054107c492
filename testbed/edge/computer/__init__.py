# SPDX-License-Identifier: Apache-2.0
"""This computer: its processes, the account of the machines, the checkout."""
