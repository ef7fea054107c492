# SPDX-License-Identifier: Apache-2.0
"""The stages of a packet's way, and which function of the kernel belongs to which.

A reading aid for the picture: the sums by function do not depend on it. A helper that many stages
call (a lock, a list, a checksum) counts for the stage that called it. A function that is in neither
table counts as "other", and the page shows that share.
"""

from fnmatch import fnmatchcase
from functools import lru_cache

from testbed.analysis.counting.contexts import PROGRAM as PROGRAM_CONTEXT
from testbed.analysis.counting.contexts import RECEIVE as RECEIVE_CONTEXT
from testbed.model.symbols import bare

INTERRUPT, DRIVER, BUFFER = "interrupt and softirq", "NIC driver", "socket buffer"
GRO, XDP, CORE = "NAPI and GRO", "XDP", "IP receive"
NETFILTER, ROUTING, VETH = "Netfilter", "routing and forwarding", "veth"
LOG = "kernel log"
BACKLOG, UDP, SOCKET = "backlog", "UDP", "socket"
RECEIVE, FREEING, PROGRAM, OTHER = "receive call", "freeing", "program", "other"
STAGES = (INTERRUPT, DRIVER, BUFFER, GRO, XDP, CORE, NETFILTER, ROUTING, VETH, BACKLOG, UDP,
          SOCKET, RECEIVE, FREEING, PROGRAM, LOG, OTHER)  # fmt: skip
"""In the order in which a packet meets most of them."""

