# SPDX-License-Identifier: Apache-2.0
"""Lists that the kernel gives over netlink, asked without starting `tc` or `nft` for them.

A process takes half a second of an emulated machine; a dump takes a millisecond.
"""

import contextlib
import socket
import struct
from collections.abc import Iterator

NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12  # <linux/netlink.h>
HEAD = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
ATTRIBUTE = struct.Struct("=HH")
NLM_F_REQUEST, NLM_F_DUMP = 0x001, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_GETQDISC = 38  # <linux/rtnetlink.h>
TRAFFIC = struct.Struct("=BxxxiIII")  # struct tcmsg: family, ifindex, handle, parent, info
TCA_KIND = 1
NFT_GETTABLE = 10 << 8 | 1  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE: <linux/netfilter/nf_tables.h>
NETFILTER = struct.Struct("=BBH")  # struct nfgenmsg: family, version, resource
NFTA_TABLE_NAME = 1
FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}


def qdiscs() -> list[str]:
    """ "lab0 fq_codel ffffffff" of this network namespace: link, kind, parent. Raises OSError.

    A parent of fffffff1 is `ingress` or `clsact`: programs and filters can hang there.
    """
    found = []
    for answer in dump(NETLINK_ROUTE, RTM_GETQDISC, TRAFFIC.pack(0, 0, 0, 0, 0)):
        _, index, _, parent, _ = TRAFFIC.unpack_from(answer)
        kind = attributes(answer[TRAFFIC.size :]).get(TCA_KIND, b"")
        name = str(index)
        with contextlib.suppress(OSError):
            name = socket.if_indextoname(index)
        found.append(f"{name} {text(kind)} {parent:x}")
    return sorted(found)


def nft_tables() -> list[str]:
    """ "ip nat" of this network namespace: family and name. Raises OSError.

    To be asked where nf_tables is loaded: the question would load it.
    """
    found = []
    for answer in dump(NETLINK_NETFILTER, NFT_GETTABLE, NETFILTER.pack(0, 0, 0)):
        family = answer[0]
        name = attributes(answer[NETFILTER.size :]).get(NFTA_TABLE_NAME, b"")
        found.append(f"{FAMILIES.get(family, family)} {text(name)}")
    return sorted(found)


def dump(protocol: int, kind: int, body: bytes) -> Iterator[bytes]:
    """Ask for a list; yield the kernel's messages without their heads. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as sock:
        sock.settimeout(5)
        flags = NLM_F_REQUEST | NLM_F_DUMP
        sock.send(HEAD.pack(HEAD.size + len(body), kind, flags, 1, 0) + body)
        while True:
            data = sock.recv(1 << 16)
            while len(data) >= HEAD.size:
                length, answer, *_ = HEAD.unpack_from(data)
                message, data = data[HEAD.size : length], data[(length + 3) & ~3 :]
                if answer == NLMSG_DONE:
                    return
                if answer == NLMSG_ERROR:
                    (number,) = struct.unpack_from("=i", message)
                    raise OSError(-number, "netlink refused")
                yield message


def attributes(data: bytes) -> dict[int, bytes]:
    """Attributes by their number."""
    found = {}
    while len(data) >= ATTRIBUTE.size:
        length, kind = ATTRIBUTE.unpack_from(data)
        if length < ATTRIBUTE.size:
            break
        found[kind] = data[ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]
    return found


def text(value: bytes) -> str:
    """A text without its final zero."""
    return value.split(b"\0")[0].decode(errors="replace")
