# SPDX-License-Identifier: Apache-2.0
"""The exact answer, in a sentence or two, for the count's page, the terminal and a run's page."""

from collections.abc import Iterable, Sequence
from itertools import combinations

from testbed.analysis.receipt.receipt import Receipt, baseline_of

NOT_TIME = (
    "A count is not a time. It sees no cache miss, no branch miss and no slow device, so it says "
    "what the server executes for a packet, and not how long that takes."
)
"""On every page of a count, whatever came out."""
EXACT = "Exact, over a packet’s whole life: "
MOST_ANSWERS = 6


def answers(receipts: Sequence[Receipt]) -> tuple[str, ...]:
    """Return the sentences for receipts that may be compared; none where nothing can be.

    First hook against hook, then what the hooks add to no hook. Typical packets are compared.
    """
    said = []
    for size in dict.fromkeys(one.payload for one in receipts):
        some = [one for one in receipts if one.payload == size]
        several = len({one.payload for one in receipts}) > 1
        start = f"Exact, over the whole life of a packet of {size:,} bytes: " if several else EXACT
        hooks = [one for one in some if not one.is_baseline]
        said += [start + between(*pair) for pair in combinations(hooks, 2)]
        added = over_no_hook(hooks, some)
        if added:
            said.append(added if len(hooks) > 1 else start + added[0].lower() + added[1:])
    if len(said) > MOST_ANSWERS:
        left = len(said) - MOST_ANSWERS
        return (*said[:MOST_ANSWERS], f"And {left:,} more sentences like these: see the tables.")
    return tuple(said)


def between(one: Receipt, other: Receipt) -> str:
    """Return what one arm executes and moves more than another, the larger count first."""
    more, less = (one, other) if one.instructions >= other.instructions else (other, one)
    extra = more.instructions - less.instructions
    if extra:
        said = f"{more.spoken} executes {counted(extra, 'instruction')} more than {less.spoken}"
    else:
        said = f"{more.spoken} and {less.spoken} execute exactly the same number of instructions"
    bytes_more = more.moved - less.moved
    if not bytes_more:
        return f"{said}, and both copy or zero the same number of bytes."
    who = "" if extra else f"{more.spoken} "
    amount = "more" if bytes_more > 0 else "fewer"
    return f"{said}, and {who}copies or zeroes {rounded(abs(bytes_more))} bytes {amount}."


def over_no_hook(hooks: Sequence[Receipt], others: Iterable[Receipt]) -> str:
    """Return what each hook adds to the path without one; empty where that was not counted."""
    base = baseline_of(hooks[0], others) if hooks else None
    if base is None:
        return ""
    parts = [f"{one.spoken} {_adds(one.instructions - base.instructions)}" for one in hooks]
    listed = " and ".join((", ".join(parts[:-1]), parts[-1])) if len(parts) > 1 else parts[0]
    return f"Over the {base.instructions:,} instructions without a hook, {listed}."


def counted(number: int, noun: str) -> str:
    """ "1 instruction", "2,000 instructions"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def rounded(number: int) -> str:
    """Bytes as a sentence says them: "about 5,250", "24"; to three digits from 1,000 on."""
    if number < 1000:
        return f"{number:,}"
    step = 10 ** (len(str(number)) - 3)
    return f"about {round(number / step) * step:,}"


def _adds(extra: int) -> str:
    if extra == 0:
        return "adds nothing"
    return f"adds {extra:,}" if extra > 0 else f"saves {-extra:,}"
