# SPDX-License-Identifier: Apache-2.0
"""Machines that libvirt makes without Vagrant: their definitions, and the way to them."""

import io
import json
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.computer.account import Account
from testbed.edge.hypervisor import libvirt as libvirt_module
from testbed.edge.hypervisor.domain_xml import QEMU, disk, domain
from testbed.edge.hypervisor.libvirt import Domains
from testbed.edge.hypervisor.plain_libvirt import PlainLibvirt
from testbed.model.errors import ExitCode, HostError, MachineError
from tests import PROJECT

NAME = "testbed-0123456789ab"
HOSTILE = """/home/O'Neil & "sons" <x>/client-console.log"""


def settings(pool: Path, console: str = "/p/{role}-console.log") -> dict[str, Any]:
    """Return what is read of machines.json."""
    machine = {"cpus": 2, "memory_mb": 512}
    ports = {"client": (5001, 6001, 6002), "server": (5002, 6002, 6001)}
    return {
        "prefix": "tb1-", "driver": "qemu", "cpu_mode": "maximum", "nic_model": "e1000",
        "mgmt_mac": "52:54:00:7b:ed:01", "box": {"name": NAME},
        "pool": {"name": "testbed", "path": str(pool)},
        "machines": {
            role: {**machine, "ssh_port": ssh, "local_port": local, "peer_port": peer,
                   "mac": f"52:54:00:7b:ed:0{ssh % 10}", "console": console.format(role=role)}
            for role, (ssh, local, peer) in ports.items()
        },
    }  # fmt: skip


def attributes(root: ET.Element, path: str) -> dict[str, str]:
    found = root.find(path)
    assert found is not None, path
    return found.attrib


@pytest.mark.parametrize(("driver", "cpu"), [("qemu", "maximum"), ("kvm", "host-passthrough")])
def test_a_machine_is_what_vagrant_would_make(driver: str, cpu: str) -> None:
    """Read off `virsh dumpxml` of a pair that Vagrant made; the Vagrantfile asks for the same."""
    wanted = {**settings(Path("/pool")), "driver": driver, "cpu_mode": cpu}
    root = ET.fromstring(domain("server", wanted, Path("/pool/tb1-server.img")))
    assert (root.get("type"), root.findtext("name")) == (driver, "tb1-server")
    assert (root.findtext("memory"), root.findtext("vcpu")) == ("512", "2")
    assert attributes(root, "memory") == {"unit": "MiB"}
    assert attributes(root, "os/type") == {"arch": "x86_64", "machine": "pc"}
    assert attributes(root, "cpu") == {"mode": cpu}
    assert attributes(root, "clock") == {"offset": "utc"}
    assert [one.tag for one in root.find("features") or ()] == ["acpi", "apic", "pae"]
    assert root.findtext("on_crash") == "destroy"
    devices = root.find("devices")
    assert devices is not None
    slots = {one.tag: attributes(one, "address")["slot"] for one in devices if len(one) > 0
             and one.find("address") is not None}  # fmt: skip
    assert slots == {"disk": "3", "controller": "2", "interface": "5", "memballoon": "4"}
    assert attributes(devices, "disk/driver") == {
        "name": "qemu", "type": "qcow2", "cache": "unsafe",
    }  # fmt: skip
    assert attributes(devices, "disk/source") == {"file": "/pool/tb1-server.img"}
    assert attributes(devices, "channel/target")["name"] == "org.qemu.guest_agent.0"
    assert attributes(devices, "serial/source") == {"path": "/p/server-console.log"}
    assert not {one.tag for one in devices} & {"graphics", "video", "sound", "rng"}


