# SPDX-License-Identifier: Apache-2.0
"""The stages of a packet's way: they add up, and a helper counts for the stage that calls it."""

from dataclasses import replace
from pathlib import Path

import pytest

from testbed.analysis.counting import stages
from testbed.analysis.counting.stages import STAGES, stage_of
from testbed.analysis.counting.summary import Summary
from testbed.analysis.receipt.judged import judge_count
from testbed.analysis.receipt.page import render_count
from testbed.analysis.receipt.receipt import Receipt
from tests.unit.factories.count_runs import ARMS, count_run, summary
from tests.unit.factories.counting_factory import FUNCTIONS, Kernel, counted, packet

NONE, NETFILTER, XDP = (Receipt(summary(arm), arm) for arm in ARMS)


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
