# SPDX-License-Identifier: Apache-2.0
"""Where the packets went: one river an arm, from the client's sends to the program.

Its depth is the share of the packets offered that got so far. A loss of one in 1,000 would be a
thirtieth of a pixel, so every loss has a mark of its own, its number and the counter behind it.
Two widths of one drawing: the page shows the one that fits.
"""

from itertools import pairwise
from string import ascii_lowercase
from typing import TYPE_CHECKING

from testbed.analysis.measures.hops import (
    CLIENT_TX,
    FORWARDED,
    HOOK,
    ORDER,
    SENT,
    SERVER_RX,
    UDP,
    UNIQUE,
    VETH_RX,
    VETH_TX,
)
from testbed.analysis.measures.ledger import Ledger, arm_ledger
from testbed.analysis.plots.comparison import shortened
from testbed.analysis.plots.ledger_layout import (
    CHARACTER,
    COUNTS,
    LINE,
    NARROW,
    RIVER,
    TITLE,
    WIDE,
    LedgerRow,
    places_of,
    row_of,
)
from testbed.analysis.plots.stamp import stamp
from testbed.analysis.plots.style import (
    FAINT,
    SMALL_PX,
    Drawing,
    look_of,
    new_sheet,
    part_name,
    styled,
)
from testbed.analysis.plots.svg import INK
from testbed.analysis.reading.records import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ARMS = 8
"""In one figure: more would not fit on a page."""
SHORT = {
    SENT: "accepted\nsends", CLIENT_TX: "client\nNIC tx", SERVER_RX: "server\nNIC rx",
    HOOK: "hook\nhits", FORWARDED: "for-\nwarded", VETH_TX: "veth\ntx", VETH_RX: "veth\nrx",
    UDP: "UDP\ndelivered", UNIQUE: "unique\nnumbers",
}  # fmt: skip
PLACES = (
    ("client", SENT, CLIENT_TX),
    ("server", SERVER_RX, VETH_TX),
    ("namespace", VETH_RX, UNIQUE),
)


@styled
def draw_ledger(run: Run, *, narrow: bool = False) -> tuple[Drawing, ...]:
    """None when no trial has a record of client and server; as many as keep each on a page."""
    width = NARROW if narrow else WIDE
    places = places_of(width)
    rows = [
        row_of(arm, look_of(index, arm)[0], arm_ledger(run, arm), places)
        for index, arm in enumerate(run.ordered_arms)
    ]
    if not any(row.book for row in rows):
        return ()
    name = "ledger-narrow" if narrow else "ledger"
    starts = range(0, len(rows), MOST_ARMS)
    return tuple(
        _part(run, rows[start : start + MOST_ARMS], places, part_name(name, number))
        for number, start in enumerate(starts)
    )


def _part(run: Run, rows: list[LedgerRow], places: dict[str, float], name: str) -> Drawing:
    width = places[SENT] + places[UNIQUE]
    narrow = width < WIDE
    head = 108.0 if narrow else 58.0
    height = head + sum(row.height for row in rows)
    sheet = new_sheet(width, height, stamp(run, [row.arm for row in rows]))
    axes = sheet.axes(0, 0, width, height)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    _head(axes, places, head, narrow=narrow)
    y = head
    for row in rows:
        _draw(axes, row, places, y)
        y += row.height
    return sheet.finish(name, _alternative(rows))


def _head(axes: "Axes", places: dict[str, float], head: float, *, narrow: bool) -> None:
    """The hops' names, and in which machine they are."""
    reach = (places[UNIQUE] - places[SENT]) / (len(ORDER) - 1) * 0.36
    for name, first, last in PLACES:
        axes.plot([places[first] - reach, places[last] + reach], [17, 17], color=INK, linewidth=1)
        axes.text(
            (places[first] + places[last]) / 2, 12, name, ha="center", va="bottom",
            fontsize=SMALL_PX,
        )  # fmt: skip
    for name, x in places.items():
        if narrow:
            text = SHORT[name].replace("-\n", "").replace("\n", " ")
            axes.text(x, head - 4, text, rotation=90, ha="center", va="bottom", fontsize=SMALL_PX)
        else:
            axes.text(x, head - 8, SHORT[name], ha="center", va="bottom", fontsize=SMALL_PX)


