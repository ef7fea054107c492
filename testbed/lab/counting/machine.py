# SPDX-License-Identifier: Apache-2.0
"""The counting machine: booted and saved once, restored for each count, gone with the command.

All that stays is a folder of the account with its disk, in which the saved state is, and a record
of what it was made with. A folder without the record is half-made: the next count begins anew.
"""

import contextlib
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.edge.computer import host
from testbed.edge.computer.account import Account
from testbed.edge.guests.guest import Guest
from testbed.edge.hypervisor.counter import Counter
from testbed.edge.output.terminal import Terminal
from testbed.lab.counting import commandline
from testbed.lab.counting.commandline import Ports
from testbed.lab.counting.link import open_link
from testbed.lab.counting.monitor import Monitor
from testbed.lab.counting.plugin import Plugin
from testbed.lab.machines.box import Box
from testbed.model.errors import MachineError, TestbedError

STATE = "ready"
RECORD = "saved.json"
BOOT_S, RESTORE_S, LOADED_S = 300, 60, 30
LAST_LINES = 8


@dataclass(frozen=True)
class Running:
    """The machine while it runs; `counter` and `link` are None where it is only prepared."""

    guest: Guest
    monitor: Monitor
    counter: Counter | None
    link: socket.socket | None


@dataclass(frozen=True)
class CountingMachine:
    """One checkout's counting machine; its files are in `folder`."""

    account: Account
    folder: Path
    box: Box
    key: Path
    memory_mb: int
    nic_model: str
    qemu: str
    parameters: str
    terminal: Terminal

    @property
    def disk(self) -> Path:
        """Its disk, with the saved state."""
        return self.folder / "disk.qcow2"

    def made_with(self) -> dict[str, Any]:
        """Return what must be the same for a saved state to go on."""
        return {
            "box": self.box.sha256, "qemu": self.qemu, "cpu": commandline.CPU,
            "memory_mb": self.memory_mb, "nic_model": self.nic_model,
            "parameters": self.parameters,
        }  # fmt: skip

    def saved(self) -> dict[str, Any] | None:
        """Return the record of a saved state that can go on; None where there is none."""
        try:
            record = json.loads((self.folder / RECORD).read_text())
            usable = self.disk.exists() and record["made_with"] == self.made_with()
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return dict(record) if usable else None

    def remove(self) -> None:
        """Delete all that there is of it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def prepared(self, holds: Mapping[str, Any]) -> Iterator[Guest]:
        """Boot it, or restore it, without a counter; save it when the block has ended well.

        `holds` is what the block gives it, for the record. Raises MachineError when it does not
        come up.
        """
        fresh = self.saved() is None
        (self.folder / RECORD).unlink(missing_ok=True)
        if fresh:
            self._new_disk()
        with self._started(None, fresh=fresh) as running:
            yield running.guest
            running.guest.close()
            running.monitor.ask("stop")
            running.monitor.do(f"savevm {STATE}")
        record = {"made_with": self.made_with(), "holds": dict(holds)}
        self.account.write(self.folder / RECORD, json.dumps(record) + "\n")

    @contextlib.contextmanager
    def counting(self, plugin: Plugin) -> Iterator[Running]:
        """Restore it with the counter loaded; nothing that happens in the block stays.

        Raises MachineError when it does not come up.
        """
        with self._started(plugin, fresh=False) as running:
            yield running

    def _new_disk(self) -> None:
        self.remove()
        self.account.make_dir(self.folder)
        tool = host.find("qemu-img", package="qemu-utils")
        backing = ["-b", commandline.backing(self.box), "-F", "qcow2"]
        argv = [tool, "create", "-q", "-f", "qcow2", *backing, str(self.disk)]
        host.run(self.account.command(argv), cwd=Path("/"), timeout_s=30)

    @contextlib.contextmanager
    def _started(self, plugin: Plugin | None, *, fresh: bool) -> Iterator[Running]:
        ports = Ports(
            host.free_port(), host.free_port(socket.SOCK_DGRAM), host.free_port(socket.SOCK_DGRAM)
        )
        said = self.account.write(self.folder / "qemu.log", "")
        with contextlib.ExitStack() as stack:
            ours, monitor_end = (stack.enter_context(end) for end in socket.socketpair())
            reader, counter_end = (stack.enter_context(end) for end in socket.socketpair())
            link = stack.enter_context(open_link(ports)) if plugin else None
            argv = commandline.command(
                self.disk, ports, name=f"testbed-count-{os.getpid()}", memory_mb=self.memory_mb,
                nic_model=self.nic_model, monitor_fd=monitor_end.fileno(),
                console=self.folder / "console.log",
                boot=commandline.booting(self.box, self.parameters),
                restore=None if fresh else STATE,
                plugin=f"{plugin.file},reader={counter_end.fileno()}" if plugin else None,
            )  # fmt: skip
            output = stack.enter_context(said.open("wb"))
            fds = [monitor_end.fileno(), *([counter_end.fileno()] if plugin else [])]
            with self._explained():
                stack.enter_context(
                    host.beside(self.account.command(argv), output=output, pass_fds=fds)
                )
                monitor_end.close()
                counter_end.close()
                yield from self._connected(ours, reader if plugin else None, link, ports, fresh)

    def _connected(
        self, monitor: socket.socket, reader: socket.socket | None, link: socket.socket | None,
        ports: Ports, fresh: bool,
    ) -> Iterator[Running]:  # fmt: skip
        counter = None
        if reader is not None:
            counter = Counter(reader)
            counter.begin(LOADED_S)
        asked = Monitor(monitor)
        asked.begin()
        asked.ask("cont")
        guest = Guest("server", ports.ssh, self.key)
        guest.connect(BOOT_S if fresh else RESTORE_S)
        try:
            yield Running(guest, asked, counter, link)
        finally:
            guest.close()
        with contextlib.suppress(MachineError):
            asked.ask("quit")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Put QEMU's and the console's last words to an error."""
        try:
            yield
        except TestbedError as error:
            if not error.detail:
                error.detail = self.last_words()
            raise

    def last_words(self) -> str:
        """Return the last lines of QEMU and of the console."""
        words = ""
        for name in ("qemu.log", "console.log"):
            with contextlib.suppress(OSError):
                text = (self.folder / name).read_text(errors="replace")
                lines = [line.rstrip() for line in text.splitlines() if line.strip()]
                words += "\n".join([f"--- {name}", *lines[-LAST_LINES:]]) + "\n" if lines else ""
        return words
