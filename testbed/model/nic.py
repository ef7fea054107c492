# SPDX-License-Identifier: Apache-2.0
"""The NIC of the experiment: its name in both machines, and the models that they may have.

A model is a word of testbed.toml. Its Linux driver decides how the kernel runs an XDP program, and
which function an interrupt calls. The interrupts themselves are known by number, from the device
in /sys (guest/nic_settings.py).
"""

from dataclasses import dataclass

from testbed.model.config import NicModel

INTERFACE = "lab0"
"""guest/box/files/etc/systemd/network/20-lab0.link gives it this name, whatever its driver is."""


@dataclass(frozen=True)
class Nic:
    """A model and its Linux driver; None where nobody has looked it up."""

    model: NicModel
    driver: str
    native_xdp: bool
    """Whether the driver runs XDP programs itself: it has an `ndo_bpf`, in Linux 5.15 and later."""
    handler: str | None = None
    """The function that the driver registers for its interrupts; counting needs it."""
    headroom_bytes: int | None = None
    """Bytes in front of the IP header of a received packet."""


# e1000 leaves NET_SKB_PAD (64), and eth_type_trans() adds the 14 bytes of the Ethernet header.
NICS: dict[str, Nic] = {
    nic.model: nic
    for nic in (
        Nic("e1000", "e1000", native_xdp=False, handler="e1000_intr", headroom_bytes=64 + 14),
        Nic("e1000e", "e1000e", native_xdp=False),
        Nic("igb", "igb", native_xdp=True),
        Nic("virtio", "virtio_net", native_xdp=True),
    )
}
"""By the word of testbed.toml."""


def of_driver(driver: str) -> Nic | None:
    """Return the NIC that a driver belongs to; None for one that testbed does not offer."""
    return next((nic for nic in NICS.values() if nic.driver == driver), None)
