# SPDX-License-Identifier: Apache-2.0
"""All tests: `unit` needs no machines, `pages` a browser, `vm` the real machines."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
"""The checkout that is tested."""
