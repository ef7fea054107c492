# SPDX-License-Identifier: Apache-2.0
"""The gate on the machines: crafted frames through every arm, captured where they end."""
