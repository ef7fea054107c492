# SPDX-License-Identifier: Apache-2.0
"""Checks of what was counted: the hook on these packets, the same work, on one machine."""

from collections.abc import Mapping

from testbed.analysis.counting.life import Life
from testbed.analysis.findings.finding import WHOLE_RUN, Evidence, Finding, Verdict, of_arm
from testbed.analysis.receipt.count_run import CountRun
from testbed.analysis.receipt.receipt import Receipt

IDENTITY = ("qemu", "cpu", "cpu_flags", "kernel", "mitigations", "boot_id", "nic", "box")
MOST_UNSEEN = 0.02
"""Another task may run between the receive call and the program: recorded, 1 of 272 packets."""
LANDMARK = "net_rx_action"
"""A function of the kernel that every packet runs: under KASLR each boot has it elsewhere."""


def hits(run: CountRun) -> list[Finding]:
    found = []
    for one in run.receipts:
        facts = one.summary.counted.facts
        before, after = (_total(facts.get("hits"), key) for key in ("before", "after"))
        sent = facts.get("sent")
        if before is None and one.is_baseline:
            continue
        if before is None or after is None or not isinstance(sent, int):
            found.append(of_arm(one.arm).unknown("hits", "the hook's counter"))
        elif after - before != sent:
            found.append(of_arm(one.arm).finding(
                "hits", Verdict.INVALID,
                f"the hook counted {after - before:,} packets of {sent:,}",
                Evidence(quantity="hits", observed=after - before, bound=f"{sent}"),
                advice="Packets went past the hook, or others came to it: what was counted is not "
                "the hook's work on these packets.",
            ))  # fmt: skip
    return found


def attached(run: CountRun) -> list[Finding]:
    found = []
    for one in run.receipts:
        verify = one.summary.counted.facts.get("verify")
        verify = verify if isinstance(verify, Mapping) else {}
        before, after = verify.get("before"), verify.get("after")
        if verify.get("problem"):
            problem = str(verify["problem"]).strip().splitlines()[-1]
            found.append(of_arm(one.arm).finding(
                "attached", Verdict.INVALID, f"the hook was gone at the end: {problem}",
                advice="Part of the packets met no hook: count again.",
            ))  # fmt: skip
        elif not isinstance(before, Mapping) or not isinstance(after, Mapping):
            found.append(
                of_arm(one.arm).unknown("attached", "the hook before and after the packets")
            )
        elif before.get("mode") != after.get("mode"):
            found.append(of_arm(one.arm).finding(
                "attached", Verdict.INVALID,
                f"attached as “{before.get('mode')}” before and as “{after.get('mode')}” after",
                Evidence(quantity="mode", observed=str(after.get("mode")),
                         bound=str(before.get("mode"))),
                advice="Something changed the hook between two packets: count again.",
            ))  # fmt: skip
    return found


def delivery(run: CountRun) -> list[Finding]:
    found = []
    for one in run.receipts:
        lives = [packet.path.life for packet in one.summary.packets]
        dropped = [one for one in lives if one.socket is None or one.freed_by is not None]
        unseen = sum(not life.delivered for life in lives) - len(dropped)
        if dropped:
            by = dict.fromkeys(life.freed_by for life in dropped if life.freed_by)
            found.append(of_arm(one.arm).finding(
                "delivery", _by_share(len(dropped), lives),
                f"{len(dropped):,} of {len(lives):,} packets never reached the program"
                + (f": given up by {', '.join(by)}" if by else ""),
                Evidence(quantity="packets dropped", observed=len(dropped), bound="0"),
                advice="A packet that is dropped has a shorter life: it must not be set beside "
                "one that arrives.",
            ))  # fmt: skip
        if unseen > MOST_UNSEEN * len(lives):
            found.append(of_arm(one.arm).finding(
                "delivery", _by_share(unseen, lives),
                f"the end of {unseen:,} of {len(lives):,} packets' lives was not seen",
                Evidence(quantity="share", observed=unseen / len(lives),
                         bound=f"at most {MOST_UNSEEN}"),
                advice="The datagram was queued at the socket, and the program did not take it "
                "before the CPU halted again: look for what else runs in the machine.",
            ))  # fmt: skip
    return found


def identity(run: CountRun) -> list[Finding]:
    known = run.identity
    missing = [name for name in IDENTITY if known.get(name) in (None, "", [])]
    found = [WHOLE_RUN.unknown("identity", f"identity of the machine ({', '.join(missing)})")]
    found = found if missing else []
    addresses: dict[int, str] = {}
    for one in run.receipts:
        own = one.summary.counted.facts.get("identity")
        unlike = [
            name for name in IDENTITY
            if isinstance(own, Mapping) and own.get(name) != known.get(name)
        ]  # fmt: skip
        address = _landmark(one)
        if address is not None:
            addresses.setdefault(address, one.arm)
            if len(addresses) > 1:
                unlike.append("boot_id")
        if unlike:
            found.append(of_arm(one.arm).finding(
                "identity", Verdict.INVALID,
                f"counted on another machine than the others: {', '.join(dict.fromkeys(unlike))}",
                Evidence(quantity="identity", observed=", ".join(unlike), bound="equal"),
                advice="Counts of two kernels, QEMUs, CPU flags or boots must not be compared: "
                "count all arms in one command.",
            ))  # fmt: skip
    return found


def gate(run: CountRun) -> list[Finding]:
    known = run.result.facts.get("gate")
    if not isinstance(known, Mapping):
        return [
            WHOLE_RUN.finding(
                "gate", Verdict.SUSPECT,
                "the gate was not run: that the arms do the same work is not proved",
                advice="Run `testbed up` before the count: the gate needs the pair of machines.",
            )
        ]  # fmt: skip
    found = []
    for arm in run.result.arms:
        passed = known.get(arm)
        if passed is None:
            found.append(of_arm(arm).unknown("gate", "the gate's outcome"))
        elif not passed:
            found.append(of_arm(arm).finding(
                "gate", Verdict.INVALID, "it does other work than the reference, byte for byte",
                advice=f"`testbed check --arms {arm}` tells what differs.",
            ))  # fmt: skip
    return found


def _by_share(number: int, lives: list[Life]) -> Verdict:
    """INVALID when it befell most packets, and so the typical one."""
    return Verdict.INVALID if number * 2 > len(lives) else Verdict.SUSPECT


def _landmark(one: Receipt) -> int | None:
    symbols = one.summary.counted.symbols
    pairs = zip(symbols.addresses, symbols.names, strict=True)
    return next((address for address, name in pairs if name == LANDMARK), None)


def _total(counters: object, key: str) -> int | None:
    value = counters.get(key) if isinstance(counters, Mapping) else None
    return sum(value) if isinstance(value, list) else None
