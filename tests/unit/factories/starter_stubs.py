# SPDX-License-Identifier: Apache-2.0
"""The starter's C in user space: a header in place of the kernel's, and packets as bytes.

The source is compiled as it is. In place of redirect_module.h and redirect_xdp.h it meets a header
of the same name beside it, which has the few names that it uses. `skb_header_pointer()` always
hands out a copy here, as the kernel's does for a packet that is not linear.
"""

import ctypes
import struct
import subprocess
from ipaddress import IPv4Address
from pathlib import Path

from testbed.model.config import NetworkConfig
from tests import PROJECT
from tests.conftest import need

FLAGS = (
    *("-std=gnu11", "-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Wno-unused-parameter"),
    *("-Werror", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"),
    f"-I{PROJECT}/guest/arms/include",
)
MODULE = """
#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include "rewrite.h"
typedef __u32 u32;
#define NF_DROP 0
#define NF_ACCEPT 1
#define MODULE_DESCRIPTION(text) struct nothing
#define MODULE_LICENSE(text) struct nothing
#define this_cpu_inc(counter) (counter)++
struct sk_buff { unsigned char *data; u32 len; };
struct nf_hook_state;
static struct redirect_rule rule;
static unsigned int hits;
static unsigned int redirect_udp(void *, struct sk_buff *, const struct nf_hook_state *);
static inline void *skb_header_pointer(const struct sk_buff *skb, int at, int bytes, void *copy)
{ return at + bytes > (int)skb->len ? NULL : memcpy(copy, skb->data + at, bytes); }
static inline int skb_ensure_writable(struct sk_buff *skb, u32 bytes)
{ return bytes > skb->len ? -12 : 0; }
static inline void skb_postpull_rcsum(struct sk_buff *skb, const void *at, u32 bytes) {}
static inline void skb_postpush_rcsum(struct sk_buff *skb, const void *at, u32 bytes) {}
unsigned int run(unsigned char *packet, u32 bytes, const struct redirect_rule *wanted)
{
	struct sk_buff skb = { packet, bytes };
	rule = *wanted;
	hits = 0;
	redirect_udp(NULL, &skb, NULL);
	return hits;
}
"""
PROGRAM = """
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <stddef.h>
#include "rewrite.h"
#define SEC(name)
#define bpf_htons htons
enum { XDP_PASS = 2 };
struct xdp_md { unsigned long data, data_end; };
static __be32 match_address, target_address;
static __be16 match_port, target_port;
static unsigned int hits;
static inline void count_hit(void) { hits++; }
int redirect_udp(struct xdp_md *ctx);
unsigned int run(unsigned char *frame, __u32 bytes, const struct redirect_rule *wanted)
{
	struct xdp_md ctx = { (unsigned long)frame, (unsigned long)frame + bytes };
	match_address = wanted->match_address;
	target_address = wanted->target_address;
	match_port = wanted->match_port;
	target_port = wanted->target_port;
	hits = 0;
	return redirect_udp(&ctx) == XDP_PASS ? hits : 99;
}
"""
HEADERS = {"my-netfilter": ("redirect_module.h", MODULE), "my-xdp": ("redirect_xdp.h", PROGRAM)}


def compiled(arm: str, source: str, folder: Path) -> ctypes.CDLL:
    """Compile a source of the starter, or of its solution, into a shared object."""
    compiler = need("gcc", "gcc libc6-dev")
    folder.mkdir(parents=True)
    header, stub = HEADERS[arm]
    (folder / header).write_text(stub)
    (folder / "source.c").write_text(source)
    argv = [compiler, *FLAGS, str(folder / "source.c"), "-o", str(folder / "source.so")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(folder / "source.so"))


def run(
    library: ctypes.CDLL, data: bytes, network: NetworkConfig, *, skip: int
) -> tuple[bytes, int]:
    """Return what became of a packet or frame, and the hits.

    `skip` bytes before it put the IP header at a multiple of four, where a NIC's driver has it.
    """
    rule = struct.pack(
        "!4s4sHH", IPv4Address(network.server_address).packed,
        IPv4Address(network.target_address).packed, network.match_port, network.target_port,
    )  # fmt: skip
    buffer = ctypes.create_string_buffer(bytes(skip) + data, skip + len(data))
    hits = library.run(ctypes.byref(buffer, skip), len(data), rule)
    return buffer.raw[skip:], hits
