# SPDX-License-Identifier: Apache-2.0
"""The host's end of the counting machine's link: frames go into a UDP socket of 127.0.0.1."""

import random
import socket
from collections.abc import Iterator

from testbed.lab.counting.commandline import Ports
from testbed.lab.machines.machines_json import LAB_MACS
from testbed.model.config import NetworkConfig
from testbed.packets.craft import Datagram, Wire

SOURCE_PORT = 10000
"""The client's port in the first trial of every arm."""


def open_link(ports: Ports) -> socket.socket:
    """Return the socket that QEMU takes the server's frames from."""
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.bind(("127.0.0.1", ports.link_host))
    link.connect(("127.0.0.1", ports.link_guest))
    return link


def frames(
    network: NetworkConfig, destination: tuple[str, int], payload_bytes: int, seed: int
) -> Iterator[bytes]:
    """Yield Ethernet frames to an arm's destination, each with another random payload."""
    source = random.Random(seed)
    wire = Wire(LAB_MACS["client"], LAB_MACS["server"])
    address, port = destination
    number = 0
    while True:
        number += 1
        packet = Datagram(
            id=number & 0xFFFF, source=network.client_address, destination=address, port=port,
            source_port=SOURCE_PORT, payload=source.randbytes(payload_bytes),
        ).packet()  # fmt: skip
        yield wire.frame(packet)
