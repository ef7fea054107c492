# SPDX-License-Identifier: Apache-2.0
"""Sentences on what stands out in an arm beside no hook: each from the trace, none from memory.

A sentence is said only where the functions that it is about ran in one trace and not in the other.
Explanations beyond the trace were read in the kernel's sources of 6.1 and 6.12.
"""

from collections import Counter
from collections.abc import Callable

from testbed.analysis.counting import stages
from testbed.analysis.counting.contexts import BACKLOG, RECEIVE, SOFTIRQ
from testbed.analysis.counting.stages import module_of
from testbed.analysis.receipt.answer import counted
from testbed.analysis.receipt.receipt import Receipt
from testbed.model.symbols import bare

CHECKSUMS = ("csum_*", "do_csum", "skb_checksum*", "__skb_checksum*", "__skb_gro_checksum*",
             "skb_copy_and_csum*")  # fmt: skip
STATEFUL = ("kmem_cache_free", "__kmem_cache_free", "kmem_cache_alloc*", "cache_from_obj",
            "napi_build_skb", "page_frag_alloc_align", "__virt_addr_valid")  # fmt: skip
"""Where a buffer lies decides their way: which slab, which page, which part of the memory."""
MINUS = "\u2212"
KERNELS_OWN = ("nf_", "nft_", "xt_", "ip", "x_tables", "act_", "cls_", "sch_")
"""Modules of the kernel that a rule uses: a hook's rule runs in them, but they are not its code."""


def standouts(one: Receipt, base: Receipt) -> tuple[str, ...]:
    """Return the sentences of one arm, in the order in which a packet meets what they tell."""
    told = (say(one, base) for say in _SENTENCES)
    return tuple(sentence for sentence in told if sentence)


def own_code(one: Receipt, base: Receipt) -> Counter[str]:
    """Return the hook's own functions, module or BPF program, with their instructions."""
    others = {module_of(name) for name in base.functions}
    found = Counter[str]()
    for name, instructions in one.functions.items():
        module = module_of(name)
        is_program = module == "bpf" and bare(name).startswith("bpf_prog_")
        is_module = module not in {*others, "", "bpf"} and not module.startswith(KERNELS_OWN)
        if is_program or is_module:
            found[name] = instructions
    return found


def _own(one: Receipt, base: Receipt) -> str:
    own = own_code(one, base)
    extra = one.instructions - base.instructions
    if not own:
        return ""
    whose = "program’s" if any(module_of(name) == "bpf" for name in own) else "module’s"
    rest = extra - own.total()
    around = (
        f"the kernel around it executes {counted(abs(rest), 'instruction')} "
        f"{'more' if rest > 0 else 'fewer'}"
        if rest
        else "the kernel around it executes as many as without a hook"
    )
    return (
        f"The {whose} own code is {counted(own.total(), 'instruction')} ({_names(own)}); {around}."
    )


def _new_head(one: Receipt, base: Receipt) -> str:
    found = _only(one, base, "pskb_expand_head")
    if not found:
        return ""
    new, old = one.in_stage(stages.BUFFER), base.in_stage(stages.BUFFER)
    said = (
        f"{_how_many(one, found)} gets a new head for its data (pskb_expand_head): "
        f"{counted(new.instructions - old.instructions, 'instruction')}, "
        f"{counted(new.filled - old.filled, 'byte')} zeroed and "
        f"{counted(new.copied - old.copied, 'byte')} copied."
    )
    freed = one.in_stage(stages.FREEING).instructions - base.in_stage(stages.FREEING).instructions
    if freed > 0 and _only(one, base, "kfree"):
        said += (
            f" Freeing takes {counted(freed, 'instruction')} more: the new head goes back by kfree."
        )
    return said


def _gro(one: Receipt, base: Receipt) -> str:
    left_out = _only(base, one, "*_gro_receive", "*gro_checksum*")
    if not left_out:
        return ""
    why = (
        " The kernel does so while a generic XDP program is attached to the device "
        "(netif_elide_gro)."
        if one.ran("do_xdp_generic", "bpf_prog_run_generic_xdp")
        else ""
    )
    return (
        f"GRO is left out: {_names(left_out)} do not run, which are "
        f"{counted(left_out.total(), 'instruction')} without a hook.{why}"
    )