FREES = (
    "skb_consume_udp", "__consume_stateless_skb", "skb_release_*", "skb_free_head", "kfree*",
    "__kfree_skb", "consume_skb", "__kmem_cache_free", "kmem_cache_free*", "cache_from_obj",
    "page_frag_free", "free_unref_page*", "free_pcppages_bulk", "free_one_page", "__slab_free",
    "napi_consume_skb", "__free_pages*", "put_page",
)  # fmt: skip
"""Freeing, in whichever context it happens."""
FUNCTIONS: dict[str, tuple[str, ...]] = {
    INTERRUPT: (
        "irq_entries_start", "asm_*", "error_entry", "error_return", "common_interrupt",
        "__common_interrupt", "irqentry_*", "ct_*", "irq_enter_rcu", "irq_exit_rcu",
        "__irq_exit_rcu", "idle_cpu", "handle_*irq*", "__handle_irq_event*", "note_interrupt",
        "add_interrupt_randomness", "fast_mix", "mix_interrupt_randomness", "ioapic_*", "irqd_cfg",
        "irq_complete_move", "native_apic_mem_*", "restore_regs_and_return_to_kernel",
        "early_xen_iret_patch", "native_irq_return_iret", "__do_softirq", "handle_softirqs",
        "do_softirq*", "rcu_softirq_qs", "wake_up_process", "__msi_*", "msi_*", "apic_*",
        "x2apic_*", "swapgs_restore_regs*", "sync_regs", "preempt_count_*", "rcu_irq_*",
    ),
    DRIVER: ("dma_*", "pci_*", "swiotlb_*", "iommu_*", "__netif_napi*"),
    BUFFER: (
        "napi_build_skb", "__napi_build_skb", "napi_skb_cache_get", "__build_skb_around",
        "build_skb*", "__alloc_skb", "napi_alloc_skb", "__napi_alloc_skb", "__netdev_alloc_*",
        "__netdev_alloc_skb", "page_frag_alloc_align", "__page_frag_alloc_align",
        "__page_frag_cache_refill", "napi_alloc_frag*", "__napi_alloc_frag*", "pskb_expand_head",
        "skb_headers_offset_update", "skb_copy*_expand", "skb_cow_data*", "kmalloc_*", "__kmalloc*",
        "__kmem_cache_alloc*", "kmem_cache_alloc*", "memcg_slab_*", "___slab_alloc",
        "__slab_alloc*", "get_partial_node*", "get_random_u*", "setup_object*", "new_slab",
        "allocate_slab", "shuffle_freelist", "should_failslab", "__alloc_pages*",
        "get_page_from_freelist", "rmqueue*", "prep_new_page", "post_alloc_hook", "__skb_pad",
    ),
    GRO: (
        "net_rx_action", "__napi_poll", "napi_*", "__napi_*", "*gro_receive*", "*_gro_*", "gro_*",
        "netif_receive_skb_list_internal", "skb_defer_rx_timestamp", "net_rps_action*",
    ),
    XDP: (
        "do_xdp_generic", "netif_receive_generic_xdp", "bpf_prog_run_generic_xdp", "bpf_prog_*",
        "bpf_dispatcher_*", "migrate_disable", "migrate_enable", "xdp_*", "bpf_xdp_*",
        "generic_xdp_*", "bpf_redirect*", "tcf_classify", "cls_bpf_*", "tc_run", "sch_handle_*",
    ),
    CORE: (
        "__netif_receive_skb*", "netif_receive_skb*", "deliver_skb", "ip_list_rcv", "ip_rcv",
        "ip_rcv_core", "ip_sublist_rcv", "ip_sublist_rcv_finish", "ip_rcv_finish", "ip_local_*",
        "ip_protocol_deliver_rcu", "raw_local_deliver", "ip_list_rcv_finish", "ip_check_defrag",
    ),
    NETFILTER: ("nf_*", "nft_*", "ipt_*", "xt_*", "iptable_*", "__nf_*"),
    LOG: (
        "_printk", "printk*", "vprintk*", "vsnprintf", "vscnprintf", "snprintf", "format_decode",
        "number", "put_dec*", "string", "string_nocheck", "pointer", "ip4_addr*", "ip4_string",
        "ip_addr_string", "prb_*", "desc_*", "data_*", "get_data", "space_used", "console_*",
        "wake_up_klogd", "__wake_up_klogd", "irq_work_queue", "__irq_work_queue_local", "down_try*",
        "local_clock", "vt_console_*", "serial8250_*",
    ),
    ROUTING: (
        "ip_rcv_finish_core", "ip_route_*", "fib_*", "__fib_*", "find_exception",
        "inet_lookup_ifaddr_rcu", "ip_forward*", "ip_output", "ip_finish_output*",
        "__ip_finish_output", "ip_skb_dst_mtu", "ipv4_mtu", "neigh_*", "eth_header", "rt_*",
        "ip_mc_*", "__mkroute*", "dst_*", "ip_mtu*", "arp_*", "__neigh_*",
    ),
    VETH: (
        "__dev_queue_xmit", "dev_queue_xmit*", "netdev_core_pick_tx", "validate_xmit_*",
        "netif_skb_features", "skb_network_protocol", "passthru_features_check",
        "dev_hard_start_xmit", "veth_*", "__dev_forward_skb*", "dev_forward_skb*",
        "skb_scrub_packet", "skb_clone_tx_timestamp", "netdev_pick_tx", "sch_direct_xmit",
        "skb_tx_timestamp",
    ),
    BACKLOG: (
        "__netif_rx", "netif_rx", "netif_rx_internal", "enqueue_to_backlog", "process_backlog",
        "get_rps_cpu", "kick_defer_list_purge",
    ),
    UDP: (
        "udp_*", "__udp4_*", "udp4_*", "__udp_enqueue_schedule_skb", "compute_score",
        "inet_lookup_reuseport", "lookup_reuseport", "__udp_*",
    ),
    SOCKET: (
        "sk_filter_trim_cap", "ipv4_pktinfo_prepare", "__sk_mem_*", "sk_leave_memory_pressure",
        "mem_cgroup_charge_skmem", "mem_cgroup_uncharge_skmem", "try_charge_memcg",
        "mod_memcg_state", "__mod_memcg_state", "__cgroup_rstat_updated", "refill_stock",
        "__refill_stock", "drain_stock", "sock_def_readable", "__wake_up*", "*_wake_function",
        "sock_queue_*", "sk_*",
    ),
}  # fmt: skip
"""Names as the shell's patterns, without modules and the compiler's suffixes; read in the kernel's
sources of 6.1 and 6.12. An exact name goes before a pattern, an earlier stage before a later one.
"""
HELPERS = (
    "__x86_*", "srso_*", "retbleed_*", "_raw_spin_*", "_raw_read_*", "_raw_write_*",
    "__raw_spin_*", "native_queued_spin_*", "queued_spin_*", "__rcu_read_*", "__list_*", "csum_*",
    "do_csum", "skb_checksum", "__skb_checksum*", "ip_fast_csum", "memset*", "__memset", "memcpy*",
    "__memcpy", "memmove*", "__memmove", "memcmp", "skb_put", "skb_push", "skb_pull*",
    "__pskb_pull_tail", "eth_type_trans", "make_kuid", "map_id_range_down", "from_kuid*",
    "__usecs_to_jiffies", "raise_softirq*", "__raise_softirq*", "__local_bh_*",
    "is_vmalloc_addr", "security_*", "apparmor_*", "bpf_lsm_*", "selinux_*", "*_map_lookup_elem",
    "htab_map_*", "array_map_*", "skb_ensure_writable", "skb_copy_bits", "__cond_resched",
    "ktime_*", "read_tsc", "kvm_clock_*", "clear_page*", "__copy_skb_header", "skb_clone",
    "__skb_clone",
    "inet_proto_csum_*", "kernel_init_pages", "bpf_map_*",
)  # fmt: skip
"""These count for the stage that called them, and so does a module that no table knows: it was
called by whatever runs it, as a Netfilter module by nf_hook_slow.
"""


@lru_cache(maxsize=8192)
def stage_of(function: str, context: str, driver: str) -> str | None:
    """Return the stage of a function as the trace names it; None: that of its caller.

    `driver` is the module of the NIC's driver, "" where it is part of the kernel.
    """
    plain, module = bare(function), module_of(function)
    if context == PROGRAM_CONTEXT:
        return PROGRAM
    if _fits(plain, FREES):
        return FREEING
    if context == RECEIVE_CONTEXT:
        return RECEIVE
    return DRIVER if module and module == driver else _by_name(plain, module)


def _by_name(plain: str, module: str) -> str | None:
    exact = next((stage for stage, names in FUNCTIONS.items() if plain in names), None)
    if exact or _fits(plain, HELPERS):
        return exact
    found = next((stage for stage, names in FUNCTIONS.items() if _fits(plain, names)), None)
    return found or (None if module else OTHER)


def module_of(function: str) -> str:
    """Return "e1000" for "e1000_intr [e1000]", "" for a function of the kernel itself."""
    _, bracket, rest = function.partition(" [")
    return rest.rstrip("]") if bracket else ""


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
