# SPDX-License-Identifier: Apache-2.0
"""The run's environment, read from facts/*.json. A fact that is not there reads "unknown"."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from testbed.analysis.reading.records import Run
from testbed.model.nic import INTERFACE

UNKNOWN = "unknown"
OFFLOADS = (
    "rx-checksumming",
    "large-receive-offload",
    "tx-checksumming",
)
ACCOUNTING = ("HZ", "IRQ_TIME_ACCOUNTING", "VIRT_CPU_ACCOUNTING_GEN")
PASSING = ("schema", "monotonic_ns", "utc_ns", "uptime_s")
"""Facts that always change and tell nothing."""


def fact(run: Run, document: str, *keys: str) -> str:
    """The value at facts/<document>.json: keys…, as text."""
    value: Any = run.facts.get(document, {})
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return UNKNOWN if value is None or isinstance(value, Mapping) else str(value)


def nic_driver(run: Run, machine: str = "server") -> str:
    return fact(run, f"{machine}-before", "nics", INTERFACE, "driver", "driver")


def accelerator(run: Run) -> str:
    """ "kvm", "emulation" or "unknown"."""
    said = run.manifest.get("accelerator")
    return str(said) if said else fact(run, "host", "accelerator")


def kernel(run: Run) -> str:
    """The server's kernel release: from its facts, or from the line mpstat starts with."""
    release = fact(run, "server-before", "uname", "release")
    recordings = (trial.mpstat for trial in run.trials if trial.mpstat)
    if release == UNKNOWN:
        return next((recording.release for recording in recordings), UNKNOWN)
    return release


def server_cpus(run: Run) -> str:
    recordings = (trial.mpstat for trial in run.trials if trial.mpstat)
    online = fact(run, "server-before", "cpus", "online")
    if online == UNKNOWN:
        return next((str(recording.cpu_count) for recording in recordings), UNKNOWN)
    return online


def started(run: Run) -> str:
    """ "2025-12-06 05:46 UTC", from the manifest or from the run's name."""
    said = str(run.manifest.get("started_utc", ""))
    for text, form in ((said[:19], "%Y-%m-%dT%H:%M:%S"), (run.run_id[:15], "%Y%m%dT%H%M%S")):
        try:
            when = datetime.strptime(text, form).replace(tzinfo=timezone.utc)
        except ValueError:
            continue
        return f"{when:%Y-%m-%d %H:%M} UTC"
    return UNKNOWN


def overview(run: Run) -> list[tuple[str, str]]:
    """The facts a reader wants first."""
    reason = fact(run, "host", "accelerator_reason")
    speed = accelerator(run) + (f" ({reason})" if reason not in (UNKNOWN, "") else "")
    guest = "server-before"
    build = fact(run, guest, "uname", "version")
    rows = [
        ("Acceleration", speed),
        ("Host", _host(run)),
        ("Machines", _boots(run)),
        ("Server kernel", kernel(run) + ("" if build == UNKNOWN else f" ({build})")),
        ("Server system", fact(run, guest, "os_release", "PRETTY_NAME")),
        ("Server CPUs", f"{server_cpus(run)} \u00d7 {fact(run, guest, 'cpus', 'model')}"),
        (
            f"NIC driver ({INTERFACE})",
            f"server {nic_driver(run)}, client {nic_driver(run, 'client')}",
        ),
        ("Offloads (server)", _known(run, guest, ("nics", INTERFACE, "features"), OFFLOADS)),
        ("Tick", _known(run, guest, ("kernel_config",), ACCOUNTING)),
        ("Clock source", fact(run, guest, "clocksource", "current")),
    ]
    return [(name, value) for name, value in rows if value]


def _known(run: Run, document: str, path: tuple[str, ...], names: tuple[str, ...]) -> str:
    """ "HZ 250, NO_HZ_FULL y": those of the names that are recorded."""
    known = ((name, fact(run, document, *path, name)) for name in names)
    return ", ".join(f"{name} {value}" for name, value in known if value != UNKNOWN)


def _host(run: Run) -> str:
    """ "2 × A CPU, Linux 6.1.0, QEMU 7.2.22, …", whatever of it is recorded."""
    host = run.facts.get("host", {})
    versions = host.get("versions")
    said = {**host, **versions} if isinstance(versions, Mapping) else host
    cpus = (
        f"{host['cores']} \u00d7 {host['cpu_model']}" if {"cores", "cpu_model"} <= set(host) else ""
    )
    programs = (name for name in ("qemu", "libvirt", "vagrant") if said.get(name))
    parts = [
        cpus,
        f"Linux {host['kernel']}" if host.get("kernel") else "",
        *(_versioned(name, str(said[name])) for name in programs),
    ]
    return ", ".join(part for part in parts if part)


def _boots(run: Run) -> str:
    """ "booted …, went on from a saved state 2 times, last …"; empty where it is not recorded."""
    host = run.facts.get("host", {})
    times, last = host.get("resumes"), host.get("resumed_utc")
    if not host.get("booted_utc"):
        return ""
    booted = f"booted {host['booted_utc']}"
    how_often = "once" if times == 1 else f"{times} times"
    return f"{booted}, went on from a saved state {how_often}, last {last}" if times else booted


def _versioned(program: str, text: str) -> str:
    """A version alone gets the program's name; "QEMU 7.2" has it already."""
    return f"{program} {text}" if text[:1].isdigit() else text


def details(run: Run) -> list[tuple[str, list[tuple[str, str]]]]:
    """Every facts file as (title, rows of "a.b.c" and value), the server's before the client's.

    An "after" file gives only its changes and no NIC features: the file has them.
    """
    groups = []
    for name in sorted(run.facts, key=_place):
        rows = _rows(run.facts[name])
        before = run.facts.get(name.removesuffix("-after") + "-before")
        machine, _, when = name.partition("-")
        title = f"{machine.capitalize()} {when}".strip() + (" the run" if when else "")
        if when == "after" and before is not None:
            known = set(_rows(before))
            rows = [row for row in rows if row not in known]
            title += ": what changed"
        groups.append((title, rows))
    built = [
        (f"{arm}/{name}", sha)
        for arm, made in run.built.items()
        for name, sha in made.items()
        if not name.startswith(".")  # make's notes
    ]
    if built:
        groups.append(("Built in the server, SHA-256", built))
    if run.config:
        groups.append(("Configuration", list(_flat("", run.config))))
    return groups


def _place(name: str) -> tuple[int, bool, str]:
    machine, _, when = name.partition("-")
    known = ("host", "server", "client")
    return known.index(machine) if machine in known else len(known), when == "after", name


def _rows(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (key, value)
        for key, value in _flat("", document)
        if value and ".features." not in key and key not in PASSING
    ]


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner)
    elif isinstance(value, list):
        yield prefix, ", ".join(str(item) for item in value)
    else:
        yield prefix, "unknown" if value is None else str(value)
