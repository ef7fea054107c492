# SPDX-License-Identifier: Apache-2.0
"""The counter's self-test: what is planted, and that a wrong size or a missing name is noticed."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.analysis.counting import stages
from testbed.analysis.counting.packets import Taken
from testbed.analysis.counting.summary import Summary
from testbed.analysis.receipt.planted import AGAIN, FULL, HALF, outcomes
from testbed.analysis.receipt.receipt import Receipt
from testbed.model.arm import load
from testbed.model.errors import RunError
from testbed.model.planted import ARM, CALL, COPIED, COPY, LOG, PLANTS, planted
from tests import PROJECT
from tests.unit.factories.count_runs import summary

ARMS = PROJECT / "guest/arms"
HOOK = "redirect_udp [redirect_nf]"
Key = tuple[str, int]


def as_counted(extra: dict[Key, dict[str, Taken]] | None = None) -> list[Receipt]:
    """Receipts of every planted arm: the recorded module, with functions that took more."""
    more: dict[Key, dict[str, Taken]] = {
        (ARM, FULL): {}, (AGAIN, FULL): {}, (ARM, HALF): {
            "csum_partial": Taken(instructions=-111),
            "copy_user_enhanced_fast_string": Taken(copied=-500),
        },
        **{(f"nop-{n}", FULL): {HOOK: Taken(instructions=n)} for n in (1, 10, 100)},
        (CALL, FULL): {HOOK: Taken(instructions=1),
                       "planted_call [redirect_nf]": Taken(instructions=7)},
        (COPY, FULL): {HOOK: Taken(instructions=4, copied=COPIED)},
        (LOG, FULL): {HOOK: Taken(instructions=3), "_printk": Taken(instructions=900)},
    }  # fmt: skip
    return [_receipt(key, changes) for key, changes in (more | (extra or {})).items()]


def _receipt(key: Key, changes: dict[str, Taken]) -> Receipt:
    one = summary(ARM)
    path = one.typical
    places = {place: replace(taken) for place, taken in path.places.items()}
    staged = {place: replace(taken) for place, taken in Receipt(one, "").staged.items()}
    for function, taken in changes.items():
        place = next(
            (place for place in places if place[2] == function),
            ("interrupt_to_socket", "NAPI and softirq", function),
        )
        places.setdefault(place, Taken()).add(taken)
        stage = stages.LOG if function == "_printk" else stages.NETFILTER
        staged.setdefault((stage, function), Taken()).add(taken)
    own = path.own + sum(taken.instructions for taken in changes.values())
    counted = replace(
        one.counted, facts={**one.counted.facts, "arm": key[0], "payload_bytes": key[1]}
    )
    packet = replace(one.packets[0], path=replace(path, places=places, own=own))
    found = Receipt(Summary(counted, (packet,)), key[0])
    vars(found)["staged"] = staged
    return found


def test_all_that_was_planted_is_found() -> None:
    found = outcomes(as_counted())
    assert [one.name for one in found if not one.found] == []
    assert [one.observed for one in found[:4]] == ["+0", "+1", "+10", "+100"]
    assert len(found) == len(PLANTS) + 2


@pytest.mark.parametrize(
    ("key", "changes", "missed"),
    [
        ((AGAIN, FULL), {HOOK: Taken(instructions=1)}, AGAIN),
        (("nop-1", FULL), {HOOK: Taken(instructions=2)}, "nop-1"),
        (("nop-10", FULL), {HOOK: Taken(instructions=9)}, "nop-10"),
        (("nop-100", FULL), {}, "nop-100"),
        ((CALL, FULL), {HOOK: Taken(instructions=8)}, CALL),
        ((CALL, FULL), {"planted_call [redirect_nf]": Taken(instructions=40)}, CALL),
        ((COPY, FULL), {HOOK: Taken(copied=COPIED - 1)}, COPY),
        ((COPY, FULL), {"ip_rcv": Taken(copied=COPIED)}, COPY),
        ((LOG, FULL), {HOOK: Taken(instructions=900)}, LOG),
        ((ARM, HALF), {}, "half"),
        ((ARM, HALF), {"copy_user_enhanced_fast_string": Taken(copied=-500)}, "half"),
    ],
)
def test_a_counter_that_is_wrong_is_noticed(
    key: Key, changes: dict[str, Taken], missed: str
) -> None:
    found = outcomes(as_counted({key: changes}))
    assert [one.name for one in found if not one.found] == [missed]


def test_every_plant_is_a_line_in_the_fair_module(tmp_path: Path) -> None:
    original = (ARMS / ARM / "redirect_nf.c").read_text()
    for plant in PLANTS:
        files = planted(plant, ARMS)
        source = files["redirect_nf.c"]
        assert f"\t{plant.each}\n\tthis_cpu_inc(hits);" in source
        assert plant.top in source
        left = source.replace(f"\t{plant.each}\n", "")
        left = left.replace(plant.top, "") if plant.top else left
        assert re.sub(r"\n+", "\n", left) == re.sub(r"\n+", "\n", original)
        folder = tmp_path / plant.name
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
        assert load(folder).name == plant.name


def test_a_module_that_was_rewritten_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / ARM
    folder.mkdir()
    for name in ("Makefile", "arm.toml", "redirect_nf.c"):
        text = (ARMS / ARM / name).read_text()
        (folder / name).write_text(text.replace("this_cpu_inc(hits)", "hits++"))
    with pytest.raises(RunError, match="nothing can be planted there"):
        planted(PLANTS[0], tmp_path)
