# SPDX-License-Identifier: Apache-2.0
"""`doctor --orphans` and a Vagrant that goes on after its command was killed."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.computer.lasting import NOTE, Lasting, Started
from tests.unit.factories.ids import project_id
from tests.unit.factories.left_over import LeftOver


@pytest.mark.parametrize("words", [(), ("--remove",)])
def test_a_vagrant_that_outlived_its_command(
    there: LeftOver, checkout: Path, testbed: Callable[..., Any], words: tuple[str, ...]
) -> None:
    """Listed, and ended, though its checkout lives: the command that started it was killed."""
    folder = there.claim(project_id(checkout), checkout)
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as left:
        owner = replace(Started.of(os.getpid()), ticks=0)
        note = Lasting("vagrant up", Started.of(left.pid), owner)
        (folder / NOTE).write_text(json.dumps(asdict(note)))
        threading.Thread(target=left.wait, daemon=True).start()  # it is buried as it ends
        said = testbed("doctor", "--orphans", *words)
        assert said.status == 0
        line = f"process vagrant up ({left.pid}): the command that started it was killed\n"
        if words:
            assert said.out == f"removed {line}"
            assert left.wait(5) == -signal.SIGINT
        else:
            assert said.out == f"{line}  → kill -INT -- -{left.pid}\n"
            assert left.poll() is None
            left.kill()
    assert folder.is_dir()
