# SPDX-License-Identifier: Apache-2.0
"""Why a packet took another number of instructions: by the functions that ran more or less."""

from collections import Counter
from dataclasses import dataclass

from testbed.model.symbols import bare


@dataclass(frozen=True)
class Known:
    """A cause that is recognised by a function which ran more instructions than usual, or fewer."""

    function: str
    words: str
    fewer: bool = False


KNOWN = (
    Known("neigh_resolve_output", "the neighbour's entry was stale: its header was built anew"),
    Known("__page_frag_cache_refill", "a new page for the receive ring"),
    Known("page_frag_alloc_align", "a new page for the receive ring"),
    Known("kmem_cache_alloc_bulk", "NAPI's cache of socket buffers was refilled"),
    Known("free_pcppages_bulk", "free pages went back in a batch"),
    Known("free_unref_page_commit", "a page was freed"),
    Known("__slab_free", "an object went back to another slab than the CPU's own"),
    Known("___slab_alloc", "the CPU's slab was used up"),
    Known("rcu_softirq_qs", "another softirq ran too (timers, RCU)"),
    Known("__mod_memcg_state", "the memory controller's counters were written back"),
    Known("net_rps_action_and_irq_enable", "packets were steered to another CPU"),
    Known("__cgroup_rstat_updated", "the memory controller's counters were written back"),
    Known("mix_interrupt_randomness", "the kernel's random pool took in interrupt times"),
    Known("do_softirq.part.0", "the packet waited for the end of other work in the kernel"),
    Known("__irq_exit_rcu", "the interrupt came while the CPU was not idle", fewer=True),
    Known("napi_build_skb", "its buffer is in the first page of the 32 KiB block", fewer=True),
)
"""Each as read in the kernel's source; of several that fit, all are said."""
MOST_FUNCTIONS = 3
"""A cause that is not known is told by so many functions, the largest differences first."""


def differences(packet: Counter[str], typical: Counter[str]) -> dict[str, int]:
    """Return {function: instructions more or less}, the largest first; equal ones are left out."""
    found = {
        name: packet[name] - typical[name]
        for name in packet.keys() | typical.keys()
        if packet[name] != typical[name]
    }
    return dict(sorted(found.items(), key=lambda one: (-abs(one[1]), one[0])))


def cause(found: dict[str, int]) -> str:
    """Return what the differences mean, in words: known causes, else the functions themselves."""
    signs = {(bare(name), count < 0) for name, count in found.items()}
    said = list(dict.fromkeys(one.words for one in KNOWN if (one.function, one.fewer) in signs))
    if said:
        return "; ".join(said)
    names = [f"{name} {count:+,}" for name, count in list(found.items())[:MOST_FUNCTIONS]]
    left = len(found) - len(names)
    return ", ".join(names) + (f" and {left} more" if left > 0 else "")
