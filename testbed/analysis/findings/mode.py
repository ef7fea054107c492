# SPDX-License-Identifier: Apache-2.0
"""The check that a hook was attached as its label says, from the first packet to the last."""

from testbed.analysis.environment import UNKNOWN, nic_driver
from testbed.analysis.findings.finding import WHOLE_RUN, Check, Evidence, Finding, Verdict, of
from testbed.analysis.records import Run, Trial

DRIVERS = {"virtio": "virtio_net"}
"""Linux drivers of the NIC models (testbed.model.config.NicModel) that are named otherwise."""
JIT = "net/core/bpf_jit_enable"


def mode(run: Run) -> list[Finding]:
    found = _driver(run)
    for trial in run.trials:
        found += _attached(run, trial) or _still_there(trial)
        if run.arm(trial.arm).hook.startswith("xdp"):
            found += _compiled(trial)
    return found


def _attached(run: Run, trial: Trial) -> list[Finding]:
    expected = run.arm(trial.arm).expected_mode
    if trial.mode == expected or (trial.mode is None and trial.problems):
        return []
    actual = trial.mode or "none"
    return [
        of(trial).finding(
            "mode",
            Verdict.INVALID,
            f"attached as “{actual}” where the label says “{expected or 'none'}”",
            Evidence(quantity="mode", observed=actual, bound=expected or "none"),
            advice="The label would be false: correct the arm's load command or its expect.mode.",
        )
    ]


def _still_there(trial: Trial) -> list[Finding]:
    after = trial.hook_after
    if after is None:
        return [] if trial.problems else [of(trial).unknown("mode", "the hook after the traffic")]
    if not after.problem and after.mode == trial.mode:
        return []
    why = after.problem.strip().splitlines()[-1] if after.problem.strip() else ""
    also = f": {why}" if why else f": it was “{after.mode or 'none'}” then"
    return [
        of(trial).finding(
            "mode",
            Verdict.INVALID,
            f"the hook was no longer there when the traffic had ended{also}",
            Evidence(
                quantity="mode after the traffic", observed=after.mode, bound=trial.mode or "none"
            ),
            advice="Whatever detached it, part of the packets met no hook: look for what else "
            "runs in the server, and measure again.",
        )
    ]


def _driver(run: Run) -> list[Finding]:
    machines = run.config.get("machines")
    model = machines.get("nic_model") if isinstance(machines, dict) else None
    driver = nic_driver(run)
    if model is None or driver == UNKNOWN:
        return [WHOLE_RUN.unknown("mode", "the NIC's model or its driver")]
    expected = DRIVERS.get(str(model), str(model))
    if driver == expected:
        return []
    return [
        WHOLE_RUN.finding(
            "mode",
            Verdict.INVALID,
            f"the server's NIC ran with the driver {driver}; the configuration says {model}",
            Evidence(quantity="NIC driver", observed=driver, bound=expected),
            advice="The machines are not the configured ones: testbed down --destroy, then "
            "testbed up.",
        )
    ]


def _compiled(trial: Trial) -> list[Finding]:
    sysctls = trial.before.state.get("sysctls") if trial.before else None
    value = sysctls.get(JIT) if isinstance(sysctls, dict) else None
    if value is None:
        return [] if trial.problems else [of(trial).unknown("mode", "whether the JIT was on")]
    if value == 1:
        return []
    return [
        of(trial).finding(
            "mode",
            Verdict.SUSPECT,
            f"the BPF program was not compiled as it usually is ({JIT} = {value})",
            Evidence(quantity=JIT, observed=value, bound="1"),
            advice="An interpreted program costs several times as much: sysctl "
            "net.core.bpf_jit_enable=1.",
        )
    ]


MODE_CHECKS = (
    Check(
        code="mode",
        what="How the hook is attached, before the traffic and after it, on which NIC driver, "
        "compiled or interpreted: against what labels and configuration say.",
        why="Generic XDP and XDP in the driver are different mechanisms with one name, and a hook "
        "that was gone half-way cost half.",
        threshold="INVALID unless equal; SUSPECT when an XDP arm's JIT is not 1, or not recorded",
        source="the arm's verify command (hook-before.json, hook-after.json), expect.mode of its "
        "manifest; ethtool -i against nic_model; net.core.bpf_jit_enable",
        look=mode,
    ),
)
