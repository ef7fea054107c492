# SPDX-License-Identifier: Apache-2.0
"""Every BPF program in the kernel, wherever it is attached, and how often each has run.

The kernel counts runs only while BPF statistics are on: by the sysctl, or by any process that
holds a descriptor from BPF_ENABLE_STATS, which no sysctl shows. So a count that grows says that
somebody's statistics were on. Asked by the system call; `bpftool` would take half a second.
"""

import ctypes
import os
import struct
from typing import Any

SYS_BPF = 321  # x86-64
BPF_PROG_GET_NEXT_ID, BPF_PROG_GET_FD_BY_ID, BPF_OBJ_GET_INFO_BY_FD = 11, 13, 15
ATTRIBUTES = 128  # more than any of these three reads of union bpf_attr
#: struct bpf_prog_info of <linux/bpf.h> up to run_cnt: type, id, tag … name … run_time_ns, run_cnt
INFO_BYTES, TAG_AT, NAME_AT, RUNS_AT = 208, 8, 64, 192
TYPES = (
    "unspec", "socket_filter", "kprobe", "sched_cls", "sched_act", "tracepoint", "xdp",
    "perf_event", "cgroup_skb", "cgroup_sock", "lwt_in", "lwt_out", "lwt_xmit", "sock_ops",
    "sk_skb", "cgroup_device", "sk_msg", "raw_tracepoint", "cgroup_sock_addr", "lwt_seg6local",
    "lirc_mode2", "sk_reuseport", "flow_dissector", "cgroup_sysctl", "raw_tracepoint_writable",
    "cgroup_sockopt", "tracing", "struct_ops", "ext", "lsm", "sk_lookup", "syscall", "netfilter",
)  # fmt: skip


def programs() -> list[dict[str, Any]]:
    """Id, type, name, tag, run_cnt and run_time_ns of each. Raises OSError."""
    found = []
    number = 0
    while (following := _next(number)) is not None:
        number = following
        try:
            handle = _bpf(BPF_PROG_GET_FD_BY_ID, struct.pack("=I", number))[0]
        except FileNotFoundError:  # unloaded meanwhile
            continue
        try:
            found.append(_info(handle))
        finally:
            os.close(handle)
    return found


def _next(number: int) -> int | None:
    try:
        answer = _bpf(BPF_PROG_GET_NEXT_ID, struct.pack("=II", number, 0))[1]
    except FileNotFoundError:
        return None
    return int(struct.unpack_from("=I", answer, 4)[0])


def _info(handle: int) -> dict[str, Any]:
    info = ctypes.create_string_buffer(INFO_BYTES)
    _bpf(
        BPF_OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", handle, INFO_BYTES, ctypes.addressof(info))
    )  # fmt: skip
    kind, number = struct.unpack_from("=II", info)
    run_time_ns, runs = struct.unpack_from("=QQ", info, RUNS_AT)
    return {
        "id": number,
        "type": TYPES[kind] if kind < len(TYPES) else str(kind),
        "name": info.raw[NAME_AT : NAME_AT + 16].split(b"\0")[0].decode(errors="replace"),
        "tag": info.raw[TAG_AT : TAG_AT + 8].hex(),
        "run_cnt": runs,
        "run_time_ns": run_time_ns,
    }


def _bpf(command: int, words: bytes) -> tuple[int, bytes]:
    """The call's result, and the attributes as the kernel left them. Raises OSError."""
    attributes = ctypes.create_string_buffer(words, ATTRIBUTES)
    call = ctypes.CDLL(None, use_errno=True).syscall
    result = int(call(SYS_BPF, command, attributes, ATTRIBUTES))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result, attributes.raw
