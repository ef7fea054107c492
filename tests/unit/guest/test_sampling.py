# SPDX-License-Identifier: Apache-2.0
"""The server's sample and the snapshot's lists, in a network namespace of the test's own."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests import PROJECT
from tests.conftest import need

GUEST = PROJECT / "guest"
sys.path.insert(0, str(GUEST))

import nic_settings  # noqa: E402
import sampling  # noqa: E402
import watching  # noqa: E402
from command import Unusable  # noqa: E402


def in_a_network(*lines: str, folder: Path) -> str:
    """Run shell lines as root of a user namespace with a network of its own; return the output."""
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", "sh", "-ec", "\n".join(lines)],
        cwd=folder, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def python(code: str) -> str:
    path = f"import sys; sys.path.insert(0, {str(GUEST)!r})\n"
    return shlex.join([sys.executable, "-c", path + code])


SAMPLE = """
import json, socket
from pathlib import Path
from network import packet_taps
from sampling import Sampler
one_in = %d
sampler = Sampler("lo", one_in)
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 9999))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(%d):
    sender.sendto(number.to_bytes(4, "big") * 100, ("127.0.0.1", 9999))
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)  # another protocol than UDP
for _ in range(50):
    raw.sendto(b"x" * 400, ("127.0.0.1", 0))
taps = packet_taps()
record = sampler.finish(Path("sample.pcap"))
print(json.dumps([record, taps, packet_taps()]))
"""


def sample(folder: Path, one_in: int, count: int) -> tuple[dict[str, Any], list[bytes]]:
    lines = ("ip link set lo up", python(SAMPLE % (one_in, count)))
    record, taps, later = json.loads(in_a_network(*lines, folder=folder))
    assert (taps, later) == ([record["inode"]], [])  # told by its inode, gone when it is closed
    content = (folder / "sample.pcap").read_bytes()
    packets, place = [], 24
    while place < len(content):
        length = int.from_bytes(content[place + 8 : place + 12], "little")
        packets.append(content[place + 16 : place + 16 + length])
        place += 16 + length
    return record, packets


def test_one_in_one_is_every_udp_packet_once_and_whole(tmp_path: Path) -> None:
    record, packets = sample(tmp_path, 1, 90)
    assert {key: record[key] for key in ("one_in", "drawn", "dropped", "kept")} == {
        "one_in": 1, "drawn": 90, "dropped": 0, "kept": 90,
    }  # fmt: skip
    assert [packet[28:] for packet in packets] == [n.to_bytes(4, "big") * 100 for n in range(90)]
    assert {packet[9] for packet in packets} == {17}


def test_one_in_twenty_is_a_random_twentieth(tmp_path: Path) -> None:
    """150 of 3,000 are expected with a spread of 12: six of them either way."""
    record, packets = sample(tmp_path, 20, 3000)
    assert record["drawn"] == record["kept"] == len(packets)
    assert 78 < record["kept"] < 222
    numbers = [int.from_bytes(packet[28:32], "big") for packet in packets]
    gaps = {later - earlier for earlier, later in pairwise(numbers)}
    assert len(gaps) > 5, "at random, not every twentieth"


def test_the_server_samples_the_trial(tmp_path: Path) -> None:
    """Client and server as they are: what was sampled is what the client sent."""
    server = shlex.join(
        [sys.executable, str(GUEST / "server.py"), "--host", "127.0.0.1", "--port", "8083",
         "--trials", "1", "--json", "server.json", "--sample", "sample.pcap",
         "--sample-interface", "lo", "--sample-one-in", "4", "--timeout-s", "20"]
    )  # fmt: skip
    client = shlex.join(
        [sys.executable, str(GUEST / "client.py"), "--host", "127.0.0.1", "--port", "8083",
         "--trials", "1", "--rate", "2000", "--duration", "0.5", "--payload", "300",
         "--json", "client.json"]
    )  # fmt: skip
    in_a_network("ip link set lo up", f"{server} &", client, "wait", folder=tmp_path)
    record = json.loads((tmp_path / "server.json").read_text())["sample"]
    assert 100 < record["kept"] < 500 and record["dropped"] == 0
    assert (tmp_path / "sample.pcap").stat().st_size > 100 * 340


FULL = """
import json
from pathlib import Path
from sampling import Sampler
print(json.dumps(Sampler("lo", 1).finish(Path("no-such-folder/sample.pcap"))))
"""


def test_a_sample_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    record = json.loads(in_a_network("ip link set lo up", python(FULL), folder=tmp_path))
    assert (record["one_in"], record["kept"]) == (1, 0)


def test_what_cannot_be_sampled_is_one_line() -> None:
    with pytest.raises(Unusable, match="cannot sample packets"):
        sampling.Sampler("no-such-nic", 10)


# --- lists over netlink and from sysfs ------------------------------------------------------------

LISTS = """
import json
from watching import attached
print(json.dumps([attached(%s, why := {}), why]))
"""


def lists(folder: Path, *lines: str, modules: str = "[]") -> tuple[dict[str, Any], dict[str, str]]:
    found, why = json.loads(in_a_network(*lines, python(LISTS % modules), folder=folder))
    return found, why


def test_what_is_attached_to_a_network(tmp_path: Path) -> None:
    found, why = lists(
        tmp_path, "ip link add one type veth peer two", "ip link set one up",
        "tc qdisc add dev one clsact || true", "tc qdisc add dev one root pfifo || true",
    )  # fmt: skip
    assert why == {}
    assert set(found["features"]) == {"lo", "one", "two"}
    assert all(len(bits) == 16 and int(bits, 16) for bits in found["features"].values())
    assert found["nft_tables"] == found["iptables"] == []
    assert "two noqueue ffffffff" in found["qdiscs"] or found["qdiscs"]


def test_tc_tells_the_same(tmp_path: Path) -> None:
    said = in_a_network(
        "ip link add one type veth peer two", "ip link set one up",
        "tc qdisc add dev one clsact 2>&1 || echo NONE", "tc qdisc show", folder=tmp_path,
    )  # fmt: skip
    if "NONE" in said:
        pytest.skip("this kernel has no clsact")
    found, _ = lists(tmp_path, "ip link add one type veth peer two", "ip link set one up",
                     "tc qdisc add dev one clsact")  # fmt: skip
    assert "one clsact fffffff1" in found["qdiscs"]


def test_tables_of_nft(tmp_path: Path) -> None:
    need("nft", "nftables")
    said = in_a_network("nft add table inet mine 2>&1 || echo NONE", folder=tmp_path)
    if "NONE" in said:
        pytest.skip("this kernel has no nf_tables")
    lines = ("nft add table inet mine", "nft add table ip other")
    found, _ = lists(tmp_path, *lines, modules='["nf_tables"]')
    assert found["nft_tables"] == ["inet mine", "ip other"]
    found, _ = lists(tmp_path, *lines, modules="[]")
    assert found["nft_tables"] == [], "asked, it would be loaded"


def device(folder: Path, *, irq: str = "", messages: tuple[int, ...] = ()) -> None:
    folder.mkdir(parents=True)
    if irq:
        (folder / "irq").write_text(f"{irq}\n")
    if messages:
        (folder / "msi_irqs").mkdir()
        for number in messages:
            (folder / f"msi_irqs/{number}").write_text("msix\n")


@pytest.fixture
def nics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A pretended /sys/class/net: NICs of each kind, with the devices that they belong to."""
    net = tmp_path / "net"
    devices = {
        "line": tmp_path / "pci/0000:00:05.0",
        "messages": tmp_path / "pci/0000:00:06.0",
        "virtio": tmp_path / "pci/0000:00:07.0/virtio3",
        "virtio-line": tmp_path / "pci/0000:00:08.0/virtio4",
        "bare": tmp_path / "pci/0000:00:09.0",
    }
    device(tmp_path / "pci/0000:00:07.0", irq="11", messages=(30, 28, 29))
    device(tmp_path / "pci/0000:00:08.0", irq="12")
    device(devices["line"], irq="10")
    device(devices["messages"], irq="24", messages=(24, 25))
    for name in ("virtio", "virtio-line", "bare"):
        device(devices[name])
    for name, place in devices.items():
        (net / name).mkdir(parents=True)
        (net / name / "device").symlink_to(place)
    (net / "veth").mkdir()
    monkeypatch.setattr(nic_settings, "SYS_NET", net)
    yield net


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("line", [10]), ("messages", [24, 25]), ("virtio", [28, 29, 30]), ("virtio-line", [12]),
     ("bare", None), ("veth", None), ("no-such", None)],
)  # fmt: skip
def test_a_nics_interrupts_by_number(nics: Path, name: str, numbers: list[int] | None) -> None:
    assert nic_settings.interrupts(name) == numbers


