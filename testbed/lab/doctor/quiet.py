# SPDX-License-Identifier: Apache-2.0
"""Disturbances of the timings: power, clock speed, other machines. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.lab.doctor.diagnosis import Diagnosis, ok

GOVERNORS = "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
SCALES_BY_ITSELF = ("intel_pstate", "amd-pstate-epp")
"""Drivers whose `powersave` still goes up with the load (Documentation/admin-guide/pm)."""


@dataclass(frozen=True)
class Supply:
    """One entry of /sys/class/power_supply, the computer's own."""

    kind: str
    online: bool
    status: str
    percent: int | None


def power(supplies: Sequence[Supply]) -> Diagnosis:
    """Judge the power source."""
    batteries = [one for one in supplies if one.kind == "Battery"]
    plugged = any(one.online for one in supplies if one.kind != "Battery")
    if plugged or not any(one.status == "Discharging" for one in batteries):
        return ok("power", "mains" if batteries else "no battery")
    left = "".join(f", {one.percent} % left" for one in batteries[:1] if one.percent is not None)
    return Diagnosis(
        "power",
        "warning",
        f"on battery{left}: the CPU may run slower, or change",
        "plug it in before you measure",
    )


def governor(governors: Collection[str], driver: str) -> Diagnosis:
    """Judge what sets the clock speed."""
    found = f"{', '.join(sorted(governors))} ({driver})" if driver else ", ".join(sorted(governors))
    if not governors:
        return ok("governor", "not to be seen: none, or set outside this machine")
    if set(governors) == {"performance"}:
        return ok("governor", found)
    fixed_low = "powersave" in governors and driver not in SCALES_BY_ITSELF
    more = "the CPU stays at its lowest speed" if fixed_low else "the speed follows the load"
    return Diagnosis(
        "governor",
        "warning" if fixed_low else "note",
        f"{found}: {more}",
        f"`echo performance | sudo tee {GOVERNORS}`",
    )


@dataclass(frozen=True)
class Other:
    """A virtual machine that is not this checkout's.

    `testbeds`: it is another checkout's, which is `checkout` where that is known.
    """

    name: str
    pid: int
    testbeds: bool = False
    checkout: Path | None = None


def others(found: Sequence[Other]) -> Diagnosis:
    """Judge the other virtual machines that run."""
    if not found:
        return ok("other machines", "no other virtual machine runs")
    names = ", ".join(f"{one.name} (process {one.pid})" for one in found)
    places = dict.fromkeys(
        str(one.checkout or "the checkout they belong to") for one in found if one.testbeds
    )
    fixes = [f"`testbed down` in {', '.join(places)}"] if places else []
    if not all(one.testbeds for one in found):
        fixes.append("shut the others down" if fixes else "shut them down before you measure")
    return Diagnosis("other machines", "warning", f"they take CPU time: {names}", "; ".join(fixes))
