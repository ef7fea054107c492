# SPDX-License-Identifier: Apache-2.0
"""The formats of other programs' files, read and written: /proc, mpstat, JSON, templates."""
