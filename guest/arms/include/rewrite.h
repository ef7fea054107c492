/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which packets are redirected, and how their headers change.
 *
 * The kernel module, the XDP program and a user-space unit test all compile
 * this one file, so every arm that claims to do the same work does the same
 * work. It needs nothing but the headers below and touches nothing but the
 * two structures it is handed.
 *
 * Checksums are updated, not recomputed: the cost does not depend on the
 * length of the payload, and a packet that arrived damaged stays detectably
 * damaged. All arithmetic is on words as they lie in memory: the one's
 * complement sum does not care about byte order (RFC 1071, section 2(B)).
 */
#ifndef TESTBED_REWRITE_H
#define TESTBED_REWRITE_H

#include <linux/types.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <asm/byteorder.h>

#ifndef __KERNEL__
#include <stdbool.h>
#define __force /* sparse annotation, known to the kernel only */
#endif

/* The "more fragments" bit and the 13 bits of offset (RFC 791, section 3.1). */
#define REDIRECT_FRAGMENT_MASK 0x3fff

/* Everything in network byte order. */
struct redirect_rule {
	__be32 match_address;
	__be32 target_address;
	__be16 match_port;
	__be16 target_port;
};

/* Only headers without IP options are touched, so UDP follows directly. */
struct redirect_headers {
	struct iphdr ip;
	struct udphdr udp;
};

/*
 * Is this a whole, well-formed UDP datagram to the address and port we want?
 * @room: bytes from the IP header to the end of what was received
 *
 * UDP may be shorter than what IP carries (RFC 768 has its own length field),
 * never longer.
 */
static __always_inline bool redirect_matches(const struct redirect_headers *h,
					     __u32 room,
					     const struct redirect_rule *rule)
{
	__u32 ip_bytes = __be16_to_cpu(h->ip.tot_len);
	__u32 udp_bytes = __be16_to_cpu(h->udp.len);

	return h->ip.version == 4 && h->ip.ihl == 5 &&
	       h->ip.protocol == IPPROTO_UDP &&
	       h->ip.daddr == rule->match_address &&
	       h->udp.dest == rule->match_port &&
	       !(h->ip.frag_off & __cpu_to_be16(REDIRECT_FRAGMENT_MASK)) &&
	       ip_bytes <= room && udp_bytes >= sizeof(h->udp) &&
	       udp_bytes + sizeof(h->ip) <= ip_bytes;
}

/*
 * The change of a one's complement sum when a field goes from m to m':
 * ~m + m', the middle of equation 3 of RFC 1624, section 3. Not folded yet:
 * 32 bits hold thousands of such terms.
 */
static __always_inline __u32 checksum_change16(__be16 from, __be16 to)
{
	__u16 m = ~(__force __u16)from;

	return m + (__force __u16)to;
}

static __always_inline __u32 checksum_change32(__be32 from, __be32 to)
{
	__u32 m = ~(__force __u32)from, n = (__force __u32)to;

	return (m >> 16) + (m & 0xffff) + (n >> 16) + (n & 0xffff);
}

/*
 * End-around carry (RFC 1071, section 1). Twice is always enough: any 32-bit
 * sum folds to at most 0x1fffe, and that to at most 0xffff.
 */
static __always_inline __u16 checksum_fold(__u32 sum)
{
	sum = (sum >> 16) + (sum & 0xffff);
	return (sum >> 16) + (sum & 0xffff);
}

/*
 * HC' = ~(~HC + ~m + m'), equation 3 of RFC 1624. The older equation of
 * RFC 1141 can give 0xffff where a full recomputation gives 0 (section 4).
 */
static __always_inline __sum16 checksum_update(__sum16 check, __u32 change)
{
	__u16 sum = ~(__force __u16)check;

	sum = ~checksum_fold(sum + change);
	return (__force __sum16)sum;
}

/*
 * UDP gives 0 a meaning of its own, "no checksum" (RFC 768): that stays 0, and
 * a checksum that comes out as 0 is sent as its other form, 0xffff.
 */
static __always_inline __sum16 checksum_update_udp(__sum16 check, __u32 change)
{
	if (!check)
		return check;
	check = checksum_update(check, change);
	return check ? check : (__force __sum16)0xffff;
}

/* Send a packet that redirect_matches() on to the target. */
static __always_inline void redirect_packet(struct redirect_headers *h,
					    const struct redirect_rule *rule)
{
	__u32 address = checksum_change32(h->ip.daddr, rule->target_address);
	__u32 port = checksum_change16(h->udp.dest, rule->target_port);

	h->ip.check = checksum_update(h->ip.check, address);
	/* The pseudo-header makes UDP's checksum cover the address too. */
	h->udp.check = checksum_update_udp(h->udp.check, address + port);
	h->ip.daddr = rule->target_address;
	h->udp.dest = rule->target_port;
}

/*
 * The same where the UDP checksum is still to be finished, by the device or by
 * the stack: the kernel's CHECKSUM_PARTIAL, never seen on a wire. The field
 * then holds the sum of the pseudo-header alone, not complemented; ports and
 * payload are added by whoever finishes it. So only the address counts, and 0
 * has no special meaning.
 */
static __always_inline void
redirect_packet_partial(struct redirect_headers *h,
			const struct redirect_rule *rule)
{
	__u32 address = checksum_change32(h->ip.daddr, rule->target_address);
	__u16 sum = checksum_fold((__force __u16)h->udp.check + address);

	h->ip.check = checksum_update(h->ip.check, address);
	h->udp.check = (__force __sum16)sum;
	h->ip.daddr = rule->target_address;
	h->udp.dest = rule->target_port;
}

#endif /* TESTBED_REWRITE_H */