def test_nothing_of_a_machine_is_reachable_beyond_loopback() -> None:
    root = ET.fromstring(domain("client", settings(Path("/pool")), Path("/pool/x.img")))
    (link,) = root.findall("devices/interface")
    assert link.get("type") == "udp"
    assert attributes(link, "source") == {"address": "127.0.0.1", "port": "6002"}
    assert attributes(link, "source/local") == {"address": "127.0.0.1", "port": "6001"}
    words = [one.get("value") for one in root.iter(f"{{{QEMU}}}arg")]
    assert words == [
        "-netdev", "user,id=mgmt,restrict=on,hostfwd=tcp:127.0.0.1:5001-:22",
        "-device", "virtio-net-pci,netdev=mgmt,mac=52:54:00:7b:ed:01,bus=pci.0,addr=0x1e,romfile=",
    ]  # fmt: skip
    vagrantfile = (PROJECT / "Vagrantfile").read_text()
    for word in words:
        assert str(word)[:24] in vagrantfile


def test_hostile_words_stay_words() -> None:
    wanted = settings(Path("/pool"), console=HOSTILE)
    root = ET.fromstring(domain("client", wanted, Path("/p & q/'x\".img")))
    assert attributes(root, "devices/serial/source") == {"path": HOSTILE}
    assert attributes(root, "devices/disk/source") == {"file": "/p & q/'x\".img"}
    volume = ET.fromstring(disk("a<b", Path("/p & q/box.img")))
    assert volume.findtext("name") == "a<b"
    assert volume.findtext("backingStore/path") == "/p & q/box.img"
    assert attributes(volume, "backingStore/format") == {"type": "qcow2"}


VIRSH = """
shift 3; echo "$@" >> {folder}/asked
case "$1" in
list) cat {folder}/list ;;
dumpxml) cat {folder}/$3.xml ;;
start) [ ! -e {folder}/refuse ] || {{ cat {folder}/refuse >&2; exit 1; }} ;;
qemu-agent-command) [ ! -e {folder}/no-agent ] ;;
esac
"""


@pytest.fixture
def provider(
    account: Account, tmp_path: Path, tool: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch, real_virsh: Callable[..., str],
) -> PlainLibvirt:  # fmt: skip
    """A project in which nothing is made yet, its settings written."""
    monkeypatch.setattr(Domains, "_virsh", real_virsh)
    tool("virsh", VIRSH.format(folder=tmp_path))
    tool("qemu-system-x86_64", "")
    for name in ("list", "asked"):
        (tmp_path / name).write_text("")
    (account.data_dir / "pool").mkdir()
    built = account.data_dir / f"boxes/{NAME.removeprefix('testbed-')}/box.json"
    account.write(built, json.dumps({"sha256": "ab" * 32}))
    text = json.dumps(settings(account.data_dir / "pool"))
    account.write(tmp_path / "project/machines.json", text)
    return PlainLibvirt(Domains(account, "tb1-"), tmp_path / "project")


def asked(tmp_path: Path) -> list[str]:
    lines = (tmp_path / "asked").read_text().splitlines()
    return [line for line in lines if not line.startswith("list")]


def test_each_gets_its_disk_before_it_is_defined_and_started(
    provider: PlainLibvirt, tmp_path: Path
) -> None:
    provider.create()
    folder = tmp_path / "project"
    for role in ("client", "server"):
        mine = [line for line in asked(tmp_path) if role in line]
        assert mine == [
            f"vol-create testbed {folder}/{role}-disk.xml", f"define {folder}/{role}.xml",
            f"start tb1-{role}",
        ]  # fmt: skip
        assert ET.parse(folder / f"{role}.xml").findtext("name") == f"tb1-{role}"
        assert ET.parse(folder / f"{role}-disk.xml").findtext("name") == f"tb1-{role}.img"


