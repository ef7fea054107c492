# SPDX-License-Identifier: Apache-2.0
"""The box's kernel: one of one's own, in place of the distribution's."""