STATS = """\
entries: 5
overrun: 7
commit overrun: 0
bytes: 100
oldest event ts:     0.000000
now ts:   554.385164
dropped events: 1
read events: 3
"""


def test_the_trace_rings_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "TRACEFS", str(tmp_path))
    why: dict[str, str] = {}
    assert watching.ring_writes(why) is None and "trace_ring" in why
    for ring, cpus in ((tmp_path, 2), (tmp_path / "instances/mine", 1)):
        for cpu in range(cpus):
            (ring / f"per_cpu/cpu{cpu}").mkdir(parents=True)
            (ring / f"per_cpu/cpu{cpu}/stats").write_text(STATS)
    assert watching.ring_writes({}) == {"": 32, "mine": 16}


def test_the_children_of_kthreadd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "/proc/2/task/2/children": "3 4 15 16 17 ",
        "/proc/3/comm": "rcu_gp\n", "/proc/4/comm": "kworker/0:1-events\n",
        "/proc/15/comm": "kauditd\n", "/proc/16/comm": "kauditd\n",  # 17 has ended meanwhile
    }  # fmt: skip
    monkeypatch.setattr(watching, "read_text", files.get)
    assert watching.kernel_threads() == ["kauditd", "rcu_gp"]
    files.clear()
    assert watching.kernel_threads() is None