def _checksum(one: Receipt, base: Receipt) -> str:
    before, after = base.within(SOFTIRQ, *CHECKSUMS), one.within(RECEIVE, *CHECKSUMS)
    still = one.within(SOFTIRQ, *CHECKSUMS)
    if base.within(RECEIVE, *CHECKSUMS) or not after or still >= before:
        return ""
    said = (
        f"The UDP checksum is moved, not saved: {counted(before - still, 'instruction')} before "
        f"the socket without a hook; {counted(after, 'instruction')} in the receive call here"
    )
    if not one.copied_by_loop or base.copied_by_loop:
        return f"{said}."
    said += (
        ", where one loop copies and sums. No string instruction copies these "
        f"{counted(one.copied_by_loop, 'byte')}, so “bytes copied” does not have them."
    )
    return said


def _lists(one: Receipt, base: Receipt) -> str:
    if not _only(one, base, "nf_hook_slow_list"):
        return ""
    handling = sum(
        taken.instructions
        for (stage, name), taken in one.staged.items()
        if stage == stages.NETFILTER and bare(name).startswith(("nf_hook_slow_list", "__list_"))
    )
    return (
        "The kernel gives the hook a list of packets, here of one. To take the packet out of one "
        f"list and put it into another is {counted(handling, 'instruction')} (nf_hook_slow_list)."
    )


def _second_device(one: Receipt, base: Receipt) -> str:
    again = one.within(BACKLOG, "do_xdp_generic", "migrate_*")
    passes = one.within(BACKLOG, "do_xdp_generic") and not one.within(BACKLOG, "bpf_prog_*")
    if not passes or base.ran("do_xdp_generic"):
        return ""
    return (
        "Behind the veth, where no program is attached, every packet passes do_xdp_generic too: "
        f"{counted(again, 'instruction')} to find that out."
    )


def _memory(one: Receipt, base: Receipt) -> str:
    found = _only(one, base, "__sk_mem_raise_allocated", "try_charge_memcg", "*_charge_skmem")
    if not found:
        return ""
    extra = one.in_stage(stages.SOCKET).instructions - base.in_stage(stages.SOCKET).instructions
    if extra <= 0:
        return ""
    return (
        f"{_how_many(one, found)} is charged to the socket’s memory ({_names(found)}), which a "
        f"typical packet without a hook is not: {counted(extra, 'instruction')}."
    )


def _log(one: Receipt, base: Receipt) -> str:
    if not _only(one, base, "_printk", "vprintk*"):
        return ""
    lines = one.in_stage(stages.LOG)
    return (
        f"Every packet writes into the kernel’s log: {counted(lines.instructions, 'instruction')} "
        "to format and store the line."
    )


def _allocator(one: Receipt, base: Receipt) -> str:
    """Two counts of one arm have differed by these, across restores: by 23 and by 2 (m)."""
    found = {
        name: count - base.functions[name]
        for name, count in one.ran(*STATEFUL).items()
        if name in base.functions and count != base.functions[name]
    }
    if not found:
        return ""
    told = " and ".join(f"{bare(name)} ({extra:+,})" for name, extra in sorted(found.items()))
    return (
        f"{told.replace('-', MINUS)} took another way than without a hook. Its way follows the "
        "state of the memory allocator, which no hook sets: take so many instructions for chance."
    )


_SENTENCES: tuple[Callable[[Receipt, Receipt], str], ...] = (
    _own, _new_head, _gro, _checksum, _lists, _second_device, _memory, _log, _allocator,
)  # fmt: skip


def _only(one: Receipt, other: Receipt, *patterns: str) -> Counter[str]:
    """Return such functions of one trace that the other does not have at all."""
    found = one.ran(*patterns)
    return Counter({name: count for name, count in found.items() if name not in other.functions})


def _names(found: Counter[str], most: int = 3) -> str:
    every = list(dict.fromkeys(_short(name) for name, _ in found.most_common()))
    names, left = every[:most], len(every[most:])
    if left:
        return ", ".join(names) + f" and {left} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _short(name: str) -> str:
    """A function without its module; a BPF program without the tag in its name."""
    plain = bare(name)
    return plain.split("_", 3)[-1] if plain.startswith("bpf_prog_") else plain


def _how_many(one: Receipt, found: Counter[str]) -> str:
    """ "Every packet", or how many of how many."""
    packets = len(one.summary.packets)
    reach = max(one.reach(name) for name in found)
    return "Every packet" if reach == packets else f"A packet ({reach:,} of {packets:,})"
