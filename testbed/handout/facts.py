# SPDX-License-Identifier: Apache-2.0
"""Every number and name that the sheet's text may use, taken from where the tool has it."""

import re
from collections.abc import Mapping
from math import ceil, sqrt
from pathlib import Path

from testbed.analysis.conclusions.sentences import significant
from testbed.analysis.findings import CHECKS, DELIVERED_INVALID
from testbed.analysis.findings.arrival import DELIVERED_SUSPECT, SHARES_APART_INVALID
from testbed.analysis.findings.mpstat import TICKS_INVALID, TICKS_SUSPECT, USUAL_HZ
from testbed.analysis.findings.order import BLOCKS_SUSPECT, HALF_WIDTH_SUSPECT
from testbed.analysis.measures import hops
from testbed.analysis.page.generic_xdp import WANTED_HEADROOM
from testbed.analysis.published import claim
from testbed.analysis.published.original import published_run
from testbed.analysis.reading import environment
from testbed.analysis.reading.records import Run
from testbed.analysis.statistics.intervals import SMALLEST_EFFECT
from testbed.model.arm import EXHIBITS, Arm
from testbed.model.config import Config
from testbed.model.errors import ConfigError, ExitCode
from testbed.model.nic import INTERFACE, NICS
from testbed.model.plan import LOG_LINES_PER_TRIAL
from testbed.packets.case import GROUPS
from testbed.packets.cases import cases_for
from testbed.packets.craft import Wire
from testbed.packets.drawing import LONGEST, Draws, TrialSpace

ANY_SEED, ANY_MAC = 1, "02:00:00:00:00:01"  # the number of cases does not depend on them
DAY_S = 86_400
BACK = "`git checkout guest/arms/` brings back what was there"
_WORDS = re.compile(r"^#define PAYLOAD_WORDS (\d+)\b", re.MULTILINE)


def facts_of(config: Config, arms: Mapping[str, Arm], arms_dir: Path) -> dict[str, str]:
    """Return what `{name}` in the catalogue stands for. Raises ConfigError for a missing arm."""
    return (
        _topology(config)
        | _load(config)
        | _gate(config)
        | _exhibits(config, arms, arms_dir)
        | _checks(config)
        | _published(published_run())
    )


def _topology(config: Config) -> dict[str, str]:
    network = config.network
    cpus = config.machines.server.cpus
    return {
        **{name: str(value) for name, value in network.model_dump().items()},
        "interface": INTERFACE,
        "veth": hops.VETH,
        "veth_peer": hops.VETH_PEER,
        "nic": config.machines.nic_model,
        "server_cpus": str(cpus),
        "mpstat_top": str(100 * cpus),
        "memory_mb": f"{config.machines.server.memory_mb + config.machines.client.memory_mb:,}",
        "xdp_headroom": str(WANTED_HEADROOM),
        "e1000_headroom": str(NICS["e1000"].headroom_bytes),
    }


def packets_of(config: Config) -> int:
    """Return the packets of one trial at the rate that is asked for."""
    return round(config.bench.rate_pps * config.bench.duration_s)


def _load(config: Config) -> dict[str, str]:
    bench = config.bench
    packets = packets_of(config)
    ticks = bench.duration_s * USUAL_HZ
    return {
        "trials": str(bench.trials),
        "rate": f"{bench.rate_pps:,.0f}",
        "duration": f"{bench.duration_s:g}",
        "packets": f"{packets:,}",
        "enough": f"{ceil(round(packets * DELIVERED_INVALID, 6)):,}",
        "payload": f"{bench.payload_bytes:,}",
        "jitter": _percent(bench.jitter),
        "hz": str(USUAL_HZ),
        "tick_ms": f"{1000 / USUAL_HZ:g}",
        "ticks_a_trial": f"{ticks:.0f}",
        "packets_a_tick": f"{bench.rate_pps / USUAL_HZ:g}",
        "smallest_p": f"{2 / 2**bench.trials:g}",
    }


