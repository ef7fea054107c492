# SPDX-License-Identifier: Apache-2.0
"""The counter's self-test: what is planted, and that a wrong size or a missing name is noticed."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.analysis.counting import stages
from testbed.analysis.counting.packets import Taken
from testbed.analysis.counting.summary import Summary
from testbed.analysis.receipt.planted import AGAIN, FULL, HALF, QUARTER, outcomes
from testbed.analysis.receipt.receipt import Receipt
from testbed.model.arm import load
from testbed.model.errors import RunError
from testbed.model.planted import ARM, CALL, COPIED, COPY, LOG, ORIGINAL, PLANTS, arms, planted
from tests import PROJECT
from tests.unit.factories.count_runs import summary

ARMS = PROJECT / "guest/arms"
HOOK, SUM = "redirect_udp [redirect_nf]", "csum_partial"
COPYING = "copy_user_enhanced_fast_string"
Key = tuple[str, int]


def as_counted(extra: dict[Key, dict[str, Taken]] | None = None) -> list[Receipt]:
    """Receipts of every planted arm: the recorded module, with functions that took more."""
    more: dict[Key, dict[str, Taken]] = {
        (ARM, FULL): {}, (AGAIN, FULL): {},
        (ARM, HALF): {SUM: Taken(instructions=-80), COPYING: Taken(copied=-640)},
        (ARM, QUARTER): {SUM: Taken(instructions=-120), COPYING: Taken(copied=-960)},
        **{(f"nop-{n}", FULL): {HOOK: Taken(instructions=n)} for n in (1, 10, 100)},
        (CALL, FULL): {HOOK: Taken(instructions=1),
                       "planted_call [redirect_nf]": Taken(instructions=7)},
        (COPY, FULL): {HOOK: Taken(instructions=4, copied=COPIED)},
        (LOG, FULL): {HOOK: Taken(instructions=3), "_printk": Taken(instructions=900)},
    }  # fmt: skip
    return [_receipt(key, changes) for key, changes in (more | (extra or {})).items()]


def _receipt(key: Key, changes: dict[str, Taken]) -> Receipt:
    one = summary(ORIGINAL)
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
        ((ARM, HALF), {SUM: Taken(instructions=-80), COPYING: Taken(copied=-639)}, "half"),
        ((ARM, QUARTER), {SUM: Taken(instructions=-121), COPYING: Taken(copied=-960)}, "half"),
        ((ARM, HALF), {COPYING: Taken(copied=-640)}, "half"),
    ],
)
def test_a_counter_that_is_wrong_is_noticed(
    key: Key, changes: dict[str, Taken], missed: str
) -> None:
    found = outcomes(as_counted({key: changes}))
    assert [one.name for one in found if not one.found] == [missed]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The arm's folder, as the self-test writes it."""
    path = tmp_path / ARM
    path.mkdir()
    for name, text in planted(ARMS).items():
        (path / name).write_text(text)
    return path


def test_every_hook_is_the_fair_modules_but_for_its_plant(folder: Path) -> None:
    source = (folder / "redirect_nf.c").read_text()
    hooks = re.findall(r"static unsigned int (redirect_udp\w*)\(void.*?\n}\n", source, re.DOTALL)
    assert hooks == ["redirect_udp", *(f"redirect_udp_{n}" for n in range(1, len(PLANTS) + 1))]
    assert f"planted_hooks[] = {{ {', '.join(hooks)} }};" in source
    texts = [source[source.index(f"int {name}(") :].partition("\n}\n")[0] for name in hooks]
    original = (ARMS / ORIGINAL / "redirect_nf.c").read_text()
    assert f"static unsigned {texts[0]}\n}}\n" in original
    for plant, name, text in zip(PLANTS, hooks[1:], texts[1:], strict=True):
        assert text.count(plant.each) == 1
        assert plant.top in source
        assert text.replace(f"\t{plant.each}\n", "").replace(name, "redirect_udp") == texts[0]


def test_each_arm_loads_its_hook_and_proves_that_it_is_that_one(folder: Path) -> None:
    found = arms(load(folder))
    names = [ARM, AGAIN, *(plant.name for plant in PLANTS)]
    assert [one.name for one in found] == names
    assert {one.folder for one in found} == {ARM}, "the module is built once"
    chosen = ["plant=0", "plant=0", *(f"plant={n}" for n in range(1, len(PLANTS) + 1))]
    for step in ("load", "verify"):
        commands = [getattr(one.commands, step)[0] for one in found]
        assert [argv[-1] for argv in commands] == chosen
    assert len({tuple(one.commands.load[0][:-1]) for one in found}) == 1


@pytest.mark.parametrize(
    "part", ["this_cpu_inc(hits)", "unsigned int redirect_udp(", "redirect_module.h"]
)
def test_a_module_that_was_rewritten_is_refused(part: str, tmp_path: Path) -> None:
    folder = tmp_path / ORIGINAL
    folder.mkdir()
    for name in ("Makefile", "arm.toml", "redirect_nf.c"):
        text = (ARMS / ORIGINAL / name).read_text()
        (folder / name).write_text(text.replace(part, "other"))
    with pytest.raises(RunError, match="nothing can be planted there"):
        planted(tmp_path)
