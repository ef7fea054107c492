# SPDX-License-Identifier: Apache-2.0
"""Checks that each hook handled the trial's packets, quietly, and that there is a baseline."""

from testbed.analysis.findings.finding import (
    WHOLE_RUN,
    Check,
    Evidence,
    Finding,
    Verdict,
    of,
    of_arm,
)
from testbed.analysis.reading.records import Run, Trial
from testbed.model.plan import LOG_LINES_PER_TRIAL

HITS_TOLERANCE = 0.001
LOG_SHARE, LOG_LINES = 1e-4, 3
"""Lines a packet, and lines, of an arm's trials together: fewer happen by chance."""
OTHERS = 3
"""An arm logs by design when it logs so many times as much as the trials of the others."""


def hits(run: Run) -> list[Finding]:
    """A hook handles every packet that arrives, and no more than were sent.

    Between the two lies what the link lost, before the hook or after it: `delivery` judges that.
    Without a hook, or where it was given nothing to match, there is none.
    """
    found = []
    for trial in run.trials:
        arm, counted = run.arm(trial.arm), trial.hook_hits
        if trial.client is None:
            continue
        if arm.control_kind == "unmatched" and counted is None:
            statement, bound = "the hook's counters were not read", "0"
        elif arm.is_baseline or arm.control_kind == "unmatched":
            if not counted:
                continue
            who = "arm without a hook" if arm.is_baseline else "hook that was to match nothing"
            statement, bound = f"the {who} counted {counted:,} hits", "0"
        else:
            statement, bound = _against_traffic(trial)
        if statement:
            found.append(
                of(trial).finding(
                    "hits",
                    Verdict.SUSPECT if counted is None else Verdict.INVALID,
                    statement,
                    Evidence(quantity="hook hits", observed=counted, unit="packets", bound=bound),
                    advice="The hook was not attached for the whole trial, or matched other "
                    "traffic than the trial's: read hook-before.json, hook-after.json and the "
                    "timeline in trial.json.",
                    degree=0 if counted is None else abs(counted - trial.client.offered) + 1,
                )
            )
    return found


def _against_traffic(trial: Trial) -> tuple[str, str]:
    """Return the fault of a hook's count (empty: none) and the range that it should lie in."""
    if trial.client is None:
        return "", ""
    offered, control = trial.client.offered, trial.client.control_sent
    counted, sent = trial.hook_hits, offered + control
    arrived = trial.server.unique if trial.server else 0
    bound = f"{arrived} - {HITS_TOLERANCE:.1%} … {sent} + {HITS_TOLERANCE:.1%}"
    if counted is None:
        return "the hook's counters were not read", bound
    if counted < arrived * (1 - HITS_TOLERANCE):
        return f"the hook handled {counted:,} packets, but {arrived:,} arrived", bound
    if counted > sent * (1 + HITS_TOLERANCE):
        return (
            f"the hook counted {counted:,} packets, but {offered:,} and {control:,} control "
            "datagrams were sent"
        ), bound
    return "", bound


def logging(run: Run) -> list[Finding]:
    found = []
    for trial in run.trials:
        count = trial.kernel_log_lines
        if count is None:
            if not trial.problems:
                found.append(of(trial).unknown("logging", "the number of kernel log lines"))
            continue
        if count <= LOG_LINES_PER_TRIAL:
            continue
        kept = None if trial.kernel_log is None else len(trial.kernel_log)
        found.append(
            of(trial).finding(
                "logging",
                Verdict.INVALID,
                f"{count:,} kernel log lines",
                Evidence(
                    quantity="kernel log lines",
                    observed=count,
                    unit="lines",
                    bound=f"<= {LOG_LINES_PER_TRIAL}",
                ),
                Evidence(quantity="of them kept in kernel-log.jsonl", observed=kept, unit="lines"),
                advice="Writing the log costs more than the hook: take the log calls out of the "
                "packet's path.",
                degree=count,
            )
        )
    return found + _by_rate(run, {finding.scope.arm for finding in found})


