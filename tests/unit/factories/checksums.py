# SPDX-License-Identifier: Apache-2.0
"""Both checksums of a packet at once, as tests want them: by recomputation."""

from testbed.packets.reference import ip_checksum_valid, udp_checksum_valid

UDP = 17


def checksums_valid(packet: bytes) -> bool:
    """Whether the IP checksum and, in a whole UDP datagram, UDP's are right."""
    if not ip_checksum_valid(packet):
        return False
    whole_udp = packet[9] == UDP and int.from_bytes(packet[6:8], "big") & 0x3FFF == 0
    return not whole_udp or udp_checksum_valid(packet)
