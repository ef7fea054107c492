# SPDX-License-Identifier: Apache-2.0
"""The machine that counted, in words: what counts depend on, and may be compared by."""

import re
from collections.abc import Mapping
from typing import Any

from testbed.analysis.receipt.count_run import CountRun

UNKNOWN = "not recorded"


def overview(run: CountRun) -> list[tuple[str, str]]:
    """Return (name, value) for the head of a page."""
    known, facts = run.identity, run.result.facts
    sizes = ", ".join(f"{size:,}" for size in run.result.payloads)
    return [
        ("Run", run.run_id),
        ("Started", _started(facts.get("started_utc"))),
        ("Packets an arm", packets_of(run)),
        ("Payload, bytes", sizes),
        ("Emulated by", qemu(_text(known.get("qemu")))),
        ("NIC", _text(known.get("nic"))),
        ("Kernel", release(_text(known.get("kernel")))),
        ("Gate", gate_text(facts.get("gate"))),
    ]


def packets_of(run: CountRun) -> str:
    """Return how many packets each arm got."""
    packets = run.result.facts.get("packets")
    return f"{packets:,}" if isinstance(packets, int) else UNKNOWN


def details(run: CountRun) -> list[tuple[str, str]]:
    """Return (name, value) of the whole identity."""
    known = run.identity
    return [
        ("QEMU", _text(known.get("qemu"))),
        ("Plugin interface", _text(known.get("interface"))),
        ("CPU", _text(known.get("cpu"))),
        ("CPU flags", " ".join(map(str, known.get("cpu_flags") or [])) or UNKNOWN),
        ("Kernel", _text(known.get("kernel"))),
        ("Its package", package(known.get("kernel_package"))),
        ("Arms built with", versions(known.get("built_with"))),
        ("Its command line", _text(known.get("command_line"))),
        ("Mitigations", _mapping(known.get("mitigations"))),
        ("Boot", _text(known.get("boot_id"))),
        ("NIC", _text(known.get("nic"))),
        ("GRO", _gro(known.get("gro", True))),
        ("Box", _text(known.get("box"))),
    ]


def package(known: Any) -> str:
    """Return "linux-image-6.1.0-47-amd64 6.1.170-3", with the SHA-256 of one's own."""
    if not isinstance(known, Mapping):
        return UNKNOWN
    own = known.get("sha256")
    words = f"{_text(known.get('package'))} {_text(known.get('version'))}"
    return f"{words}, SHA-256 {own}" if own else f"{words}, the distribution's"


def versions(known: Any) -> str:
    """Return "gcc-12 12.2.0-14, clang-14 1:14.0.6-12"."""
    if not isinstance(known, Mapping):
        return UNKNOWN
    return ", ".join(f"{name} {version}" for name, version in known.items()) or UNKNOWN


def qemu(words: str) -> str:
    """Return "QEMU 7.2.22" of what QEMU says of itself, or that where it says something else."""
    found = re.search(r"\d+(\.\d+)+", words)
    return f"QEMU {found[0]}" if found else words


def release(version: str) -> str:
    """Return "6.1.0-41-amd64" of /proc/version's line, or the line where it is none."""
    words = version.split()
    return words[2] if words[:2] == ["Linux", "version"] and len(words) > 2 else version


def gate_text(gate: Any) -> str:
    """Return what the gate said, in words."""
    if not isinstance(gate, Mapping):
        return "not run"
    wrong = [str(arm) for arm, passed in gate.items() if not passed]
    return f"not passed by {', '.join(wrong)}" if wrong else "passed"


def _gro(value: Any) -> str:
    """Every count before this was recorded had it on."""
    return "switched off for every arm" if value is False else "on, where no XDP program is"


def _started(value: Any) -> str:
    """ "2026-11-28 05:16 UTC" of ISO 8601, or the text where it is none."""
    text = _text(value)
    day, letter, time = text.partition("T")
    return f"{day} {time[:5]} UTC" if letter and text.endswith(("+00:00", "Z")) else text


def _text(value: Any) -> str:
    return UNKNOWN if value in (None, "") else str(value)


def _mapping(value: Any) -> str:
    if not isinstance(value, Mapping):
        return UNKNOWN
    return "; ".join(f"{name}: {text}" for name, text in value.items()) or "none"
