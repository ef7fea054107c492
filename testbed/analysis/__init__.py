# SPDX-License-Identifier: Apache-2.0
"""Pure functions of a run directory: parse, derive, check, compare, draw, render.

Nothing here starts a process, opens a connection or reads a clock. `load_run` is the only
function that reads files; everything after it works on frozen records.
"""
