# SPDX-License-Identifier: Apache-2.0
"""What generic XDP changes besides the hook, as a paragraph on the page.

Linux 6.1, net/core/dev.c: netif_elide_gro() leaves GRO out while `dev->xdp_prog` is set, and
netif_receive_generic_xdp() gives a packet whose headroom is below XDP_PACKET_HEADROOM (256) a new
head (pskb_expand_head()). e1000 leaves NET_SKB_PAD (64), and eth_type_trans() adds the 14 bytes of
the Ethernet header: 78, for every packet. UDP verifies a checksum that nobody has verified before
it queues the packet, up to CHECKSUM_BREAK (76, UDP's header included), and in udp_recvmsg() above.
"""

from testbed.analysis.measures import gro
from testbed.analysis.reading.environment import NO_DRIVER_XDP, UNKNOWN, nic_driver
from testbed.analysis.reading.records import Run

VERIFIED_BEFORE_THE_QUEUE = 76 - 8
"""Bytes of payload up to which UDP verifies a checksum before the socket."""
HEADROOM = {"e1000": 78}
"""Bytes in front of the IP header in a packet of this driver; of others nobody has looked it up."""
WANTED_HEADROOM = 256
"""XDP_PACKET_HEADROOM of include/uapi/linux/bpf.h."""


def generic_xdp_note(run: Run) -> str:
    """What generic XDP means for the comparison; empty when no arm ran in that mode."""
    if not any(trial.mode == "generic" for trial in run.trials):
        return ""
    driver = nic_driver(run)
    if driver in NO_DRIVER_XDP:
        why = f"The NIC's driver, {driver}, has no XDP of its own, so the program ran"
    elif driver == UNKNOWN:
        why = "The XDP program ran"
    else:
        why = f"The XDP program was attached in generic mode (NIC driver {driver}) and ran"
    return (
        f"{why} as generic XDP: after the kernel had allocated the socket buffer. {_gro(run)} "
        f"{_head(driver)} So it differs from no hook in more than the hook. This says nothing "
        "about XDP in a driver."
    )


def _gro(run: Run) -> str:
    """Where the checksum of a packet is verified, with such a program and without."""
    if gro.switch(run) == "off":
        return (
            "GRO was switched off for every arm; with such a program attached the kernel would "
            "have left it out on that NIC."
        )
    payloads = [trial.client.payload_bytes for trial in run.trials if trial.client]
    brief = bool(payloads) and max(payloads) <= VERIFIED_BEFORE_THE_QUEUE
    where = "before it queues the packet" if brief else "in the receive call"
    return (
        "While such a program is attached, the kernel leaves GRO out on that NIC. The other arms’ "
        "packets go through GRO, which verifies the UDP checksum where the NIC has not; this one’s "
        f"is verified by UDP itself, {where}. The option --no-gro of testbed bench switches GRO "
        "off for every arm."
    )


def _head(driver: str) -> str:
    """The copy that generic XDP makes where the headroom is short."""
    if driver in HEADROOM:
        return (
            f"Each packet also gets a new head, allocated and copied: {driver} leaves "
            f"{HEADROOM[driver]} of the {WANTED_HEADROOM} bytes that generic XDP wants in front."
        )
    return (
        f"A packet with less than {WANTED_HEADROOM} bytes in front also gets a new head, allocated "
        "and copied."
    )
