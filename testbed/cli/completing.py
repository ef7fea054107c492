# SPDX-License-Identifier: Apache-2.0
"""The values that the Tab key offers: names that are in the checkout at that moment.

It runs at each press, so it loads next to nothing; and where something is wrong it offers nothing,
since words of its own would land in the middle of a command line.
"""

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

from testbed.edge.computer.checkout import find_checkout
from testbed.model.errors import TestbedError


def machine(incomplete: str) -> list[str]:
    """Offer the two machines."""
    return _beginning(incomplete, ("client", "server"))


def provider(incomplete: str) -> list[str]:
    """Offer what can make the machines."""
    return _beginning(incomplete, ("auto", "libvirt", "vagrant"))


def profile(incomplete: str) -> list[str]:
    """Offer the two protocols."""
    return _beginning(incomplete, ("fair", "original"))


def arms(incomplete: str) -> list[str]:
    """Offer the arms for the last place of a list with commas, less those that it has."""
    return _listed(incomplete, _in_checkout(_arms))


def language(incomplete: str) -> list[str]:
    """Offer the languages that there is a lab sheet in."""
    return _beginning(incomplete, _in_checkout(_languages))


def run(incomplete: str) -> list[str]:
    """Offer the runs, the newest first."""
    return _beginning(incomplete, _in_checkout(_runs))


def run_or_latest(incomplete: str) -> list[str]:
    """Offer the runs, and the word for the newest."""
    return _beginning(incomplete, ["latest", *_in_checkout(_runs)])


def run_or_published(incomplete: str) -> list[str]:
    """Offer the runs, and the original's tables."""
    return _beginning(incomplete, [*_in_checkout(_runs), "published"])


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _listed(incomplete: str, names: Iterable[str]) -> list[str]:
    given, comma, last = incomplete.rpartition(",")
    left = [name for name in names if name not in given.split(",")]
    return [f"{given}{comma}{name}" for name in _beginning(last, left)]


def _in_checkout(names: Callable[[Path], Iterable[str]]) -> list[str]:
    with contextlib.suppress(TestbedError, OSError):
        return list(names(find_checkout()))
    return []


def _arms(checkout: Path) -> Iterable[str]:
    return sorted(path.parent.name for path in (checkout / "guest/arms").glob("*/arm.toml"))


def _languages(checkout: Path) -> Iterable[str]:
    return sorted(path.stem for path in (checkout / "templates/handout").glob("*.toml"))


def _runs(checkout: Path) -> Iterable[str]:
    from testbed.edge.files.store import all_runs

    return [path.name for path in reversed(all_runs(checkout / "results"))]
