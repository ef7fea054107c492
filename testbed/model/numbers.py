# SPDX-License-Identifier: Apache-2.0
"""The one rule for numbers that another program wrote: what is a count or a size, and what not.

A number here is zero or more, and not above 2^64 - 1: the kernel counts in 64 bits, and nothing
that is counted or timed in a run gets larger. "1e999", "NaN", "-5" and "true" are none.
"""

import re

LARGEST = 2**64 - 1
LONGEST_SHOWN = 40
"""Characters of a refused value that an error message shows."""

_WHOLE = re.compile("[0-9]{1,20}")
_DECIMAL = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")
_NUMBER_LIKE = re.compile(r"[-+]?(?:[0-9][0-9._]*(?:[eE][-+]?[0-9]+)?|nan|inf(?:inity)?)", re.I)


def whole(text: str) -> int:
    """Return the count that a text holds; raises ValueError with the reason when it holds none."""
    if _WHOLE.fullmatch(text) is None:
        raise ValueError(f"{shown(text)} is not a count")
    value = int(text)
    if value > LARGEST:
        raise ValueError(f"{shown(text)} is larger than anything that is counted here")
    return value


def decimal(text: str) -> float:
    """Return the size that a text such as "12.50" holds; raises ValueError with the reason."""
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError(f"{shown(text)} is not a number of zero or more")
    value = float(text)
    if fault := fault_of(value):
        raise ValueError(fault)
    return value


def looks_like_a_number(text: str) -> bool:
    """Whether somebody meant a number, usable or not; "IO-APIC" and "2-edge" are words."""
    return _NUMBER_LIKE.fullmatch(text) is not None


def fault_of(value: float) -> str:
    """Return why a number cannot be used; "" when it can."""
    if value < 0:
        return f"{shown(value)} is negative, and nothing here can be"
    if not value <= LARGEST:  # NaN compares with nothing
        return f"{shown(value)} is larger than anything that is counted here"
    return ""


def shown(value: object) -> str:
    """Return a refused value as an error message shows it: its beginning, where it is long."""
    text = str(value)
    if len(text) <= LONGEST_SHOWN:
        return text
    return f"{text[: LONGEST_SHOWN // 2]}… ({len(text)} characters)"
