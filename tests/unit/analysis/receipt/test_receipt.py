# SPDX-License-Identifier: Apache-2.0
"""The words of a count: the exact answer, and sentences that the traces bear out."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from testbed.analysis.counting.packets import Taken
from testbed.analysis.counting.summary import Summary
from testbed.analysis.receipt.answer import answers, between, rounded
from testbed.analysis.receipt.differences import differences
from testbed.analysis.receipt.receipt import Receipt
from testbed.analysis.receipt.standouts import own_code, standouts
from tests.unit.factories.count_runs import ARMS, summary

NONE, NETFILTER, XDP = (Receipt(summary(arm), arm) for arm in ARMS)


# The answer


def test_the_exact_answer() -> None:
    assert answers((NONE, NETFILTER, XDP)) == (
        "Exact, over a packet’s whole life: generic XDP executes 888 instructions more than the "
        "Netfilter module, and copies or zeroes about 5,250 bytes more.",
        "Over the 9,358 instructions without a hook, the Netfilter module adds 347 and generic XDP "
        "adds 1,235.",
    )


def test_the_payload_that_the_checksums_loop_copies_is_copied_too() -> None:
    assert (XDP.copied_by_loop, NONE.copied_by_loop) == (1000, 0)
    assert XDP.moved == 1146 + 1000 + 4744


def test_one_hook_is_set_beside_no_hook() -> None:
    assert answers((NONE, XDP)) == (
        "Exact, over a packet’s whole life: over the 9,358 instructions without a hook, generic "
        "XDP adds 1,235.",
    )


@pytest.mark.parametrize("some", [(), (NONE,), (XDP,)], ids=["nothing", "no hook", "one hook"])
def test_nothing_to_compare_is_no_answer(some: Sequence[Receipt]) -> None:
    assert answers(some) == ()


def test_equal_counts_are_called_equal() -> None:
    again = Receipt(XDP.summary, "XDP, again")
    assert between(XDP, again).startswith("generic XDP and generic XDP execute exactly the same")
    assert between(XDP, again).endswith("both copy or zero the same number of bytes.")


def test_fewer_bytes_are_called_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(NETFILTER), "taken", Taken(copied=9000))
    assert between(XDP, NETFILTER).endswith("copies or zeroes about 2,110 bytes fewer.")


def test_bytes_are_rounded_to_what_a_reader_keeps() -> None:
    assert [rounded(n) for n in (24, 999, 5250, 12345)] == [
        "24", "999", "about 5,250", "about 12,300",
    ]  # fmt: skip


# What stands out


def test_every_sentence_on_generic_xdp_is_in_its_trace() -> None:
    said = standouts(XDP, NONE)
    assert [sentence.split(":")[0].split(";")[0] for sentence in said] == [
        "The program’s own code is 144 instructions (redirect_udp)",
        "Every packet gets a new head for its data (pskb_expand_head)",
        "GRO is left out",
        "The UDP checksum is moved, not saved",
        "Behind the veth, where no program is attached, every packet passes do_xdp_generic too",
        "Every packet is charged to the socket’s memory (try_charge_memcg, "
        "__sk_mem_raise_allocated and mem_cgroup_charge_skmem), which a typical packet without a "
        "hook is not",
    ]
    assert "384 instructions, 4,096 bytes zeroed and 1,146 bytes copied" in said[1]
    assert "109 instructions more" in said[1]
    assert "netif_elide_gro" in said[2]
    assert "312 instructions before the socket" in said[3] and "728" in said[3]
    assert "65 instructions" in said[4]
    assert "218 instructions" in said[5]


def test_every_sentence_on_netfilter_is_in_its_trace() -> None:
    assert standouts(NETFILTER, NONE) == (
        "The module’s own code is 125 instructions (redirect_udp); the kernel around it executes "
        "222 instructions more.",
        "The kernel gives the hook a list of packets, here of one. To take the packet out of one "
        "list and put it into another is 116 instructions (nf_hook_slow_list).",
    )


def test_the_allocators_state_is_told_from_the_hooks_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = Receipt(NETFILTER.summary, "netfilter")
    functions = NETFILTER.functions.copy()
    functions["kmem_cache_free"] -= 23
    monkeypatch.setitem(vars(other), "functions", functions)
    assert standouts(other, NONE)[-1].startswith(
        "kmem_cache_free (\u221223) took another way than without a hook."
    )


def test_the_two_parts_of_a_function_are_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """gcc puts a branch that is seldom taken elsewhere, as NAME.cold."""
    other = Receipt(NETFILTER.summary, "netfilter")
    functions = NETFILTER.functions.copy()
    functions["redirect_udp.cold [redirect_nf]"] = 36
    monkeypatch.setitem(vars(other), "functions", functions)
    assert "own code is 161 instructions (redirect_udp);" in standouts(other, NONE)[0]


def test_an_arm_beside_itself_has_nothing_that_stands_out() -> None:
    assert standouts(NONE, NONE) == ()
    assert own_code(NONE, NONE) == {}


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("pskb_expand_head", "new head"),
        ("do_xdp_generic", "Behind the veth"),
        ("bpf_prog_2642b02478aa7d42_redirect_udp [bpf]", "own code"),
    ],
)
def test_a_sentence_goes_when_its_function_does(gone: str, words: str) -> None:
    """Nothing is said about a function that has another name in the trace."""
    counted = XDP.summary.counted
    names = tuple("renamed" if name == gone else name for name in counted.symbols.names)
    other = Receipt(
        Summary.of(replace(counted, symbols=replace(counted.symbols, names=names))), "xdp"
    )
    assert not any(words in sentence for sentence in standouts(other, NONE))
    assert any(words in sentence for sentence in standouts(XDP, NONE))


def test_a_new_head_that_not_every_packet_gets_is_told_with_its_number() -> None:
    packets = (*XDP.summary.packets, NONE.summary.packets[0])
    mixed = Receipt(Summary(XDP.summary.counted, packets), "xdp")
    assert standouts(mixed, NONE)[1].startswith("A packet (4 of 5) gets a new head")


def test_the_functions_that_differ_add_up_to_the_difference() -> None:
    found = differences(NONE, (NETFILTER, XDP), most=10)
    assert found.extras == (347, 1235)
    shown = tuple(sum(row.extras[at] for row in found.rows) for at in range(2))
    assert tuple(map(sum, zip(shown, found.left_extras, strict=True))) == found.extras
    assert found.rows[0].function == "csum_partial_copy_generic"
    assert found.same > 100
