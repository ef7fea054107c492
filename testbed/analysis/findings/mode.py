# SPDX-License-Identifier: Apache-2.0
"""The check that a hook was attached as its label says, from the first packet to the last.

An arm's own `verify` may be wrong, or lie. So what the kernel says of interface, modules, programs
and tables is read beside it, by the testbed, and goes before it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from testbed.analysis.findings.finding import WHOLE_RUN, Check, Evidence, Finding, Verdict, of
from testbed.analysis.measures.watching import XDP_MODES, Xdp, attachments, xdp_of, xdp_on_nic
from testbed.analysis.reading.environment import UNKNOWN, nic_driver
from testbed.analysis.reading.records import Run, Trial
from testbed.model.nic import INTERFACE, NICS

JIT = "net/core/bpf_jit_enable"
State = Mapping[str, Any]


def mode(run: Run) -> list[Finding]:
    found = _driver(run)
    for trial in run.trials:
        found += _attached(run, trial) or _still_there(trial) or _by_the_kernel(run, trial)
        if trial.mode == "module" and not (
            trial.hook_before and "module" in trial.hook_before.facts
        ):
            found.append(of(trial).unknown("mode", "the name of the arm's module"))
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


def _by_the_kernel(run: Run, trial: Trial) -> list[Finding]:
    """Where the kernel contradicts what `verify` printed, before the traffic or after it."""
    moments = (
        ("before", trial.before, trial.hook_before),
        ("after", trial.after, trial.hook_after),
    )
    for when, network, hook in moments:
        if network is None or hook is None or hook.problem or hook.mode is None:
            continue
        said = next(_contradictions(run, trial, network.state, hook.facts, hook.mode), None)
        if said:
            actual = xdp_on_nic(network.state)
            return [
                of(trial).finding(
                    "mode",
                    Verdict.INVALID,
                    f"`verify` said “{hook.mode}” {when} the traffic, but {said}",
                    Evidence(
                        quantity=f"mode by the kernel, {when} the traffic",
                        observed=actual.mode if actual else "no XDP program on the NIC",
                        bound=hook.mode,
                    ),
                    advice="The kernel knows better than the arm: correct its verify command so "
                    "that it asks the kernel, and its load command or its label.",
                )
            ]
    return []


def _contradictions(
    run: Run, trial: Trial, state: State, facts: Mapping[str, Any], mode: str
) -> Iterator[str]:
    hook = run.arm(trial.arm).hook
    links, actual = xdp_of(state), xdp_on_nic(state)
    if links is not None:
        yield from _of_xdp(facts, mode, actual)
        others = [] if mode in XDP_MODES else list(links)
        if others and hook != "none":  # without a hook `state` says that it was left behind
            where = " and ".join(others)
            yield f"an XDP program is attached to {where} besides ({links[others[0]].mode})"
    modules = state.get("modules")
    if isinstance(modules, list):
        name = facts.get("module")
        if isinstance(name, str) and name not in modules:
            yield f"the module {name} is not loaded"
        if isinstance(name, str) and name in _always_loaded(run):
            yield f"the module {name} is loaded without the arm, too"
    attached = attachments(state)
    if hook.startswith("nftables") and attached is not None:
        tables = state.get("attached", {}).get("root", {}).get("nft_tables")
        if tables == []:
            yield "the kernel has no nft table"


def _always_loaded(run: Run) -> set[str]:
    """Modules that every trial without a hook has."""
    loaded = [
        set(map(str, modules))
        for trial in run.trials
        if run.arm(trial.arm).is_baseline
        and trial.before is not None
        and isinstance(modules := trial.before.state.get("modules"), list)
    ]
    return set.intersection(*loaded) if loaded else set()


def _of_xdp(facts: Mapping[str, Any], mode: str, actual: Xdp | None) -> Iterator[str]:
    if mode not in XDP_MODES:
        return
    if actual is None:
        yield f"no XDP program is attached to {INTERFACE}"
    elif actual.mode != mode:
        yield f"the kernel says “{actual.mode}”"
    elif isinstance(facts.get("program_id"), int) and actual.program != facts["program_id"]:
        yield f"the program on {INTERFACE} is number {actual.program}, not {facts['program_id']}"


def _driver(run: Run) -> list[Finding]:
    machines = run.config.get("machines")
    model = machines.get("nic_model") if isinstance(machines, dict) else None
    driver = nic_driver(run)
    if model is None or driver == UNKNOWN:
        return [WHOLE_RUN.unknown("mode", "the NIC's model or its driver")]
    known = NICS.get(str(model))
    expected = known.driver if known else str(model)
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
        threshold="INVALID unless equal, and where the kernel contradicts `verify`: another XDP "
        "mode or program, none, one beside a module, a module that is not loaded or is loaded "
        "without the arm too, no nft table. "
        "SUSPECT when an XDP arm's JIT is not 1, or not recorded",
        source="the arm's verify command (hook-before.json, hook-after.json), expect.mode of its "
        "manifest; `ip -d link`, /proc/modules, nft tables (before.json, after.json); ethtool -i "
        "against nic_model; net.core.bpf_jit_enable",
        look=mode,
    ),
)
