# SPDX-License-Identifier: Apache-2.0
"""The check that the server was the same machine in every trial, but for the arm's own hook."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from testbed.analysis.findings.finding import WHOLE_RUN, Check, Evidence, Finding, Verdict, of
from testbed.analysis.measures.watching import XDP_MODES, Attachment, attachments, taps
from testbed.analysis.reading.records import Run, Trial
from testbed.analysis.reading.trial_records import Network
from testbed.model.nic import INTERFACE

OWN = {
    "none": (),
    "netfilter": (),
    "xdp": ("xdp program", "ext program"),
    "tc": ("sched_cls program", "sched_act program", "ingress qdisc"),
    "nftables": ("nft table",),
    "iptables": ("iptables table", "nft table"),
}
"""Kinds of things that a hook may attach, by the start of `hook`; any, if it is not listed."""
THREAD = "kernel thread"
NAMED_KEYS = 3
"""So many differences a statement names."""


def state(run: Run) -> list[Finding]:
    """Each key of the fingerprint has one value that most trials have; another one is found."""
    own = {trial.folder: _module(trial) for trial in run.trials}
    modules = {name for name in own.values() if name}
    prints = {
        trial.folder: dict(_fingerprint(trial, trial.before.state, modules))
        for trial in run.trials
        if trial.before is not None and trial.before.state
    }
    usual = _usual(list(prints.values()))
    besides = _besides(run)
    found = []
    if prints and not besides:
        found.append(WHOLE_RUN.unknown("state", "what was attached besides the hooks"))
    for trial in run.trials:
        mark = prints.get(trial.folder)
        if mark is None or trial.before is None:
            if not trial.problems:
                found.append(of(trial).unknown("state", "the server's state before the trial"))
            continue
        odd = [k for k in usual if mark.get(k) != usual[k] and not _is_the_drivers(trial, k)]
        said = [f"{key} is {mark.get(key)}, elsewhere {usual[key]}" for key in odd[:NAMED_KEYS]]
        said += [f"and {len(odd) - NAMED_KEYS} more"] if len(odd) > NAMED_KEYS else []
        left = list(_residue(trial, trial.before, modules - {own[trial.folder] or ""}))
        left += besides.get(trial.folder, [])
        if not odd and not left:
            continue
        found.append(
            of(trial).finding(
                "state",
                Verdict.INVALID,
                "; ".join(left + said),
                *(
                    Evidence(quantity=key, observed=mark.get(key), bound=str(usual[key]))
                    for key in odd
                ),
                *(Evidence(quantity="residue", observed=what, bound="none") for what in left),
                advice="Something else than the hook differed between the arms: testbed down, "
                "testbed up, and measure again.",
            )
        )
    return found


def _module(trial: Trial) -> str | None:
    name = trial.hook_before.facts.get("module") if trial.hook_before else None
    return name if isinstance(name, str) else None


def _besides(run: Run) -> dict[str, list[str]]:
    """By trial, what is attached that not every trial has, and that is not what its hook is.

    A kernel thread counts where all trials of an arm have it and no other trial has.
    """
    found = {
        trial.folder: known
        for trial in run.trials
        if trial.before is not None and (known := attachments(trial.before.state)) is not None
    }
    if not found:
        return {}
    everywhere = frozenset.intersection(*found.values())
    besides = {}
    for trial in run.trials:
        more = found.get(trial.folder, everywhere) - everywhere
        besides[trial.folder] = [
            f"attached besides the hook: {one}"
            for one in sorted(more)
            if (_is_of(run, trial.arm, one, found) if one.kind == THREAD
                else not _is_own(run.arm(trial.arm).hook, one))
        ]  # fmt: skip
    return besides


def _is_own(hook: str, one: Attachment) -> bool:
    """Return True if a hook may consist of this; an unknown word may consist of anything."""
    kinds = next((kinds for word, kinds in OWN.items() if hook.startswith(word)), None)
    return kinds is None or one.kind in kinds


def _is_of(run: Run, arm: str, one: Attachment, found: Mapping[str, frozenset[Attachment]]) -> bool:
    """Return True if all trials of an arm have it, and no trial of another arm."""
    having = [run_trial for run_trial in run.trials if one in found.get(run_trial.folder, ())]
    source = run.arm(arm).control_of or arm
    names = {run.arm(trial.arm).control_of or trial.arm for trial in having}
    return names == {source} and len(having) >= len(run.trials_of(arm))


def _fingerprint(
    trial: Trial, state: Mapping[str, Any], modules: set[str]
) -> Iterator[tuple[str, str]]:
    """Yield the state that all trials must share, without the arms' own modules and programs."""
    for name, count in taps(state, trial.server).items():
        yield name, str(count)
    for key, value in state.items():
        if key == "sysctls" and isinstance(value, Mapping):
            yield from ((f"sysctl {name}", str(setting)) for name, setting in value.items())
        elif key == "gro" and isinstance(value, Mapping):
            yield from ((f"GRO on {name}", "on" if on else "off") for name, on in value.items())
        elif key == "modules" and isinstance(value, list):
            yield "modules", ", ".join(sorted(set(map(str, value)) - modules))
        elif key == "links" and isinstance(value, Mapping):
            for space, links in value.items():
                yield from _links(space, links)
        elif key == "settings" and isinstance(value, Mapping):
            for nic, settings in value.items():
                yield from ((f"{nic} {name}", str(of_it)) for name, of_it in settings.items())
        elif key == "attached" and isinstance(value, Mapping):
            yield from _features(value)
        elif key.endswith("packet_sockets"):  # counted above
            continue
        elif not isinstance(value, list | dict):
            yield key, str(value)