def _draw(axes: "Axes", row: LedgerRow, places: dict[str, float], y: float) -> None:
    axes.text(8, y + TITLE - 4, shortened(row.arm.title), fontweight="bold", va="bottom")
    top = y + TITLE + COUNTS
    if row.book is None:
        axes.text(8, top, "no record of client and server", va="top", fontsize=SMALL_PX)
        return
    _counts(axes, row.book, places, top - 3)
    banks = _river(axes, row, places, top)
    if row.notes:
        _losses(axes, row, banks, top + RIVER + 4)


def _counts(axes: "Axes", book: Ledger, places: dict[str, float], y: float) -> None:
    """At the first and the last hop, and wherever the number is another than before and there is
    room for it: the notes below have every number."""
    labels, previous = [], None
    for hop in book.hops:
        if hop.packets is None:
            labels.append((places[hop.name], "?"))
        elif hop.packets != previous or hop.name == UNIQUE:
            labels.append((places[hop.name], f"{hop.packets:,}"))
            previous = hop.packets
    ends = labels[:1] + labels[-1:]
    shown = list(ends)
    for label in labels[1:-1]:
        if all(abs(label[0] - x) > CHARACTER * max(len(text), 4) for x, text in shown):
            shown.append(label)
    for x, text in shown:
        axes.text(x, y, text, ha="center", va="bottom", fontsize=SMALL_PX)


def _river(axes: "Axes", row: LedgerRow, places: dict[str, float], top: float) -> dict[str, float]:
    """Draws the river; returns where its lower bank is before each step, by the step's end."""
    assert row.book is not None
    offered = row.book.hops[0].packets or 1
    known = [(hop.name, hop.packets) for hop in row.book.hops if hop.packets is not None]
    xs, banks, before = [places[known[0][0]]], [top + RIVER * known[0][1] / offered], {}
    for (start, _), (end, packets) in pairwise(known):
        middle = (places[start] + places[end]) / 2
        bank = top + RIVER * min(packets / offered, 1.2)
        before[end] = banks[-1]
        xs += [middle, middle, places[end]]
        banks += [banks[-1], bank, bank]
    axes.fill_between(xs, top, banks, color=row.colour, alpha=0.45, linewidth=0)
    axes.plot([xs[0], xs[-1]], [top, top], color=INK, linewidth=1)
    axes.plot(xs, banks, color=INK, linewidth=1)
    full = top + RIVER
    axes.fill_between(
        xs, banks, full, where=[bank < full - 0.5 for bank in banks], facecolor="none",
        edgecolor=INK, alpha=FAINT * 2.5, hatch="////", linewidth=0,
    )  # fmt: skip
    for hop in row.book.hops:
        style = (0, (2, 2)) if hop.packets is None else "solid"
        x = places[hop.name]
        axes.plot([x, x], [top, full], color=INK, linewidth=0.8, linestyle=style)
    return before


def _losses(axes: "Axes", row: LedgerRow, banks: dict[str, float], y: float) -> None:
    """A mark under the river at each uneven step, and what happened there."""
    for note in row.notes:
        axes.plot([note.x, note.x], [banks[note.step.end], y + 2], color=INK, linewidth=1)
        marker = "v" if note.step.lost > 0 else "^"
        axes.plot([note.x], [y + 4], marker=marker, color=INK, markersize=6)
    if row.beside:
        (note,) = row.notes
        at, side = (note.x + 9, "left") if row.beside == "right" else (note.x - 9, "right")
        axes.text(at, y, note.lines[0], va="top", ha=side, fontsize=SMALL_PX)
        return
    below = y
    for letter, note in zip(ascii_lowercase, row.notes, strict=False):
        below += LINE
        for x, height in ((note.x + 7, y), (8, below)):
            axes.text(x, height, letter, va="top", fontsize=SMALL_PX, fontweight="bold")
        for number, line in enumerate(note.lines):
            below += LINE if number else 0
            axes.text(21, below, line, va="top", fontsize=SMALL_PX)


def _alternative(rows: list[LedgerRow]) -> str:
    parts = []
    for row in rows:
        if row.book is None:
            parts.append(f"{row.arm.title}: no record")
            continue
        first, last = row.book.hops[0].packets, row.book.hops[-1].packets
        said = "; ".join(step.sentence for step in row.book.steps if step.lost)
        parts.append(
            f"{row.arm.title}: {last:,} of {first:,} arrived" + (f"; {said}" if said else "")
        )
    return "Packets from hop to hop, all trials of an arm together. " + ". ".join(parts) + "."
