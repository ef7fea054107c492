# SPDX-License-Identifier: Apache-2.0
"""Faults as changes of a sound run's record, each with what its check must say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from testbed.analysis.findings import Finding, Verdict, check_run
from testbed.analysis.formats.proc_files import ProcStat
from testbed.analysis.reading.records import Resumption, Run, Trial
from testbed.analysis.reading.trial_records import HostReading, Snap

Change = Callable[[Run], Run]


@dataclass(frozen=True, kw_only=True)
class RunFault:
    """`said` is part of the statement; `follows` are codes of other checks that may speak too."""

    change: Change
    code: str
    verdict: Verdict
    said: str
    arm: str | None = "xdp"
    about: str = "comparison"
    follows: frozenset[str] = frozenset()


def trip(run: Run, fault: RunFault) -> None:
    """Fails unless the check, and no other than those that follow, finds the fault."""
    found = [f for f in check_run(fault.change(run)) if f.verdict is not Verdict.VALID]
    mine = [finding for finding in found if finding.code == fault.code]
    assert {(f.verdict, f.scope.arm, f.about) for f in mine} == {
        (fault.verdict, fault.arm, fault.about)
    }
    assert all(fault.said in plain(f.statement) for f in mine), [f.statement for f in mine]
    assert {f.code for f in found} - {fault.code} <= fault.follows
    assert all(f.evidence and f.advice for f in mine)


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def found_by(run: Run, code: str) -> list[Finding]:
    return [f for f in check_run(run) if f.code == code and f.verdict is not Verdict.VALID]


def trials(change: Callable[[Trial], Trial], arm: str = "xdp") -> Change:
    """Changes every trial of an arm."""

    def changed(run: Run) -> Run:
        return replace(run, trials=tuple(change(t) if t.arm == arm else t for t in run.trials))

    return changed


def of_server(arm: str = "xdp", **values: Any) -> Change:
    """Sets members of `server`; a function gets the old value."""
    return trials(lambda trial: replace(trial, server=_set(trial.server, values)), arm)


def of_client(arm: str = "xdp", **values: Any) -> Change:
    return trials(lambda trial: replace(trial, client=_set(trial.client, values)), arm)


def of_state(arm: str = "xdp", after: bool = False, **values: Any) -> Change:
    """Sets members of the state before (or after) the trial; a function gets the old value."""
    name = "after" if after else "before"

    def change(trial: Trial) -> Trial:
        network = getattr(trial, name)
        new = {key: _new(network.state.get(key), value) for key, value in values.items()}
        return replace(trial, **{name: replace(network, state={**network.state, **new})})

    return trials(change, arm)


def lab0(**values: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Sets members of a link's record; None takes one away."""

    def change(links: dict[str, Any]) -> dict[str, Any]:
        def changed(link: dict[str, Any]) -> dict[str, Any]:
            if link["ifname"] != "lab0":
                return link
            return {k: v for k, v in {**link, **values}.items() if v is not None}

        return {space: [changed(link) for link in found] for space, found in links.items()}

    return change


def of_facts(name: str, **values: Any) -> Change:
    """Sets members of a facts file."""
    return lambda run: replace(run, facts={**run.facts, name: {**run.facts[name], **values}})


def resumed(block: int) -> Change:
    """Has the run cut off, and gone on with a block."""
    return lambda run: replace(run, resumed=(Resumption(block=block, utc="later"),))


def of_end(change: Callable[[HostReading], HostReading], arm: str = "xdp") -> Change:
    """Changes the host's reading at the end of the traffic."""
    return trials(lambda t: replace(t, host={**t.host, "end": change(t.host["end"])}), arm)


def more_ticks(stat: ProcStat, **ticks: int) -> ProcStat:
    """Adds ticks to columns of all CPUs together."""
    added = {name: stat.total[name] + count for name, count in ticks.items()}
    return replace(stat, total={**stat.total, **added})


def later_ticks(**ticks: int) -> Callable[[Snap], Snap]:
    return lambda snap: replace(snap, stat=more_ticks(snap.stat, **ticks))


def all_arms(*changes: Change) -> Change:
    """One change after the other."""

    def changed(run: Run) -> Run:
        for change in changes:
            run = change(run)
        return run

    return changed


def _set(record: Any, values: Mapping[str, Any]) -> Any:
    return replace(record, **{k: _new(getattr(record, k), v) for k, v in values.items()})


def _new(old: Any, value: Any) -> Any:
    return value(old) if callable(value) else value
