# SPDX-License-Identifier: Apache-2.0
"""Two kernels beside each other: when they may be, which functions differ, what else does."""

from dataclasses import replace
from typing import Any

import pytest

from testbed.analysis.kernels.compared import Row, TwoKernels, folded, two_kernels
from testbed.analysis.receipt.judged import JudgedCount
from testbed.model.errors import RunError
from tests.unit.factories.count_runs import IDENTITY, summary
from tests.unit.factories.other_kernel import (
    FIRST,
    PACKAGE,
    SECOND,
    SOURCES,
    instead,
    judged,
    renamed,
)


def second(*arms: Any, **changes: Any) -> JudgedCount:
    return judged(*arms, **{"identity": SECOND, **changes})


def both(first: JudgedCount, other: JudgedCount) -> TwoKernels:
    found = two_kernels(first, other)
    assert found is not None
    return found


def test_another_kernel_may_be_set_beside_its_base_with_all_that_follows_from_it() -> None:
    found = both(judged(), second())
    assert (found.first.label, found.second.label) == ("6.1.0-41-amd64", "6.12.9-amd64")
    assert [arm.pair.extra for arm in found.arms] == [0, 0, 0]
    assert all(arm.rows == () for arm in found.arms)
    assert found.also == (
        "The tools that build the arms differ: gcc-12: 12.2.0-14 in the first, 12.2.0-15 in the "
        "second.",
        "The flags that the kernels name of the same CPU differ: ibpb only in the second.",
        "The mitigations differ: spectre_v2: Retpolines in the first, Retpolines; IBPB in the "
        "second.",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"qemu": "10.0.2"}, {"cpu": "qemu64"}, {"nic": "virtio"}, {"gro": False}, {"interface": 2},
        {"command_line": "quiet init_on_alloc=0"}, {"kernel": None}, {"mitigations": None},
        {"cpu_flags": []},
    ],
)  # fmt: skip
def test_what_does_not_follow_from_the_kernel_must_be_equal(change: dict[str, Any]) -> None:
    assert two_kernels(judged(), second(identity={**SECOND, **change})) is None


@pytest.mark.parametrize(
    "change", [{}, {"box": "testbed-0"}, {"mitigations": {}}, {"cpu_flags": ["fpu"]}]
)
def test_one_kernel_is_no_two_kernels(change: dict[str, Any]) -> None:
    """All that follows from another kernel is no excuse where the kernel is the same."""
    assert two_kernels(judged(), judged(identity={**FIRST, **change})) is None


@pytest.mark.parametrize(
    ("package", "labels"),
    [
        ({"version": "6.1.158-2"}, ("package 6.1.158-1", "package 6.1.158-2")),
        ({"sha256": "ab" * 32}, ("SHA-256 None", "SHA-256 abababab")),
    ],
)
def test_a_kernel_of_the_same_name_is_another_by_its_package(
    package: dict[str, str], labels: tuple[str, str]
) -> None:
    other = {**FIRST, "box": "testbed-1", "kernel_package": {**PACKAGE, **package}}
    found = both(judged(), judged(identity=other))
    assert [one.label.partition(", ")[2] for one in (found.first, found.second)] == list(labels)


def test_a_rebuilt_kernel_of_which_no_package_is_known_has_its_build_as_its_name() -> None:
    other = {**IDENTITY, "kernel": f"{IDENTITY['kernel']} #2", "box": "testbed-1"}
    found = both(judged(identity=IDENTITY), judged(identity=other))
    assert found.first.label != found.second.label
    assert found.second.label.endswith("#2")


def test_all_rows_are_the_difference_and_the_largest_is_first() -> None:
    found = both(judged(), second(instead("netfilter", "none")))
    arm = found.arms[0]
    assert arm.pair.extra == sum(row.extra for row in arm.rows) == 347
    assert arm.rows[0] == Row("redirect_udp [redirect_nf]", None, 125)
    sizes = [abs(row.extra) for row in arm.rows]
    assert sizes == sorted(sizes, reverse=True)


def test_a_function_that_one_kernel_does_not_have_is_no_0() -> None:
    base = summary("none")
    name = base.typical.functions().most_common(1)[0][0]
    found = both(judged(), second(renamed(base, **{name: "another"})))
    rows = {row.name: row for row in found.arms[0].rows}
    assert set(rows) == {name, "another"}
    assert (rows[name].second, rows["another"].first) == (None, None)
    assert found.arms[0].pair.extra == sum(row.extra for row in rows.values()) == 0


def test_parts_of_a_function_and_tags_of_programs_are_no_other_names() -> None:
    base = summary("none")
    (name, _), *_ = base.typical.functions().most_common(1)
    other = second(renamed(base, **{name: f"{name}.isra.0"}))
    assert both(judged(), other).arms[0].rows == ()
    assert folded(
        {"f": 1, "f.part.0": 2, "f.constprop.0.isra.0": 3, "f.cold": 4, "f.part.1 [m]": 5,
         "f [m]": 6, "bpf_prog_0123456789abcdef_redirect_udp [bpf]": 7, "x.y": 8}
    ) == {"f": 10, "f [m]": 11, "bpf_prog_redirect_udp [bpf]": 7, "x.y": 8}  # fmt: skip


def test_what_hooks_add_on_each_kernel() -> None:
    found = both(judged(), second(instead("netfilter", "none")))
    assert [(one.arm, one.over, one.first, one.second) for one in found.added] == [
        ("Netfilter kernel module", "no hook", 347, 0),
        ("XDP program, generic mode", "no hook", 1235, 888),
        ("XDP program, generic mode", "the Netfilter module", 888, 888),
    ]


def test_an_arm_that_is_invalid_on_one_kernel_is_in_no_table() -> None:
    gate = {"none": True, "netfilter": True, "xdp": False}
    found = both(judged(), second(gate=gate))
    assert [arm.one.arm for arm in found.arms] == ["none", "netfilter"]
    assert len(found.added) == 1
    assert found.left_out == ("xdp, 1,000 bytes: INVALID",)


def test_an_arm_of_other_sources_is_named_and_so_is_what_was_not_recorded() -> None:
    found = both(judged(), second(sources={**SOURCES, "xdp": "dd"}))
    assert found.also[-1] == (
        "The sources of xdp differ: there the difference is not the kernel's alone."
    )
    bare = {name: value for name, value in SECOND.items() if name != "built_with"}
    found = both(judged(), second(identity=bare, sources=None))
    assert found.also[0].startswith("The tools that build the arms: not recorded in both counts")
    assert found.also[-1].startswith("Whether the arms' sources are the same is not recorded")


def test_a_count_that_is_suspect_is_said_to_be() -> None:
    found = both(judged(), second(gate=None))
    assert [line for line in found.also if line.startswith("SUSPECT")] == [
        "SUSPECT in the second count: The count: the gate was not run: that the arms do the same "
        "work is not proved."
    ]


def test_no_common_arm() -> None:
    first = judged()
    other = JudgedCount(replace(first.run, result=replace(first.run.result, summaries={})), ())
    facts = {**first.run.result.facts, "identity": SECOND}
    other = JudgedCount(replace(other.run, result=replace(other.run.result, facts=facts)), ())
    with pytest.raises(RunError, match="no arm with the same payload in common"):
        two_kernels(first, other)
