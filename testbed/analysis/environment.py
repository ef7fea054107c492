# SPDX-License-Identifier: Apache-2.0
"""What the run ran on, looked up in facts/*.json. A fact that is not there reads "unknown"."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from testbed.analysis.records import Run

UNKNOWN = "unknown"
NO_DRIVER_XDP = ("e1000", "e1000e")
"""Linux drivers without any XDP support of their own (drivers/net/ethernet/intel)."""


def fact(run: Run, document: str, *keys: str) -> str:
    """The value at facts/<document>.json: keys…, as text."""
    value: Any = run.facts.get(document, {})
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return UNKNOWN if value is None or isinstance(value, Mapping) else str(value)


def nic_driver(run: Run, machine: str = "server") -> str:
    return fact(run, f"{machine}-before", "nics", "lab0", "driver", "driver")


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
    hz = fact(run, guest, "kernel_config", "HZ")
    return [
        ("Acceleration", speed),
        ("Server kernel", kernel(run)),
        ("Server system", fact(run, guest, "os_release", "PRETTY_NAME")),
        ("Server CPUs", f"{server_cpus(run)} \u00d7 {fact(run, guest, 'cpus', 'model')}"),
        ("NIC driver (lab0)", f"server {nic_driver(run)}, client {nic_driver(run, 'client')}"),
        ("Tick", hz if hz == UNKNOWN else f"{hz} Hz"),
        ("Clock source", fact(run, guest, "clocksource", "current")),
    ]


def details(run: Run) -> list[tuple[str, list[tuple[str, str]]]]:
    """Every facts file as rows of "a.b.c", value. The "after" files only where they differ."""
    groups = []
    for name, document in run.facts.items():
        rows = [
            (key, value) for key, value in _flat("", document) if ".features." not in f".{key}."
        ]
        before = run.facts.get(name.removesuffix("-after") + "-before")
        if name.endswith("-after") and before is not None:
            known = set(_flat("", before))
            rows = [row for row in rows if row not in known]
        groups.append((name, rows))
    if run.config:
        groups.append(("configuration", list(_flat("", run.config))))
    return groups


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner)
    elif isinstance(value, list):
        yield prefix, ", ".join(str(item) for item in value)
    else:
        yield prefix, "unknown" if value is None else str(value)
