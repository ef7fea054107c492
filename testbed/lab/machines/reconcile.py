# SPDX-License-Identifier: Apache-2.0
"""The plan of `up`: from the present state to the wanted one, each step with its reason.

Nothing is touched here: the plan is a pure function of what was seen, so `up --dry-run` prints
exactly what `up` would do.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from testbed.edge.hypervisor.states import ALIVE, OFF, PAUSED, RUNNING, SAVED, STUCK
from testbed.lab.machines.project import ROLES

Action = Literal["remove", "stop", "create", "restore", "resume", "start", "set up"]
MARKS = ("provider", "driver", "cpu_mode", "nic_model", "box", "private_key")
"""Settings of both machines that cannot be changed in machines that exist."""


CHANGED = "sources or settings changed since the last `up`"


@dataclass(frozen=True)
class Seen:
    """The present state of this checkout's machines.

    `states` by role, as libvirt tells; `recorded` are the roles that Vagrant knows, `disks` those
    that a disk is there for. `old` is machines.json of the last `up`, None where it cannot be read.
    `taken` are the roles whose ports another program has by now. `host_names` is what running
    machines call themselves: their role once they are set up, as long as they are not started
    again. `current`: what was set up then is what the checkout has now.
    """

    states: Mapping[str, str]
    recorded: frozenset[str]
    disks: frozenset[str]
    old: Mapping[str, Any] | None
    taken: frozenset[str]
    host_names: Mapping[str, str | None]
    current: bool


@dataclass(frozen=True)
class Step:
    """One thing to do to some machines, and why."""

    action: Action
    roles: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        return f"{self.action} {' and '.join(self.roles)}: {self.reason}"


def plan(seen: Seen, wanted: Mapping[str, Any]) -> list[Step]:
    """Return the steps from `seen` to two machines that run as `wanted`; none if they do."""
    removing = list(_removals(seen, wanted))
    gone = {role for step in removing for role in step.roles}
    steps: list[Step] = [*removing]
    for role in ROLES:
        state = None if role in gone else seen.states.get(role)
        if state == RUNNING and role in seen.host_names and seen.host_names[role] is None:
            steps.append(Step("stop", (role,), "it runs and does not answer"))
            state = OFF
        elif state in STUCK:
            steps.append(Step("stop", (role,), f"its state is '{state}'"))
            state = OFF
        steps += _to_running(role, state, again=role in gone)
    if not steps and (reason := _not_set_up(seen)):
        return [Step("set up", ROLES, reason)]
    if steps and not seen.current and not {step.action for step in steps} & {"create", "start"}:
        steps.append(Step("set up", ROLES, CHANGED))
    return _joined(steps)


def _to_running(role: str, state: str | None, *, again: bool) -> Iterator[Step]:
    if state is None:
        yield Step("create", (role,), "in its place" if again else "it does not exist")
    elif state == SAVED:
        yield Step("restore", (role,), "its state was saved")
    elif state == PAUSED:
        yield Step("resume", (role,), "it is paused")
    elif state != RUNNING:
        yield Step("start", (role,), f"it is {state}")


def _removals(seen: Seen, wanted: Mapping[str, Any]) -> Iterator[Step]:
    """Yield steps for machines that cannot become what is wanted, or are only half there."""
    changes = list(changed(seen.old, wanted))
    for role in ROLES:
        there = role in seen.states
        mine = [*changes, *_changed_machine(role, seen.old, wanted)]
        if there and seen.old is None:
            yield Step("remove", (role,), "nothing tells what it was made from")
        elif there and mine:
            yield Step("remove", (role,), "; ".join(mine))
        elif there and role not in seen.recorded:
            yield Step("remove", (role,), "Vagrant has no record of it")
        elif there and seen.states[role] not in ALIVE and role in seen.taken:
            yield Step("remove", (role,), "another program has taken a port of it")
        elif not there and role in seen.recorded:
            yield Step("remove", (role,), "Vagrant has a record of it, libvirt does not know it")
        elif not there and role in seen.disks:
            yield Step("remove", (role,), "a disk was left of it")


def changed(old: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> Iterator[str]:
    """Yield the outdated settings of both machines: "NIC model: e1000, now virtio"."""
    names = {"driver": "accelerator", "cpu_mode": "CPU model", "nic_model": "NIC model",
             "private_key": "key"}  # fmt: skip
    for key in MARKS:
        was, now = (_shown(settings.get(key)) for settings in (old or wanted, wanted))
        if was != now:
            yield f"{names.get(key, key)}: {was}, now {now}"


def _changed_machine(
    role: str, old: Mapping[str, Any] | None, wanted: Mapping[str, Any]
) -> Iterator[str]:
    was = (old or wanted).get("machines", {}).get(role, {})
    now = wanted["machines"][role]
    for key in sorted(now):
        if was.get(key) != now[key]:
            yield f"{key.replace('_', ' ')}: {_shown(was.get(key))}, now {_shown(now[key])}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("name")
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _not_set_up(seen: Seen) -> str:
    """Why running machines have to be set up again; empty when the last set-up still holds."""
    other = [role for role in ROLES if seen.host_names.get(role) not in (None, role)]
    if other:
        return f"{' and '.join(other)} started again by hand"
    return "" if seen.current else CHANGED


def _joined(steps: list[Step]) -> list[Step]:
    """Both machines in one step where action and reason are the same; taking away comes first."""
    joined: list[Step] = []
    for step in sorted(steps, key=lambda step: step.action not in ("remove", "stop")):
        same = [s for s in joined if (s.action, s.reason) == (step.action, step.reason)]
        if same:
            joined[joined.index(same[0])] = Step(
                step.action, (*same[0].roles, *step.roles), step.reason
            )
        else:
            joined.append(step)
    return joined
