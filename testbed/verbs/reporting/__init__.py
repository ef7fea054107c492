# SPDX-License-Identifier: Apache-2.0
"""The verbs that read what was measured: report, compare, runs, handout."""
