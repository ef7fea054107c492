# SPDX-License-Identifier: Apache-2.0
"""A small kernel with known functions, and packets that run through it, block by block."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.analysis.counting import raw
from testbed.model import count_files
from testbed.model.count_files import BLOCK, VISIT

BASE = 0xFFFF_FFFF_8100_0000
FUNCTIONS = (
    "irq_entries_start", "asm_common_interrupt", "common_interrupt", "e1000_intr [e1000]",
    "__do_softirq", "net_rx_action", "process_backlog", "udp_rcv", "__udp_enqueue_schedule_skb",
    "try_to_wake_up", "native_irq_return_iret", "do_idle", "schedule_idle", "__schedule",
    "__switch_to_asm", "__skb_wait_for_more_packets", "udp_recvmsg", "syscall_return_via_sysret",
    "entry_SYSCALL_64", "asm_sysvec_apic_timer_interrupt", "memset", "page_frag_alloc_align",
    "redirect_udp [redirect_nf]", "nf_hook_slow", "kfree_skb_reason", "__x86_indirect_thunk_array",
    "asm_exc_page_fault", "eth_type_trans",
)  # fmt: skip
CALL, RETURN, IRET, JUMP, REP = b"\xe8\0\0\0\0", b"\xc3", b"\x48\xcf", b"\xeb\0", b"\xf3\xaa"
SPACING = 1 << 12


@dataclass
class Kernel:
    """Hands out blocks; the same block has the same number."""

    records: dict[tuple[int, int, bytes, int], int] = field(default_factory=dict)

    @staticmethod
    def address(function: str) -> int:
        return BASE + SPACING * [name.split()[0] for name in FUNCTIONS].index(function)

    def visit(
        self, where: str | None, instructions: int, tail: bytes = JUMP, *, offset: int = 0,
        loads: int = 0, copied: int = 0, filled: int = 0, device: int = 0, ran: int = 0,
    ) -> bytes:  # fmt: skip
        """A block `offset` bytes into a function; None is a program's."""
        address = 0 if where is None else self.address(where) + offset
        flags = (1 if where is None else 0) | (2 if tail == REP else 0)
        key = (address, instructions, tail, flags)
        number = self.records.setdefault(key, len(self.records) + 1)
        return VISIT.pack(number, loads, 0, copied, filled, device, ran)

    def blocks(self) -> dict[int, bytes]:
        found = {}
        for (address, instructions, tail, flags), number in self.records.items():
            last = address + 4 * (instructions - 1)
            size = len(tail)
            found[number] = BLOCK.pack(number, instructions, flags, 0, address, last, size, tail)
        return found

    def after(self, function: str, instructions: int, tail: bytes = CALL, offset: int = 0) -> int:
        """Where a call in such a block returns to, as an offset into the function."""
        return offset + 4 * (instructions - 1) + len(tail)

    @staticmethod
    def symbols() -> str:
        return "".join(
            f"{BASE + SPACING * at:016x} t {name}\n" for at, name in enumerate(FUNCTIONS)
        )