def _by_rate(run: Run, named: set[str | None]) -> list[Finding]:
    """Few lines a trial, but a line for every so many packets: that is in the packet's path."""
    counts = {}
    for arm in run.arms:
        trials = [t for t in run.trials_of(arm.name) if t.kernel_log_lines is not None]
        lines = sum(trial.kernel_log_lines or 0 for trial in trials)
        counts[arm.name] = lines, sum(t.server.unique for t in trials if t.server)
    found = []
    for arm in run.arms:
        lines, packets = counts[arm.name]
        others = [counts[other.name] for other in run.arms if other.name != arm.name]
        elsewhere, of_packets = (
            (sum(column) for column in zip(*others, strict=True)) if others else (0, 0)
        )
        usual = elsewhere / of_packets if of_packets else 0.0
        if arm.name in named or arm.is_baseline or lines < LOG_LINES or packets <= 0:
            continue
        if lines / packets < max(LOG_SHARE, OTHERS * usual):
            continue
        found.append(
            of_arm(arm.name).finding(
                "logging",
                Verdict.SUSPECT,
                f"{lines:,} kernel log lines in {packets:,} packets: one in {packets / lines:,.0f}",
                Evidence(
                    quantity="kernel log lines a packet, in the arm's trials together",
                    observed=round(lines / packets, 6),
                    bound=f"< {LOG_SHARE:g}, or less than {OTHERS} times that of other arms",
                ),
                advice="So few lines cost little, but a line for every so many packets is "
                "written by the hook: take the log calls out of the packet's path.",
                degree=lines,
            )
        )
    return found


def exhibit(run: Run) -> list[Finding]:
    return [
        of_arm(arm.name).finding(
            "exhibit",
            Verdict.INVALID,
            "shows what the original measured, and is never ranked",
            Evidence(quantity="exhibit", observed="true", bound="false"),
            advice="Compare the fair arms instead: testbed bench --both.",
        )
        for arm in run.arms
        if arm.exhibit
    ]


def baseline(run: Run) -> list[Finding]:
    if any(arm.is_baseline for arm in run.arms):
        return []
    return [
        WHOLE_RUN.finding(
            "baseline",
            Verdict.SUSPECT,
            "no arm without a hook was measured",
            Evidence(quantity="arms with hook “none”", observed=0, bound=">= 1"),
            advice="Without it nobody knows how much of a cost is the hook's: add none to --arms.",
        )
    ]


HOOK_CHECKS = (
    Check(
        code="hits",
        what="Packets the hook counted: all that arrived, no more than were sent; else none.",
        why="A hook that is detached, or matches something else, costs nothing.",
        threshold="INVALID below those that arrived or above those sent (control datagrams too) "
        "by more than 0.1 %, or any without a hook or with nothing to match; SUSPECT when not "
        "counted",
        source="the arm's count command before and after (hook-before.json, hook-after.json); "
        "client.json, server.json",
        look=hits,
    ),
    Check(
        code="logging",
        what="Kernel log lines written during the trial.",
        why="Two log lines a packet raised the CPU per packet by 30 % in this project's tests.",
        threshold=f"INVALID > {LOG_LINES_PER_TRIAL} lines a trial; SUSPECT when an arm's trials "
        f"together have {LOG_LINES} lines or more, one in {1 / LOG_SHARE:,.0f} packets, and "
        f"{OTHERS} times as many as the other arms'; or when not counted",
        source="numbers of the last /dev/kmsg record (before.json, after.json)",
        look=logging,
    ),
    Check(
        code="exhibit",
        what="Arms marked as exhibits of the original experiment.",
        why="They are known not to do the same work.",
        threshold="INVALID: never ranked",
        source="exhibit in the arm's manifest",
        look=exhibit,
    ),
    Check(
        code="baseline",
        what="The same path without a hook is among the arms.",
        why="Most of a packet's cost is the stack's, whatever hook is attached.",
        threshold="SUSPECT when absent",
        source="plan.json",
        look=baseline,
    ),
)