def test_one_that_is_there_is_not_made_again(provider: PlainLibvirt, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(" 7   tb1-client   running\n")
    provider.create()
    assert not [line for line in asked(tmp_path) if "client" in line]
    assert provider.recorded(["client"]) == {"client"}


@pytest.mark.parametrize(
    ("said", "advised"),
    [
        ("qemu: Could not set up host forwarding rule", "another program took one of the ports"),
        ("cannot set up guest memory: Cannot allocate memory", "too little memory"),
        ("error: it is broken", "the last lines above are libvirt's"),
    ],
)
def test_a_machine_that_does_not_start_is_told_in_libvirts_words(
    provider: PlainLibvirt, tmp_path: Path, said: str, advised: str
) -> None:
    (tmp_path / "refuse").write_text(said)
    with pytest.raises(MachineError) as caught:
        provider.create()
    assert caught.value.message in ("the client could not be made", "the server could not be made")
    assert said in caught.value.detail
    assert caught.value.hint.startswith(advised)


def test_without_qemu_nothing_is_made(
    provider: PlainLibvirt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testbed.edge.computer.host.shutil.which", lambda *_, **__: None)
    with pytest.raises(HostError) as caught:
        provider.create()
    assert caught.value.exit_code is ExitCode.HOST
    assert "qemu-system-x86" in caught.value.hint
    assert asked(tmp_path) == []


def box(account: Account, member: str = "box.img") -> Path:
    """Return a box with an image of three bytes."""
    path = account.data_dir / f"boxes/{NAME.removeprefix('testbed-')}/testbed.box"
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo(member)
        info.size = 3
        tar.addfile(info, io.BytesIO(b"QFI"))
    return path


def test_the_image_comes_into_the_pool_whole_or_not_at_all(
    provider: PlainLibvirt, account: Account
) -> None:
    path = box(account)
    assert not provider.has_box(NAME)
    provider.add_box(NAME, path)
    assert provider.has_box(NAME)
    (image,) = (account.data_dir / "pool").iterdir()
    assert image.read_bytes() == b"QFI"
    assert libvirt_module.BOX_IMAGE.fullmatch(image.name)
    (path.parent / "box.json").write_text(json.dumps({"sha256": "cd" * 32}))
    assert not provider.has_box(NAME), "the recipe is the same, the box is another one"
    assert image.stat().st_mode & 0o777 == 0o400
    assert [one.name for one in (account.data_dir / "boxes").iterdir()] == [path.parent.name]


def test_a_box_without_its_image(provider: PlainLibvirt, account: Account) -> None:
    path = box(account, "another.img")
    with pytest.raises(HostError, match="could not be copied"):
        provider.add_box(NAME, path)
    assert not provider.has_box(NAME)
    assert [one.name for one in (account.data_dir / "boxes").iterdir()] == [path.parent.name]


def test_machines_of_other_people_are_known_by_their_console(
    provider: PlainLibvirt, tmp_path: Path
) -> None:
    console = "<domain><devices><serial><source path='{}'/></serial></devices></domain>"
    ours = console.format(tmp_path / "project/client-console.log")
    for content, expected in (
        (ours, []), (console.format("/x/client-console.log"), ["client"]), ("<domain/>", ["client"])
    ):  # fmt: skip
        (tmp_path / "tb1-client.xml").write_text(content)
        assert provider.domains.strangers(["client"], tmp_path / "project") == expected


@pytest.mark.parametrize("agent", [True, False])
def test_shutting_down_asks_the_agent_and_then_the_power_button(
    provider: PlainLibvirt, tmp_path: Path, *, agent: bool
) -> None:
    if not agent:
        (tmp_path / "no-agent").touch()
    provider.domains.shut_down("client")
    first, *more = asked(tmp_path)
    assert first.startswith("qemu-agent-command --timeout 10 tb1-client")
    assert '"/bin/systemctl", "arg": ["poweroff"]' in first
    assert more == ([] if agent else ["shutdown tb1-client --mode acpi"])


def test_a_machine_that_does_not_shut_down_is_ended(
    provider: PlainLibvirt, tmp_path: Path, tool: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(libvirt_module, "SHUT_DOWN_LIMIT_S", 0.1)
    (tmp_path / "list").write_text(" 7   tb1-client   running\n")
    more = 'case "$4" in destroy) : > {folder}/list ;; esac\n'
    tool("virsh", (more + VIRSH).format(folder=tmp_path))
    provider.domains.shut_down("client")
    assert asked(tmp_path)[-1] == "destroy tb1-client"
