# SPDX-License-Identifier: Apache-2.0
"""The names of checkouts whose machines nobody else has."""

from pathlib import Path

from testbed.edge.computer import identity


def project_id(checkout: Path) -> str:
    """Return the name of a checkout's machines, where no other checkout has one."""
    return identity.project_id(checkout, Path("/nowhere"))
