# SPDX-License-Identifier: Apache-2.0
"""Where the checkout is that a command is about: one from git, or a folder of `testbed init`."""

from pathlib import Path

from testbed.model.errors import RunError


def find_checkout() -> Path:
    """Return the checkout: the nearest folder upwards with a Vagrantfile and guest/arms.

    Else it is the one that holds this package; raises RunError when that is none, either.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[3]):
        if is_checkout(folder):
            return folder
    raise RunError(
        f"{here} is no lab folder, and is in none",
        hint="`testbed init DIR` makes one; if you have one, change into it",
    )


def is_checkout(folder: Path) -> bool:
    """Whether a folder is one."""
    return (folder / "Vagrantfile").is_file() and (folder / "guest/arms").is_dir()
