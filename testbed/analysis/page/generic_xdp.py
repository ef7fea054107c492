# SPDX-License-Identifier: Apache-2.0
"""The paragraph on the page about everything that generic XDP changes besides the hook.

Linux 6.1, net/core/dev.c: netif_elide_gro() leaves GRO out while `dev->xdp_prog` is set, and
netif_receive_generic_xdp() gives a packet whose headroom is below XDP_PACKET_HEADROOM (256) a new
head (pskb_expand_head()). e1000 leaves 78 (testbed/model/nic.py), so each packet gets one. UDP
verifies a checksum that nobody has verified before it queues the packet, up to CHECKSUM_BREAK (76,
UDP's header included), and in udp_recvmsg() above.
"""

from testbed.analysis.measures import gro
from testbed.analysis.reading.environment import UNKNOWN, nic_driver
from testbed.analysis.reading.records import Run
from testbed.model.nic import Nic, of_driver

VERIFIED_BEFORE_THE_QUEUE = 76 - 8
"""Bytes of payload up to which UDP verifies a checksum before the socket."""
WANTED_HEADROOM = 256
"""XDP_PACKET_HEADROOM of include/uapi/linux/bpf.h."""


def generic_xdp_note(run: Run) -> str:
    """Return what generic XDP means for the comparison; empty when no arm ran in that mode."""
    if not any(trial.mode == "generic" for trial in run.trials):
        return ""
    driver = nic_driver(run)
    nic = of_driver(driver)
    if nic is not None and not nic.native_xdp:
        why = f"The NIC's driver, {driver}, has no XDP of its own, so the program ran"
    elif driver == UNKNOWN:
        why = "The XDP program ran"
    else:
        why = f"The XDP program was attached in generic mode (NIC driver {driver}) and ran"
    return (
        f"{why} as generic XDP: after the kernel had allocated the socket buffer. {_gro(run)} "
        f"{_head(nic)} So it differs from no hook in more than the hook. This says nothing "
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


def _head(nic: Nic | None) -> str:
    """The copy that generic XDP makes where the headroom is short."""
    if nic is not None and nic.headroom_bytes is not None:
        return (
            f"Each packet also gets a new head, allocated and copied: {nic.driver} leaves "
            f"{nic.headroom_bytes} of the {WANTED_HEADROOM} bytes that generic XDP wants in front."
        )
    return (
        f"A packet with less than {WANTED_HEADROOM} bytes in front also gets a new head, allocated "
        "and copied."
    )
