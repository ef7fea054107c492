# SPDX-License-Identifier: Apache-2.0
"""Where the checkout is that a command is about."""

from pathlib import Path

from testbed.model.errors import RunError


def find_checkout() -> Path:
    """Return the checkout: the nearest folder upwards with a Vagrantfile and guest/arms.

    Else it is the one that holds this package; raises RunError when that is none, either.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[3]):
        if (folder / "Vagrantfile").is_file() and (folder / "guest/arms").is_dir():
            return folder
    raise RunError("no testbed checkout here", hint="change into the folder that holds ./lab")
