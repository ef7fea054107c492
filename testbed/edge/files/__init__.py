# SPDX-License-Identifier: Apache-2.0
"""Files on this computer: run directories, sources of arms, PDFs."""
