// SPDX-License-Identifier: GPL-2.0-only
/*
 * Redirect UDP datagrams in XDP: three holes to fill.
 *
 * As handed out, the program loads, sees every frame that arrives, and passes
 * it on to the stack. Read two files of guest/arms/include/ first:
 * redirect_xdp.h has the rule's values and the counter (count_hit());
 * rewrite.h tells which datagrams are ours (redirect_matches()). The
 * arithmetic of checksums in there is what you write yourself this time.
 */
#include "redirect_xdp.h"

static __always_inline struct redirect_headers *headers_in(void *data,
							   void *end)
{
	struct redirect_headers *headers = NULL;

	/*
	 * HOLE 1. At data begins an Ethernet header (struct ethhdr), behind
	 * it the headers of IP and UDP. If the frame holds all three before
	 * end, and Ethernet's h_proto is that of IPv4 (bpf_htons(ETH_P_IP)),
	 * point headers behind the first. The verifier refuses a program that
	 * reads a byte which it has not compared with end.
	 */
	/* SOLUTION 1 */
	struct ethhdr *ethernet = data;

	if (data + sizeof(*ethernet) + sizeof(*headers) <= end &&
	    ethernet->h_proto == bpf_htons(ETH_P_IP))
		headers = data + sizeof(*ethernet);
	/* END 1 */

	return headers;
}

/* The checksum after one 16-bit field that it covers has changed. */
static __always_inline __u16 checksum_after(__u16 check, __u16 from, __u16 to)
{
	/*
	 * HOLE 2. RFC 1624, equation 3: HC' = ~(~HC + ~m + m'), in one's
	 * complement. Add in 32 bits, then add what lies above the lower 16
	 * bits to those, until nothing does: how often, at most? Mind that C
	 * makes an int of ~x.
	 */
	/* SOLUTION 2 */
	__u32 sum = (__u16)~check + (__u16)~from + to;

	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	check = ~sum;
	/* END 2 */

	return check;
}

static __always_inline void send_to_target(struct redirect_headers *h,
					   const struct redirect_rule *rule)
{
	/*
	 * HOLE 3. Bring both checksums up to date with checksum_after(), then
	 * write the rule's target address and port into the headers. An
	 * address is two fields of 16 bits; which half comes first does not
	 * matter to a sum. A UDP checksum of 0 means that there is none, and
	 * stays 0; one that comes out as 0 is written as 0xffff.
	 */
	/* SOLUTION 3 */
	__u32 from = h->ip.daddr, to = rule->target_address;
	__u16 check = h->ip.check;

	check = checksum_after(check, from >> 16, to >> 16);
	h->ip.check = checksum_after(check, from & 0xffff, to & 0xffff);
	check = h->udp.check;
	if (check) {
		/* The pseudo-header makes it cover the address too. */
		check = checksum_after(check, from >> 16, to >> 16);
		check = checksum_after(check, from & 0xffff, to & 0xffff);
		check = checksum_after(check, h->udp.dest, rule->target_port);
		h->udp.check = check ? check : 0xffff;
	}
	h->ip.daddr = to;
	h->udp.dest = rule->target_port;
	/* END 3 */
}

SEC("xdp")
int redirect_udp(struct xdp_md *ctx)
{
	const struct redirect_rule rule = {
		.match_address = match_address,
		.target_address = target_address,
		.match_port = match_port,
		.target_port = target_port,
	};
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct redirect_headers *headers = headers_in(data, end);

	if (headers &&
	    redirect_matches(headers, end - (void *)headers, &rule)) {
		send_to_target(headers, &rule);
		count_hit();
	}
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
