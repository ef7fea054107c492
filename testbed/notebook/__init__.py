# SPDX-License-Identifier: Apache-2.0
"""Runs in a notebook: what a page says, as tables of pandas (docs/notebook.md)."""

from testbed.notebook.opened import NotebookError, OpenRun, open_run

__all__ = ["NotebookError", "OpenRun", "open_run"]
