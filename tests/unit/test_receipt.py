# SPDX-License-Identifier: Apache-2.0
"""What a count says: stages that add up, the exact answer, sentences that the traces bear out."""

import re
from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from count_runs import ARMS, count_run, summary
from counting_factory import FUNCTIONS, Kernel, counted, packet

from testbed.analysis.counting.packets import Taken
from testbed.analysis.counting.summary import Summary
from testbed.analysis.plots.count import Bar, draw_count
from testbed.analysis.receipt import stages
from testbed.analysis.receipt.answer import NOT_TIME, answers, between, rounded
from testbed.analysis.receipt.differences import differences
from testbed.analysis.receipt.judged import judge_count
from testbed.analysis.receipt.page import render_count
from testbed.analysis.receipt.receipt import Receipt
from testbed.analysis.receipt.stages import STAGES, stage_of
from testbed.analysis.receipt.standouts import own_code, standouts

NONE, NETFILTER, XDP = (Receipt(summary(arm), arm) for arm in ARMS)
TIME = re.compile(r"\b(ns|µs|us|ms|seconds?|faster|slower|quicker|cheaper|cycles?|times as)\b")


def test_the_stages_of_every_arm_add_up_to_its_typical_count() -> None:
    for one in (NONE, NETFILTER, XDP):
        assert sum(taken.instructions for taken in one.stages.values()) == one.instructions
        assert sum(taken.copied for taken in one.stages.values()) == one.taken.copied
        assert set(one.stages) <= set(STAGES)


def test_the_stages_of_recorded_packets() -> None:
    """As read by hand, block by block, from the three traces."""
    found = {
        stage: tuple(one.in_stage(stage).instructions for one in (NONE, NETFILTER, XDP))
        for stage in STAGES
    }
    assert found == {
        stages.INTERRUPT: (738, 738, 738), stages.DRIVER: (649, 649, 649),
        stages.BUFFER: (182, 182, 566), stages.GRO: (1403, 1403, 741), stages.XDP: (0, 0, 457),
        stages.CORE: (1209, 1257, 1228), stages.NETFILTER: (48, 347, 48),
        stages.ROUTING: (1922, 1922, 1922), stages.VETH: (582, 582, 578),
        stages.BACKLOG: (304, 304, 304), stages.UDP: (762, 762, 823),
        stages.SOCKET: (357, 357, 575), stages.RECEIVE: (955, 955, 1608),
        stages.FREEING: (223, 223, 332), stages.PROGRAM: (24, 24, 24), stages.LOG: (0, 0, 0),
        stages.OTHER: (0, 0, 0),
    }  # fmt: skip


def test_a_helper_counts_for_the_stage_that_calls_it() -> None:
    found = {stage: taken.instructions for (stage, name), taken in NONE.staged.items()
             if name == "csum_partial"}  # fmt: skip
    assert found == {stages.GRO: 222}
    zeroed = {stage: taken.filled for (stage, name), taken in XDP.staged.items()
              if name == "memset_erms"}  # fmt: skip
    assert zeroed == {stages.BUFFER: 4096}


@pytest.mark.parametrize(
    ("function", "context", "stage"),
    [
        ("e1000_clean [e1000]", "NAPI and softirq", stages.DRIVER),
        ("e1000e_poll [e1000e]", "NAPI and softirq", None),
        ("redirect_udp [redirect_nf]", "NAPI and softirq", None),
        ("nft_do_chain [nf_tables]", "NAPI and softirq", stages.NETFILTER),
        ("bpf_prog_2642b02478aa7d42_redirect_udp [bpf]", "NAPI and softirq", stages.XDP),
        ("__netif_receive_skb_core.constprop.0", "backlog", stages.CORE),
        ("kmem_cache_free", "receive call", stages.FREEING),
        ("csum_partial", "receive call", stages.RECEIVE),
        ("_printk", "NAPI and softirq", stages.LOG),
        ("(program)", "program", stages.PROGRAM),
        ("a_function_of_tomorrow", "backlog", stages.OTHER),
    ],
)
def test_a_functions_stage(function: str, context: str, stage: str | None) -> None:
    assert stage_of(function, context, "e1000") == stage


def test_a_function_that_no_table_knows_is_other_and_its_share_is_told(tmp_path: Path) -> None:
    kernel = Kernel()
    assert "memset" in FUNCTIONS
    record = counted(tmp_path / "none-1000", kernel, [packet(kernel, hook=20)] * 2)
    unknown = replace(
        record,
        symbols=replace(
            record.symbols,
            names=tuple(
                "a_function_of_tomorrow" if name.startswith("redirect_udp") else name
                for name in record.symbols.names
            ),
        ),
    )
    one = Receipt(Summary.of(unknown), "none")
    assert one.in_stage(stages.OTHER).instructions == 20
    page = render_count(judge_count(count_run(one.summary)))["report.html"]
    assert f"no stage knows: {20 / one.instructions:.1%}" in str(page)


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
    """Of a trace in which the function has another name, nothing is said about it."""
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


# The page


def test_the_page_opens_with_the_answer_and_turns_no_count_into_a_time() -> None:
    files = render_count(judge_count(count_run()))
    page = re.sub(r"(?s)<(style|svg).*?</\1>", "", str(files["report.html"]))
    text = unescape(re.sub(r"<[^>]+>", " ", page))
    assert text.index("executes 888 instructions more") < text.index("What stands out")
    assert NOT_TIME in text
    said = text.replace(NOT_TIME, "")
    assert not TIME.search(said), TIME.search(said)
    assert not TIME.search(str(files["report.md"]).replace(NOT_TIME, ""))


def test_the_same_count_gives_the_same_bytes() -> None:
    once, again = (render_count(judge_count(count_run())) for _ in range(2))
    assert once == again
    assert {name.partition("/")[0] for name in once} == {
        "report.html", "report.md", "derived", "plots",
    }  # fmt: skip


def test_an_arms_title_is_data_on_the_page_and_in_the_picture() -> None:
    evil = "<script>alert(1)</script> $x$ | `a`"
    run = count_run(titles={"none": evil, "netfilter": evil, "xdp": evil})
    files = render_count(judge_count(run))
    assert "<script" not in str(files["report.html"])
    assert "<script" not in str(files["report.md"])
    assert "\\| \\`a\\`" in str(files["report.md"])


def test_an_invalid_arm_is_drawn_without_a_difference() -> None:
    bars = [Bar("No hook", {stages.GRO: 10}, True), Bar("A", {stages.GRO: 12}, False),
            Bar("B", {stages.GRO: 99}, False, compared=False)]  # fmt: skip
    drawing = draw_count(bars, STAGES, "stamp", name="count-1")
    assert "A: 12, +2 over no hook" in drawing.alternative
    assert "B: 99." in drawing.alternative


def test_a_picture_of_one_arm_needs_no_other() -> None:
    drawing = draw_count([Bar("A", {stages.GRO: 12}, False)], STAGES, "stamp", name="count-1")
    assert "More or less" not in drawing.svg
    assert drawing.alternative.startswith("Instructions a packet, by stage. A: 12.")


def test_every_stage_has_a_letter_in_both_widths() -> None:
    every = dict.fromkeys(STAGES, 100)
    for narrow in (False, True):
        drawing = draw_count(
            [Bar("No hook", every, True)], STAGES, "stamp", name="count-1", narrow=narrow
        )
        assert all(f">{letter}</text>" in drawing.svg for letter in "ABCDEFGHIJKLMNOPQ")
