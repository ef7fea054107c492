/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the XDP programs share: the rule, the counter, and finding the headers.
 */
#ifndef TESTBED_REDIRECT_XDP_H
#define TESTBED_REDIRECT_XDP_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "rewrite.h"

/*
 * Set by the loader before the program is loaded, frozen afterwards: to the
 * verifier and the JIT these are constants. Volatile keeps clang from using
 * the zeroes seen here.
 */
const volatile __be32 match_address;
const volatile __be32 target_address;
const volatile __be16 match_port;
const volatile __be16 target_port;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} hits SEC(".maps");

/* No atomics: the map has a value for each CPU, and XDP does not migrate. */
static __always_inline void count_hit(void)
{
	__u32 key = 0;
	__u64 *count = bpf_map_lookup_elem(&hits, &key);

	if (count)
		*count += 1;
}

/* Where we are in the packet; the one place that compares with its end. */
struct cursor {
	void *position;
	void *end;
};

static __always_inline void *take(struct cursor *cursor, __u32 bytes)
{
	void *start = cursor->position;

	if (start + bytes > cursor->end)
		return NULL;
	cursor->position = start + bytes;
	return start;
}

/*
 * The headers of a packet to redirect, or NULL for anything else. A frame with
 * a VLAN tag is something else: its EtherType is the tag's. (Generic XDP does
 * not see a tag that the NIC has taken off: "ethtool -K DEV rxvlan off".)
 */
static __always_inline struct redirect_headers *
find_headers(struct xdp_md *ctx, const struct redirect_rule *rule)
{
	struct cursor cursor = {
		.position = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
	};
	struct redirect_headers *headers;
	struct ethhdr *ethernet;

	ethernet = take(&cursor, sizeof(*ethernet));
	if (!ethernet || ethernet->h_proto != bpf_htons(ETH_P_IP))
		return NULL;
	headers = take(&cursor, sizeof(*headers));
	if (!headers ||
	    !redirect_matches(headers, cursor.end - (void *)headers, rule))
		return NULL;
	return headers;
}

#endif /* TESTBED_REDIRECT_XDP_H */
