// SPDX-License-Identifier: GPL-2.0-only
/*
 * EXHIBIT, not an arm to compare: the recipe of the original experiment.
 *
 * Both checksums are recomputed in full, UDP's by an unrolled loop over the
 * payload. The verifier wants a loop to end, so it ends at a bound, and what
 * lies beyond is left out of the sum. A payload of up to 513 bytes (256 words
 * and an odd byte; UDP length 521) gets the right checksum. From 514 bytes on
 * it is wrong, except by chance, and the receiver drops the datagram
 * (UdpInCsumErrors). Short control messages still pass, which is how this goes
 * unnoticed.
 */
#include "redirect_xdp.h"

#define PAYLOAD_WORDS 256 /* of 16 bits */

static __always_inline __sum16 ip_checksum(struct iphdr *ip)
{
	const __u16 *word = (const __u16 *)ip;
	__u32 sum = 0;
	__u16 check;

	ip->check = 0;
#pragma unroll
	for (int i = 0; i < (int)(sizeof(*ip) / 2); i++)
		sum += word[i];
	check = ~checksum_fold(sum);
	return (__force __sum16)check;
}

static __always_inline __sum16 udp_checksum(const struct redirect_headers *h,
					    const void *end)
{
	const __u16 *word = (const __u16 *)(h + 1);
	__u32 left = bpf_ntohs(h->udp.len) - sizeof(h->udp);
	__u32 sum;
	__u16 check;

	/* The pseudo-header (RFC 768), then the header with a checksum of 0. */
	sum = (h->ip.saddr >> 16) + (h->ip.saddr & 0xffff) +
	      (h->ip.daddr >> 16) + (h->ip.daddr & 0xffff) +
	      bpf_htons(IPPROTO_UDP) + h->udp.len;
	sum += h->udp.source + h->udp.dest + h->udp.len;

#pragma unroll
	for (int i = 0; i < PAYLOAD_WORDS; i++) {
		if (left < 2 || (const void *)(word + 1) > end)
			break;
		sum += *word++;
		left -= 2;
	}
	/* An odd byte counts as if a zero followed (RFC 1071, section 4.1). */
	if (left == 1 && (const void *)word + 1 <= end)
		sum += *(const __u8 *)word;

	check = ~checksum_fold(sum);
	return (__force __sum16)(check ? check : 0xffff);
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
	struct redirect_headers *headers = find_headers(ctx, &rule);

	if (headers) {
		headers->ip.daddr = rule.target_address;
		headers->udp.dest = rule.target_port;
		headers->ip.check = ip_checksum(&headers->ip);
		headers->udp.check =
			udp_checksum(headers, (void *)(long)ctx->data_end);
		count_hit();
	}
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
