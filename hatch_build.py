# SPDX-License-Identifier: Apache-2.0
"""Puts into a wheel what lies beside the package in a checkout (pyproject.toml, `parts`).

An editable install gets none of it: its package is in the checkout, which has it all. That is why
this is no table `force-include`, which hatchling would follow there, too.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Data(BuildHookInterface):
    """Maps each part to its place below testbed/data."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the parts to what is built, unless that is an editable install."""
        if version != "editable":
            build_data["force_include"] |= {
                part: f"testbed/data/{part}" for part in self.config["parts"]
            }
