# SPDX-License-Identifier: Apache-2.0
"""What no living checkout owns any more: found, judged, removed."""
