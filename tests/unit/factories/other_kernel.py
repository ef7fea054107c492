# SPDX-License-Identifier: Apache-2.0
"""Counts of a second kernel: the recorded packets, under names that another compiler gives."""

from dataclasses import replace
from typing import Any

from testbed.analysis.counting.raw import Counted
from testbed.analysis.counting.summary import Summary
from testbed.analysis.receipt.judged import JudgedCount, judge_count
from testbed.model.symbols import Symbols
from tests.unit.factories.count_runs import IDENTITY, count_run, summary

PACKAGE = {"package": "linux-image-6.1.0-41-amd64", "version": "6.1.158-1", "sha256": None,
           "headers": []}  # fmt: skip
FIRST = {
    **IDENTITY, "kernel_package": PACKAGE, "built_with": {"gcc-12": "12.2.0-14", "libc6": "2.36-9"},
}  # fmt: skip
SECOND = {
    **FIRST, "kernel": "Linux version 6.12.9-amd64 (somebody@example.org)", "box": "testbed-77aa",
    "kernel_package": {**PACKAGE, "package": "linux-image-6.12.9-amd64", "version": "6.12.9-1",
                       "sha256": "77" * 32},
    "built_with": {"gcc-12": "12.2.0-15", "libc6": "2.36-9"}, "boot_id": "another",
    "cpu_flags": ["fpu", "sse2", "ibpb"], "mitigations": {"spectre_v2": "Retpolines; IBPB"},
}  # fmt: skip
SOURCES = {"none": "aa", "netfilter": "bb", "xdp": "cc"}


def renamed(one: Summary, **names: str) -> Summary:
    """Return an arm whose functions have other names in its record."""

    def change(counted: Counted) -> Counted:
        known = counted.symbols
        found = tuple(names.get(name, name) for name in known.names)
        return replace(counted, symbols=Symbols(known.addresses, found))

    return Summary.of(change(one.counted))


def instead(arm: str, of: str) -> Summary:
    """Return the packets of `arm` under the facts of another arm."""
    facts = summary(of).counted.facts
    return Summary.of(replace(summary(arm).counted, facts=facts))


def judged(*arms: Summary, **changes: Any) -> JudgedCount:
    """Return a judged count of the first kernel, unless `changes` say otherwise."""
    return judge_count(count_run(*arms, **{"identity": FIRST, "sources": SOURCES, **changes}))
