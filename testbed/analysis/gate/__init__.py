# SPDX-License-Identifier: Apache-2.0
"""The gate's files and their outcome: did every arm do the same work, byte for byte?"""