def _gate(config: Config) -> dict[str, str]:
    draws = Draws(ANY_SEED, config.network, TrialSpace.of(config.bench))
    cases = cases_for(draws, Wire(ANY_MAC, ANY_MAC), direct=False)
    return {
        "cases": f"{len(cases):,}",
        "case_groups": str(len(GROUPS)),
        "to_rewrite": f"{sum(case.fate == 'rewritten' for case in cases):,}",
        "lengths": f"{LONGEST + 1:,}",
        "longest": f"{LONGEST:,}",
        **{f"group_{name.replace('-', '_')}": title for name, title in GROUPS.items()},
    }


def _exhibits(config: Config, arms: Mapping[str, Arm], arms_dir: Path) -> dict[str, str]:
    """Read the two published recipes: the manifest of one and the source of the other."""
    logging, bounded = EXHIBITS
    if logging not in arms or bounded not in arms:
        raise ConfigError(
            f"the sheet needs the arms {logging} and {bounded}",
            hint=BACK,
        )
    path = arms_dir / bounded / "redirect.bpf.c"
    try:
        found = _WORDS.search(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint=BACK) from error
    if found is None:
        raise ConfigError(
            f"{path}: no line `#define PAYLOAD_WORDS …`: where does its loop end?", hint=BACK
        )
    words = int(found[1])
    right = 2 * words + 1  # and an odd byte, which is added by itself
    lines = arms[logging].expect.log_lines_per_packet
    return {
        "logging": logging,
        "bounded": bounded,
        "log_lines": str(lines),
        "log_lines_a_trial": f"{lines * packets_of(config):,}",
        "bounded_words": str(words),
        "bounded_bytes": str(2 * words),
        "bounded_right": str(right),
        "bounded_wrong": str(right + 1),
        "bounded_wrong_lengths": f"{LONGEST - right:,}",
    }


def _checks(config: Config) -> dict[str, str]:
    return {
        "checks": str(len(CHECKS)),
        "delivered_invalid": _percent(DELIVERED_INVALID),
        "delivered_suspect": _percent(DELIVERED_SUSPECT),
        "shares_apart": f"{SHARES_APART_INVALID * 100:g}",
        "log_limit": str(LOG_LINES_PER_TRIAL),
        "ticks_suspect": str(TICKS_SUSPECT),
        "ticks_invalid": str(TICKS_INVALID),
        "blocks": str(BLOCKS_SUSPECT),
        "half_width": _percent(HALF_WIDTH_SUSPECT),
        "smallest_effect": _percent(SMALLEST_EFFECT),
        "smallest_factor": f"{1 + SMALLEST_EFFECT:g}",
        "exit_ok": str(int(ExitCode.OK)),
        "exit_machine": str(int(ExitCode.MACHINE)),
        "exit_arm": str(int(ExitCode.ARM)),
        "exit_invalid": str(int(ExitCode.INVALID)),
    }


def _published(run: Run) -> dict[str, str]:
    """Return the facts in the original's tables."""
    module, program = claim.readings(run)
    first, second = run.trials
    ticks = second.server.after.stat.total["softirq"] if second.server else 0
    apart_s = abs((first.started_ns or 0) - (second.started_ns or 0)) / 1e9
    return {
        "pub_trials": str(len(first.server.uniques) if first.server else 0),
        "pub_module_delivered": f"{module.delivered or 0:,}",
        "pub_program_delivered": f"{program.delivered or 0:,}",
        "pub_module_busy": significant(module.busy_pct, 2),
        "pub_program_busy": significant(program.busy_pct, 2),
        "pub_times": significant(module.busy_pct / program.busy_pct, 2),
        "pub_top": f"{module.top_pct:.0f}",
        "pub_cpus": f"{module.top_pct / 100:.0f}",
        "pub_softirq_ticks": str(ticks),
        "pub_softirq_sd": f"{sqrt(ticks):.1f}",
        "pub_softirq_percent": f"{100 / sqrt(ticks):.0f}",
        "pub_nic": environment.nic_driver(run),
        "pub_days": f"{apart_s / DAY_S:.0f}",
    }


def _percent(share: float) -> str:
    return f"{share * 100:g}"
