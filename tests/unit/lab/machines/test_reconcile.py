# SPDX-License-Identifier: Apache-2.0
"""From what is seen to what has to be done: the least that leads there, and why."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest

from testbed.lab.machines.project import ROLES
from testbed.lab.machines.reconcile import Seen, plan

MACHINE = {"cpus": 1, "memory_mb": 512, "ssh_port": 5001, "setup": ["a", "b"]}
WANTED: dict[str, Any] = {
    "driver": "qemu", "cpu_mode": "maximum", "nic_model": "e1000", "private_key": "/key",
    "box": {"name": "testbed-1", "url": "file:///1"},
    "machines": {"client": MACHINE, "server": {**MACHINE, "memory_mb": 1024, "ssh_port": 5002}},
}  # fmt: skip
BOTH = frozenset(ROLES)


def seen(**facts: Any) -> Seen:
    """Return two machines that run, as the last `up` left them, but for `facts`."""
    both: dict[str, Any] = {
        "states": dict.fromkeys(ROLES, "running"), "recorded": BOTH, "disks": BOTH, "old": WANTED,
        "taken": frozenset(), "host_names": {role: role for role in ROLES}, "current": True,
    }  # fmt: skip
    return Seen(**{**both, **facts})


def steps(one: Seen, wanted: Mapping[str, Any] = WANTED) -> list[str]:
    return [str(step) for step in plan(one, wanted)]


def changed(**settings: Any) -> dict[str, Any]:
    return {**WANTED, **settings}


NOTHING: dict[str, Any] = {"states": {}, "recorded": frozenset(), "disks": frozenset()}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, []),
        (NOTHING | {"old": None, "current": False},
         ["create client and server: it does not exist"]),
        ({"states": dict.fromkeys(ROLES, "saved")},
         ["restore client and server: its state was saved"]),
        ({"states": dict.fromkeys(ROLES, "saved"), "current": False},
         ["restore client and server: its state was saved",
          "set up client and server: sources or settings changed since the last `up`"]),
        ({"states": {"client": "paused", "server": "running"}}, ["resume client: it is paused"]),
        ({"states": {"client": "running", "server": "shut off"}}, ["start server: it is shut off"]),
        ({"states": {"client": "running", "server": "in shutdown"}},
         ["stop server: its state is 'in shutdown'", "start server: it is shut off"]),
        ({"states": {"client": "saved", "server": "crashed"}, "current": False},
         ["restore client: its state was saved", "start server: it is crashed"]),
        ({"states": {"server": "running"}, "recorded": {"server"}, "disks": {"server"}},
         ["create client: it does not exist"]),
        ({"states": {"server": "running"}},
         ["remove client: Vagrant has a record of it, libvirt does not know it",
          "create client: in its place"]),
        ({"states": {"server": "running"}, "recorded": {"server"}},
         ["remove client: a disk was left of it", "create client: in its place"]),
        ({"recorded": frozenset({"client"})},
         ["remove server: Vagrant has no record of it", "create server: in its place"]),
        ({"old": None},
         ["remove client and server: nothing tells what it was made from",
          "create client and server: in its place"]),
        ({"host_names": {"client": "client", "server": "testbed"}},
         ["set up client and server: server started again by hand"]),
        ({"host_names": {"client": None, "server": "server"}},
         ["stop client: it runs and does not answer", "start client: it is shut off"]),
        ({"current": False},
         ["set up client and server: sources or settings changed since the last `up`"]),
        ({"states": dict.fromkeys(ROLES, "shut off"), "taken": {"client"}},
         ["remove client: another program has taken a port of it",
          "create client: in its place", "start server: it is shut off"]),
        ({"taken": {"client"}}, []),
    ],
)  # fmt: skip
def test_the_difference_and_its_reason(facts: dict[str, Any], expected: list[str]) -> None:
    assert steps(seen(**facts)) == expected


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (changed(nic_model="virtio"), "NIC model: e1000, now virtio"),
        (changed(driver="kvm", cpu_mode="host-passthrough"),
         "accelerator: qemu, now kvm; CPU model: maximum, now host-passthrough"),
        (changed(box={"name": "testbed-2", "url": "file:///2"}), "box: testbed-1, now testbed-2"),
        (changed(private_key="/other"), "key: /key, now /other"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("state", ["running", "saved", "shut off"])
def test_what_both_were_made_with(wanted: dict[str, Any], reason: str, state: str) -> None:
    said = steps(seen(states=dict.fromkeys(ROLES, state)), wanted)
    assert said == [
        f"remove client and server: {reason}", "create client and server: in its place",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"cpus": 2}, "cpus: 1, now 2"), ({"setup": ["a", "c"]}, "setup: a b, now a c"),
     ({"memory_mb": 700, "cpus": 2}, "cpus: 1, now 2; memory mb: 512, now 700")],
)  # fmt: skip
def test_one_machine_changed_and_the_other_stays(change: dict[str, Any], reason: str) -> None:
    machines = {**WANTED["machines"], "client": {**MACHINE, **change}}
    assert steps(seen(), changed(machines=machines)) == [
        f"remove client: {reason}", "create client: in its place",
    ]  # fmt: skip


def test_whatever_is_seen_both_run_in_the_end() -> None:
    """Every combination of states, records and disks leads to two machines, each by one way."""
    states = [None, "running", "saved", "paused", "shut off", "crashed"]
    halves = [frozenset(), frozenset({"client"}), frozenset({"server"}), BOTH]
    for client, server in product(states, repeat=2):
        there = {r: s for r, s in (("client", client), ("server", server)) if s is not None}
        for recorded, disks, old in product(halves, halves, [None, WANTED]):
            facts = {"states": there, "recorded": recorded, "disks": disks, "old": old}
            found = plan(seen(**facts), WANTED)
            for role in ROLES:
                mine = [step.action for step in found if role in step.roles]
                gone = "remove" in mine or role not in there
                assert ("create" in mine) == gone
                if "remove" in mine:
                    assert mine.index("remove") < mine.index("create")
                elif there.get(role) not in (None, "running"):
                    assert sum(a in ("restore", "resume", "start") for a in mine) == 1
