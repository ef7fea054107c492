# SPDX-License-Identifier: Apache-2.0
"""Names of the kernel's functions by address, from /proc/kallsyms read while the arm was loaded."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

CODE = frozenset("tTwW")
FARTHEST = 1 << 16
"""Bytes from a symbol on within which code is its own. No function of Debian's kernels is longer.
Code without a name lies farther from any, for example a BPF program that is kept out of the list.
"""
UNNAMED = "(no name)"


@dataclass(frozen=True)
class Symbols:
    """Addresses in order, and the name that begins at each; a module's has `name [module]`."""

    addresses: tuple[int, ...]
    names: tuple[str, ...]

    def find(self, address: int) -> tuple[str, int]:
        """Return the name of the function that holds `address`, and where that begins."""
        at = bisect_right(self.addresses, address) - 1
        if at < 0 or address - self.addresses[at] >= FARTHEST:
            return UNNAMED, address
        return self.names[at], self.addresses[at]


def parse(text: str) -> Symbols:
    """Return the code symbols of a kallsyms listing; lines that are none are left out.

    If an address has several names, the first in the listing is taken, as the kernel's own traces
    take one of them. A listing whose addresses are hidden (all 0) gives no symbols.
    """
    found: dict[int, str] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 3 and words[1] in CODE and (address := _hex(words[0])):
            found.setdefault(address, " ".join(words[2:]))
    ordered = sorted(found.items())
    return Symbols(tuple(one for one, _ in ordered), tuple(name for _, name in ordered))


def near(text: str, addresses: Iterable[int]) -> str:
    """Return the lines of a listing that name what holds the addresses: what a run keeps of it."""
    symbols = parse(text)
    kept = {symbols.find(address)[1]: symbols.find(address)[0] for address in addresses}
    return "".join(
        f"{start:016x} t {name}\n" for start, name in sorted(kept.items()) if name != UNNAMED
    )


def bare(name: str) -> str:
    """Return a function's name without its module and without the compiler's suffixes."""
    return name.split(" ", 1)[0].split(".", 1)[0]


def _hex(word: str) -> int:
    try:
        return int(word, 16)
    except ValueError:
        return 0
