# SPDX-License-Identifier: Apache-2.0
"""python-vagrant, as the machines' account.

It throws the streams away, replaces the environment and knows no other account. Here each call
gets the testbed's environment, runs as the account that owns the machines, and keeps Vagrant's
own words.
"""

import logging
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from testbed.edge.computer import host, lasting
from testbed.edge.computer.account import Account
from testbed.edge.computer.lasting import NOTE
from testbed.edge.output import journal

# It complains on stderr when it is loaded where Vagrant is missing; here that is said when
# Vagrant is needed, with what to do.
logging.getLogger("vagrant").addHandler(logging.NullHandler())
import vagrant  # noqa: E402


class Calls(vagrant.Vagrant):  # python-vagrant has no types: its calls are ignored below
    """python-vagrant with the account's command prefix and with the output kept."""

    def __init__(self, folder: Path, account: Account, environment: Mapping[str, str], log: Path):
        super().__init__(  # type: ignore[no-untyped-call]
            str(folder), env=account.environment(environment)
        )
        self._account = account
        self._extra = [f"{name}={value}" for name, value in environment.items()]
        self._log = log

    def _make_vagrant_command(self, args: list[object]) -> list[str]:
        words = [str(word) for word in args if word is not None]
        tool = host.find("vagrant", package="vagrant")
        return ["env", *self._extra, tool, *words]

    def _call_vagrant_command(self, args: list[object]) -> None:
        """Run with both streams in the log, as a group that ends with this process's wish.

        While it runs, a note in the folder tells of it (`testbed.edge.computer.lasting`).
        """
        argv = self._make_vagrant_command(args)
        self._account.ensure_session()
        journal.on_host(self._account.command(argv), Path(self.root))
        what = shlex.join(["vagrant", *(str(word) for word in args if word is not None)])
        folder = Path(self.root)
        with self._log.open("ab") as log, lasting.noted(
            self._account, argv, folder / NOTE, what,
            cwd=folder, environment=self.env, output=log,
        ) as process:  # fmt: skip
            status = process.wait()
        if status != 0:
            raise subprocess.CalledProcessError(status, process.args)

    def _run_vagrant_command(self, args: list[object]) -> str:
        argv = self._account.command(self._make_vagrant_command(args))
        return host.run(argv, cwd=Path(self.root), environment=self.env).stdout
