# SPDX-License-Identifier: Apache-2.0
"""libvirt's definitions of a machine and its disk, as Vagrant's libvirt plugin makes them. Pure.

The same chips in the same slots: what is measured does not depend on the provider. Formats:
https://libvirt.org/formatdomain.html and https://libvirt.org/formatstorage.html.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"
ET.register_namespace("qemu", QEMU)
DISK_BYTES = 4 << 30
"""A disk's size, as the box's metadata.json tells it to Vagrant."""
SLOTS = {"channel": 2, "disk": 3, "balloon": 4, "lab": 5}
"""PCI slots; mgmt0 has its own in the command line of QEMU, which libvirt does not number."""


def disk(name: str, image: Path) -> str:
    """Return the definition of a machine's disk: what it writes, over the box's image."""
    volume = ET.Element("volume")
    _leaf(volume, "name", name)
    _leaf(volume, "capacity", str(DISK_BYTES), unit="bytes")
    _leaf(ET.SubElement(volume, "target"), "format", type="qcow2")
    below = ET.SubElement(volume, "backingStore")
    _leaf(below, "path", str(image))
    _leaf(below, "format", type="qcow2")
    return ET.tostring(volume, encoding="unicode")


def domain(role: str, settings: Mapping[str, Any], disk_path: Path) -> str:
    """Return a machine's definition from machines.json, with its disk."""
    machine = settings["machines"][role]
    root = ET.Element("domain", type=settings["driver"])
    _leaf(root, "name", settings["prefix"] + role)
    _leaf(root, "description", "made by testbed")
    _leaf(root, "memory", str(machine["memory_mb"]), unit="MiB")
    _leaf(root, "vcpu", str(machine["cpus"]))
    system = ET.SubElement(root, "os")
    _leaf(system, "type", "hvm", arch="x86_64", machine="pc")
    _leaf(system, "boot", dev="hd")
    _leaf(system, "bootmenu", enable="no")
    features = ET.SubElement(root, "features")
    for feature in ("acpi", "apic", "pae"):
        _leaf(features, feature)
    _leaf(root, "cpu", mode=settings["cpu_mode"])
    _leaf(root, "clock", offset="utc")
    for event, action in (("poweroff", "destroy"), ("reboot", "restart"), ("crash", "destroy")):
        _leaf(root, f"on_{event}", action)
    devices = ET.SubElement(root, "devices")
    _disk(devices, disk_path)
    _leaf_at(ET.SubElement(devices, "controller", type="virtio-serial", index="0"), "channel")
    _link(devices, machine, settings["nic_model"])
    serial = ET.SubElement(devices, "serial", type="file")
    _leaf(serial, "source", path=machine["console"])
    channel = ET.SubElement(devices, "channel", type="unix")
    _leaf(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    _leaf_at(ET.SubElement(devices, "memballoon", model="virtio"), "balloon")
    _management(root, machine["ssh_port"], settings["mgmt_mac"])
    return ET.tostring(root, encoding="unicode")


def _disk(devices: ET.Element, path: Path) -> None:
    one = ET.SubElement(devices, "disk", type="file", device="disk")
    _leaf(one, "driver", name="qemu", type="qcow2", cache="unsafe")
    _leaf(one, "source", file=str(path))
    _leaf(one, "target", dev="vda", bus="virtio")
    _leaf_at(one, "disk")


def _link(devices: ET.Element, machine: Mapping[str, Any], model: str) -> None:
    """Add the experiment's link: Ethernet frames in UDP datagrams between ports of 127.0.0.1."""
    one = ET.SubElement(devices, "interface", type="udp")
    _leaf(one, "mac", address=machine["mac"])
    source = ET.SubElement(one, "source", address="127.0.0.1", port=str(machine["peer_port"]))
    _leaf(source, "local", address="127.0.0.1", port=str(machine["local_port"]))
    _leaf(one, "model", type=model)
    _leaf_at(one, "lab")


def _management(root: ET.Element, ssh_port: int, mac: str) -> None:
    """Add mgmt0: SSH from 127.0.0.1 alone; restrict=on keeps the guest from reaching anything."""
    words = (
        "-netdev",
        f"user,id=mgmt,restrict=on,hostfwd=tcp:127.0.0.1:{int(ssh_port)}-:22",
        "-device",
        f"virtio-net-pci,netdev=mgmt,mac={mac},bus=pci.0,addr=0x1e,romfile=",
    )
    line = ET.SubElement(root, f"{{{QEMU}}}commandline")
    for word in words:
        ET.SubElement(line, f"{{{QEMU}}}arg", value=word)


def _leaf(parent: ET.Element, tag: str, text: str | None = None, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = text


def _leaf_at(device: ET.Element, what: str) -> None:
    """Put a device into its PCI slot."""
    places = {"domain": "0", "bus": "0", "slot": str(SLOTS[what]), "function": "0"}
    _leaf(device, "address", type="pci", **places)
