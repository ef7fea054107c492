# SPDX-License-Identifier: Apache-2.0
"""Every command of the sheet, in its order: the page prints them and a test runs them.

`tests/vm/test_handout.py` takes the lines out of the rendered student page, types them into one
shell, and holds each exit code against `exits`. Where the student writes code in between, it puts
the solution in place.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.model.arm import BASELINE, EXHIBITS
from testbed.model.config import Config
from testbed.model.errors import ExitCode
from testbed.model.nic import INTERFACE

WORKSHOP = "exercise"
"""Where the sheet has the starter put, below the checkout."""
MODULE, PROGRAM = "my-netfilter", "my-xdp"
DONE, INVALID = int(ExitCode.OK), int(ExitCode.INVALID)
FINISHED = (DONE, INVALID)
"""A run that is done; whether this computer was quiet enough to compare is for the page to say."""


@dataclass(frozen=True, slots=True)
class Command:
    """One line for the host's shell, and every exit code that it may end with."""

    id: str
    line: str
    exits: tuple[int, ...] = (DONE,)
    solves: str = ""
    """The exercise that the student completes before it."""
    limit_s: int = 300
    """How long it may take on a slow computer."""


def commands_of(config: Config) -> tuple[Command, ...]:
    """Return the commands for one configuration."""
    module, program = f"{WORKSHOP}/{MODULE}", f"{WORKSHOP}/{PROGRAM}"
    mine = ",".join([BASELINE, module, program])
    network = config.network
    trials = config.bench.trials
    server, client = "testbed ssh server --", "testbed ssh client --"
    within = f"ip netns exec {network.namespace}"
    return (
        Command("setup", "./lab setup", limit_s=900),
        Command("activate", ". .venv/bin/activate"),
        Command("up", "testbed up", limit_s=1200),
        Command("status", "testbed status"),
        Command("driver", f"{server} ethtool -i {INTERFACE}"),
        Command("inside", f"{server} {within} ip -4 -br address"),
        Command("way", f"{client} ip route get {network.target_address}"),
        Command("ping", f"{client} ping -c 2 {network.target_address}"),
        Command("starter", f"testbed handout --starter {WORKSHOP}"),
        Command("module-empty", f"testbed check --arms {module}", (INVALID,)),
        Command("module", f"testbed check --arms {module}", solves=MODULE),
        Command("program-empty", f"testbed check --arms {program}", (INVALID,)),
        Command("program", f"testbed check --arms {program}", solves=PROGRAM),
        Command("all", f"testbed check --arms {mine}"),
        Command("bench", f"testbed bench --arms {mine} --trials {trials}", FINISHED, limit_s=1500),
        Command("mpstat", f"cat results/latest/derived/mpstat/01-{PROGRAM}.txt"),
        Command("tick", f"{server} sh -c "
                "'grep -E \"^CONFIG_HZ=|IRQ_TIME_ACCOUNTING\" /boot/config-$(uname -r)'"),
        Command("stat", f"{server} sh -c 'head -1 /proc/stat; sleep 1; head -1 /proc/stat'"),
        Command("count", f"testbed count --arms {mine}", limit_s=900),
        Command("original", f"testbed bench --profile original --trials {trials}", (INVALID,),
                limit_s=1500),
        Command("errors", f"{server} {within} nstat -asz UdpInDatagrams UdpInCsumErrors"),
        Command("exhibits", f"testbed check --arms {','.join(EXHIBITS)}", (INVALID,)),
        Command("published", "testbed report published", (INVALID,)),
        Command("again", f"testbed bench --arms {mine} --controls --trials {trials}", FINISHED,
                limit_s=2400),
        Command("beside", "testbed report --published", FINISHED),
        Command("runs", "testbed runs"),
        Command("down", "testbed down"),
    )  # fmt: skip


def by_id(commands: Sequence[Command]) -> dict[str, Command]:
    """Return the commands by their ids."""
    return {command.id: command for command in commands}
