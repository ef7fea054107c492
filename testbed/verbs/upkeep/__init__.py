# SPDX-License-Identifier: Apache-2.0
"""The verbs of the machines and this computer: up, down, status, box, doctor."""
