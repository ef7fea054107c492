# SPDX-License-Identifier: Apache-2.0
"""Leftovers that no living checkout owns: found, judged, removed."""
