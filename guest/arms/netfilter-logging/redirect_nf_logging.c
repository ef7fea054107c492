// SPDX-License-Identifier: GPL-2.0-only
/*
 * EXHIBIT, not an arm to compare: the recipe of the original experiment.
 *
 * Beside the fair module it
 *  - writes two kernel log lines a packet, which costs more than the hook;
 *  - switches the UDP checksum off (0) in place of updating it, so nobody
 *    behind it can check the payload;
 *  - recomputes the IP checksum in full;
 *  - looks at the port only, whatever the address.
 */
#include "redirect_module.h"

#include <net/ip.h>

static void log_packet(const char *event, const struct redirect_headers *h)
{
	printk(KERN_INFO "%s: UDP:%pI4:%u;%pI4:%u\n", event, &h->ip.saddr,
	       ntohs(h->udp.source), &h->ip.daddr, ntohs(h->udp.dest));
}

static unsigned int redirect_udp(void *priv, struct sk_buff *skb,
				 const struct nf_hook_state *state)
{
	struct redirect_rule any_address = rule;
	struct redirect_headers copy, *headers;

	headers = skb_header_pointer(skb, 0, sizeof(copy), &copy);
	if (!headers)
		return NF_ACCEPT;
	any_address.match_address = headers->ip.daddr;
	if (!redirect_matches(headers, skb->len, &any_address))
		return NF_ACCEPT;

	if (skb_ensure_writable(skb, sizeof(*headers)))
		return NF_DROP;
	headers = (struct redirect_headers *)skb->data;

	log_packet("FORWARDING", headers);
	headers->ip.daddr = rule.target_address;
	headers->udp.dest = rule.target_port;
	headers->udp.check = 0;
	ip_send_check(&headers->ip);
	/* Whatever a device said about the old checksum no longer holds. */
	skb->ip_summed = CHECKSUM_NONE;
	log_packet("MODIFIED", headers);

	this_cpu_inc(hits);
	return NF_ACCEPT;
}

MODULE_DESCRIPTION("Redirect UDP datagrams at PRE_ROUTING, as first published");
MODULE_LICENSE("GPL");
