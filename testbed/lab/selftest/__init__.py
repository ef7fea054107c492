# SPDX-License-Identifier: Apache-2.0
"""Faults put into real trials on purpose, for `testbed selftest`."""
