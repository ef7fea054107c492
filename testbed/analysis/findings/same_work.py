# SPDX-License-Identifier: Apache-2.0
"""Checks that the arms are what their labels say and do the same work."""

from testbed.analysis.findings.finding import Check, Evidence, Finding, Scope, Verdict, of_trial
from testbed.analysis.records import Run

HITS_TOLERANCE = 0.001
LOG_LINES_PER_TRIAL = 10


def hits(run: Run) -> list[Finding]:
    """A hook handles every packet that arrives, and no more than were sent.

    Between the two lies what the link lost, before the hook or after it: `delivery` judges that.
    """
    found = []
    for trial in run.trials:
        arm = run.arm(trial.arm)
        if trial.client is None:
            continue
        counted, sent = trial.hook_hits, trial.client.offered + trial.client.control_sent
        arrived = trial.server.unique if trial.server else 0
        at_least, at_most = arrived * (1 - HITS_TOLERANCE), sent * (1 + HITS_TOLERANCE)
        bound = f"{arrived} - {HITS_TOLERANCE:.1%} … {sent} + {HITS_TOLERANCE:.1%}"
        if arm.is_baseline:
            if not counted:
                continue
            bound, statement = "0", f"the arm without a hook counted {counted:,} hits"
        elif counted is None:
            statement = "the hook's counters were not read"
        elif counted < at_least:
            statement = f"the hook handled {counted:,} packets, but {arrived:,} arrived"
        elif counted > at_most:
            statement = (
                f"the hook counted {counted:,} packets, but {trial.client.offered:,} "
                f"and {trial.client.control_sent:,} control datagrams were sent"
            )
        else:
            continue
        found.append(
            Finding(
                code="hits",
                verdict=Verdict.SUSPECT if counted is None else Verdict.INVALID,
                scope=of_trial(trial),
                statement=statement,
                evidence=(
                    Evidence(quantity="hook hits", observed=counted, unit="packets", bound=bound),
                ),
                advice="The hook was not attached for the whole trial, or matched other traffic "
                "than the trial's: read verify.json and the timeline in trial.json.",
                degree=0 if counted is None else max(at_least - counted, counted - at_most, 1),
            )
        )
    return found


def mode(run: Run) -> list[Finding]:
    found = []
    for trial in run.trials:
        expected = run.arm(trial.arm).expected_mode
        if trial.mode == expected or (trial.mode is None and trial.problems):
            continue
        actual = trial.mode or "none"
        found.append(
            Finding(
                code="mode",
                verdict=Verdict.INVALID,
                scope=of_trial(trial),
                statement=f"attached as “{actual}” where the label says “{expected or 'none'}”",
                evidence=(Evidence(quantity="mode", observed=actual, bound=expected or "none"),),
                advice="The label would be false: correct the arm's load command or its "
                "expect.mode.",
            )
        )
    return found


def logging(run: Run) -> list[Finding]:
    found = []
    for trial in run.trials:
        count = trial.kernel_log_lines
        if count is None or count <= LOG_LINES_PER_TRIAL:
            continue
        kept = None if trial.kernel_log is None else len(trial.kernel_log)
        found.append(
            Finding(
                code="logging",
                verdict=Verdict.INVALID,
                scope=of_trial(trial),
                statement=f"{count:,} kernel log lines",
                evidence=(
                    Evidence(
                        quantity="kernel log lines",
                        observed=count,
                        unit="lines",
                        bound=f"<= {LOG_LINES_PER_TRIAL}",
                    ),
                    Evidence(
                        quantity="of them kept in kernel-log.jsonl", observed=kept, unit="lines"
                    ),
                ),
                advice="Writing the log costs more than the hook: take the log calls out of the "
                "packet's path.",
                degree=count,
            )
        )
    return found


def exhibit(run: Run) -> list[Finding]:
    return [
        Finding(
            code="exhibit",
            verdict=Verdict.INVALID,
            scope=Scope(arm=arm.name),
            statement="shows what the original measured, and is never ranked",
            evidence=(Evidence(quantity="exhibit", observed="true", bound="false"),),
            advice="Compare the fair arms instead: testbed bench --both.",
        )
        for arm in run.arms
        if arm.exhibit
    ]


def baseline(run: Run) -> list[Finding]:
    if any(arm.is_baseline for arm in run.arms):
        return []
    return [
        Finding(
            code="baseline",
            verdict=Verdict.SUSPECT,
            scope=Scope(),
            statement="no arm without a hook was measured",
            evidence=(Evidence(quantity="arms with hook “none”", observed=0, bound=">= 1"),),
            advice="Without it nobody knows how much of a cost is the hook's: add none to --arms.",
        )
    ]


SAME_WORK_CHECKS = (
    Check(
        code="hits",
        what="Packets the hook counted: all that arrived, no more than were sent; else none.",
        why="A hook that is detached, or matches something else, costs nothing.",
        threshold="INVALID below those that arrived or above those sent (control datagrams too) "
        "by more than 0.1 %; SUSPECT when not counted",
        source="the arm's count command before and after (trial.json); client.json, server.json",
        look=hits,
    ),
    Check(
        code="mode",
        what="How the hook is attached, against what the arm's label says.",
        why="Generic XDP and XDP in the driver are different mechanisms with one name.",
        threshold="INVALID unless equal",
        source="the arm's verify command (verify.json), expect.mode of its manifest",
        look=mode,
    ),
    Check(
        code="logging",
        what="Kernel log lines written during the trial.",
        why="Two log lines a packet raised the CPU per packet by 30 % in this project's tests.",
        threshold=f"INVALID > {LOG_LINES_PER_TRIAL} lines a trial",
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
