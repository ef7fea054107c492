# SPDX-License-Identifier: Apache-2.0
"""The pages of a run: all that is concluded, as variables, tables and figures."""