def packet(
    kernel: Kernel, *, extra: Iterable[bytes] = (), hook: int = 0, page: int = 0,
    within: Iterable[bytes] = (), delivered: bool = True,
) -> bytes:  # fmt: skip
    """One packet's stretch; test_counting.OWN has its own work by part.

    `hook` and `page` are instructions of a hook and of a page refill in NAPI; `within` runs in the
    receive call, `extra` behind the whole. Without `delivered` the hook drops the packet.
    """
    k = kernel
    path = [
        k.visit("irq_entries_start", 2),
        k.visit("asm_common_interrupt", 3, CALL),
        k.visit("common_interrupt", 5, CALL),
        k.visit("e1000_intr", 5, RETURN),
        k.visit("common_interrupt", 4, CALL, offset=k.after("common_interrupt", 5)),
        k.visit("__do_softirq", 6, CALL),
        k.visit("net_rx_action", 12, CALL),
        k.visit("eth_type_trans", 2, RETURN),
    ]
    if page:
        path += [k.visit("page_frag_alloc_align", page, RETURN)]
        path += [k.visit("net_rx_action", 1, CALL, offset=k.after("net_rx_action", 12))]
    if hook:
        path += [k.visit("redirect_udp", hook, RETURN if delivered else CALL)]
    if not delivered:
        path += [k.visit("kfree_skb_reason", 9, RETURN)]
    else:
        path += [
            k.visit("process_backlog", 30, CALL, filled=64),
            k.visit("udp_rcv", 8, CALL, loads=3),
            k.visit("__udp_enqueue_schedule_skb", 4, CALL),
            k.visit("try_to_wake_up", 50, RETURN),
        ]
    path += [
        k.visit("asm_common_interrupt", 4, offset=k.after("asm_common_interrupt", 3)),
        k.visit("native_irq_return_iret", 1, IRET),
        k.visit("do_idle", 9, CALL, offset=64),
    ]
    if delivered:
        path += [
            k.visit("schedule_idle", 11, CALL),
            k.visit("__schedule", 13),
            k.visit("__switch_to_asm", 17, CALL),
            k.visit("__schedule", 3, RETURN, offset=64),
            k.visit("__skb_wait_for_more_packets", 12, RETURN, offset=64),
            *within,
            k.visit("udp_recvmsg", 6, RETURN, offset=64, copied=1000),
            k.visit(None, 7),
            k.visit("entry_SYSCALL_64", 40),
            k.visit("udp_recvmsg", 5, offset=512),
        ]
    return b"".join([*path, *extra])


def tick(kernel: Kernel, instructions: int = 200) -> list[bytes]:
    """A timer interrupt from its entry to its return."""
    return [
        kernel.visit("asm_sysvec_apic_timer_interrupt", instructions),
        kernel.visit("native_irq_return_iret", 1, IRET),
    ]


def facts(arm: str = "none", payload: int = 1000, **changes: Any) -> dict[str, Any]:
    """What the lab records of an arm; no hook unless told."""
    return {
        "arm": arm, "payload_bytes": payload, "interrupt_handler": "e1000_intr", "sent": 306,
        "warm_up": 34, "other_stretches": 0, "hits": {"before": None, "after": None},
        "verify": {"before": {"mode": "none"}, "after": {"mode": "none"}, "problem": None},
        "table": {"blocks": 30, "capacity": 131071, "full": False}, **changes,
    }  # fmt: skip


def write_arm(
    folder: Path, kernel: Kernel, paths: Sequence[bytes], *, flags: int = 0,
    symbols: str | None = None, **changes: Any,
) -> Path:  # fmt: skip
    """Write the record of one arm, a packet for each path."""
    folder.mkdir(parents=True, exist_ok=True)
    stretches = [
        (number, path, b"\1\0" * (len(path) // VISIT.size), flags)
        for number, path in enumerate(paths)
    ]
    names = Kernel.symbols() if symbols is None else symbols
    files = count_files.encode(facts(**changes), kernel.blocks(), names, stretches)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def counted(folder: Path, kernel: Kernel, paths: Sequence[bytes], **changes: Any) -> raw.Counted:
    """The same, read again."""
    return raw.read(write_arm(folder, kernel, paths, **changes))


def write_run(run: Path, arms: Sequence[str], payloads: Sequence[int], **changes: Any) -> Path:
    """Write count.json of a run whose arms are written already."""
    (run / "count").mkdir(parents=True, exist_ok=True)
    document = {
        "schema": 1, "arms": list(arms), "payloads": list(payloads), "packets": 3, "gate": None,
        "identity": {"qemu": "7.2"}, **changes,
    }  # fmt: skip
    (run / "count/count.json").write_text(json.dumps(document))
    return run
