# SPDX-License-Identifier: Apache-2.0
"""Files below golden/ that hold what is expected, word for word.

`GOLDEN=write pytest tests/unit/cli/test_error_messages.py` writes them anew; `git diff` then shows what
a change does to what people read.
"""

import os
from pathlib import Path

from tests import PROJECT

FOLDER = PROJECT / "tests/unit/golden"


def same_as_golden(name: str, text: str) -> None:
    """Assert that `text` is what the file has, or write it when that is asked for."""
    path = FOLDER / name
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"see {Path(__file__).name}"
