// SPDX-License-Identifier: GPL-2.0-only
/*
 * FAULT, loaded by "testbed selftest" alone: the fair module, but for one bit
 * of the UDP checksum.
 *
 * The packets arrive all the same, and no counter moves. GRO verified the
 * checksum before the hook and noted that in the packet (CHECKSUM_UNNECESSARY,
 * udp4_gro_receive()); neither forwarding, nor veth, nor the receiver looks
 * at the field again. Only what compares bytes can find this.
 */
#include "redirect_module.h"

static unsigned int redirect_udp(void *priv, struct sk_buff *skb,
				 const struct nf_hook_state *state)
{
	struct redirect_headers copy, *headers;

	headers = skb_header_pointer(skb, 0, sizeof(copy), &copy);
	if (!headers || !redirect_matches(headers, skb->len, &rule))
		return NF_ACCEPT;

	if (skb_ensure_writable(skb, sizeof(*headers)))
		return NF_DROP;
	headers = (struct redirect_headers *)skb->data;

	redirect_packet(headers, &rule);
	/* 0 would mean "no checksum", which is another fault. */
	headers->udp.check ^= (__force __sum16)htons(0x0100);
	if (!headers->udp.check)
		headers->udp.check = (__force __sum16)htons(0x0200);

	this_cpu_inc(hits);
	return NF_ACCEPT;
}

MODULE_DESCRIPTION("Redirect UDP datagrams with a wrong UDP checksum");
MODULE_LICENSE("GPL");
