# SPDX-License-Identifier: Apache-2.0
"""Whether this computer is to have Vagrant: by that, a test that needs it is skipped or fails."""

import os
import shutil
import subprocess
from functools import cache

from testbed.model import config
from tests import PROJECT

ASKED = "TESTBED_PROVIDER"
"""The word after `./lab --provider`, where there was one."""


def why_none(asked: str, *, installed: bool, offered: bool) -> str:
    """Return why no Vagrant is to be here; "" where `./lab` installs it, or it is there.

    Where it is to be here, a test that needs it runs, and a broken installation fails it.
    """
    if asked == "libvirt":
        return "no Vagrant: libvirt alone was asked for"
    if installed or offered or asked == "vagrant":
        return ""
    return "no Vagrant: this distribution has no package of it"


@cache
def why_no_vagrant() -> str:
    """Return the same for this computer, by the rule of `./lab`."""
    asked = os.environ.get(ASKED) or config.load(PROJECT).machines.provider
    return why_none(asked, installed=shutil.which("vagrant") is not None, offered=_offered())


def _offered() -> bool:
    tool = shutil.which("apt-cache")
    if tool is None:
        return False
    words = [tool, "madison", "vagrant"]
    return bool(subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip())
