// SPDX-License-Identifier: GPL-2.0-only
/*
 * Redirect UDP datagrams at netfilter's PRE_ROUTING hook: three holes to fill.
 *
 * As handed out, the module loads, sees every IPv4 packet that arrives, and
 * lets it pass. Read two files of guest/arms/include/ first: redirect_module.h
 * has the rule to follow (rule), the counter (hits) and the registration of
 * the hook; rewrite.h has the headers and the arithmetic of checksums.
 */
#include "redirect_module.h"

static bool is_ours(const struct redirect_headers *h, u32 room)
{
	bool ours = false;

	/*
	 * HOLE 1. Say yes only to a whole UDP datagram to the rule's address
	 * and port. All of this has to hold:
	 *  - IPv4, a header of 20 bytes (no options), the protocol UDP;
	 *  - destination address and port are the rule's;
	 *  - it is no fragment, not the first one either
	 *    (REDIRECT_FRAGMENT_MASK);
	 *  - the lengths are true: IP's fits into the room that there is, in
	 *    bytes, UDP's into IP's, and UDP's has room for its own header.
	 * Fields of headers are in network byte order, and so is the rule.
	 */
	/* SOLUTION 1 */
	u32 ip_bytes = ntohs(h->ip.tot_len);
	u32 udp_bytes = ntohs(h->udp.len);

	ours = h->ip.version == 4 && h->ip.ihl == 5 &&
	       h->ip.protocol == IPPROTO_UDP &&
	       h->ip.daddr == rule.match_address &&
	       h->udp.dest == rule.match_port &&
	       !(h->ip.frag_off & htons(REDIRECT_FRAGMENT_MASK)) &&
	       ip_bytes <= room && udp_bytes >= sizeof(h->udp) &&
	       sizeof(h->ip) + udp_bytes <= ip_bytes;
	/* END 1 */

	return ours;
}

static void send_to_target(struct redirect_headers *h)
{
	/*
	 * HOLE 2. Write the rule's target address and port into the headers,
	 * and bring both checksums up to date with that change: take
	 * checksum_change32() and checksum_change16() for what changes, then
	 * checksum_update() for IP and checksum_update_udp() for UDP. Which
	 * of the two changes does each checksum cover?
	 */
	/* SOLUTION 2 */
	u32 address = checksum_change32(h->ip.daddr, rule.target_address);
	u32 port = checksum_change16(h->udp.dest, rule.target_port);

	h->ip.check = checksum_update(h->ip.check, address);
	/* The pseudo-header makes UDP's checksum cover the address too. */
	h->udp.check = checksum_update_udp(h->udp.check, address + port);
	h->ip.daddr = rule.target_address;
	h->udp.dest = rule.target_port;
	/* END 2 */
}

static unsigned int redirect_udp(void *priv, struct sk_buff *skb,
				 const struct nf_hook_state *state)
{
	struct redirect_headers copy, *headers;

	/* skb->data is at the IP header; UDP need not be in the linear part. */
	headers = skb_header_pointer(skb, 0, sizeof(copy), &copy);
	if (!headers || !is_ours(headers, skb->len))
		return NF_ACCEPT;

	/*
	 * HOLE 3. What headers points to may be a copy on the stack, or bytes
	 * that a clone of the packet shares. Have the first sizeof(*headers)
	 * bytes of the packet made writable (skb_ensure_writable() returns 0,
	 * or an error: what then?), and point headers at them.
	 */
	/* SOLUTION 3 */
	if (skb_ensure_writable(skb, sizeof(*headers)))
		return NF_DROP;
	headers = (struct redirect_headers *)skb->data;
	/* END 3 */

	/* CHECKSUM_COMPLETE: the device's sum over the packet has to follow. */
	skb_postpull_rcsum(skb, headers, sizeof(*headers));
	send_to_target(headers);
	skb_postpush_rcsum(skb, headers, sizeof(*headers));

	this_cpu_inc(hits);
	return NF_ACCEPT;
}

MODULE_DESCRIPTION("Redirect UDP datagrams at PRE_ROUTING: an exercise");
MODULE_LICENSE("GPL");