def _features(attached: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Bits of what the links do themselves: offloads, GRO."""
    for found in attached.values():
        for name, bits in ((found or {}).get("features") or {}).items():
            yield f"{name} features", str(bits)


def _is_the_drivers(trial: Trial, key: str) -> bool:
    """A driver that runs XDP itself may have to drop offloads for it."""
    return trial.mode == "native" and key == f"{INTERFACE} features"


def _links(space: str, links: Any) -> Iterator[tuple[str, str]]:
    names = [str(link.get("ifname")) for link in links or ()]
    yield f"links in {space}", ", ".join(sorted(names))
    for link in links or ():
        flags = " ".join(sorted(map(str, link.get("flags") or ())))
        yield f"{link.get('ifname')} mtu", str(link.get("mtu"))
        yield f"{link.get('ifname')} qdisc", str(link.get("qdisc"))
        yield f"{link.get('ifname')} flags", flags


def _usual(prints: list[dict[str, str]]) -> dict[str, str | None]:
    """The commonest value of each key; of several the one that came first."""
    keys = dict.fromkeys(key for mark in prints for key in mark)
    return {key: Counter(m.get(key) for m in prints).most_common(1)[0][0] for key in keys}


def _residue(trial: Trial, before: Network, others: set[str]) -> Iterator[str]:
    loaded = before.state.get("modules")
    for name in sorted(others & set(map(str, loaded or ()))):
        yield f"the module {name} of another arm is loaded"
    if trial.mode in XDP_MODES:
        return
    links = before.state.get("links")
    for found in links.values() if isinstance(links, Mapping) else ():
        for link in found or ():
            if "xdp" in link:
                yield f"an XDP program is attached to {link.get('ifname')}"


MACHINE_CHECKS = (
    Check(
        code="state",
        what="Before every trial the server was the same but for the arm's own hook, and nothing "
        "of another arm was left; an arm attaches what its hook is and nothing besides.",
        why="A setting, a module or a queue that differs between arms is measured with the hook.",
        threshold="INVALID on any difference or residue, and for a BPF program, nft or iptables "
        "table, ingress qdisc or kernel thread that is not the hook; SUSPECT when not recorded",
        source="sysctls, modules, links (MTU, queueing discipline, flags, XDP), NIC features and "
        "settings, BPF programs, tables, qdiscs, kernel threads, packet sockets, tracing "
        "(before.json)",
        look=state,
    ),
)
