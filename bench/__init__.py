# SPDX-License-Identifier: Apache-2.0
"""Programs beside the tool: its speeds, and recorded runs made small or looked through."""
