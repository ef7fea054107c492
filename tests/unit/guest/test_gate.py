# SPDX-License-Identifier: Apache-2.0
"""gate.py for real: crafted frames through a chain of network namespaces of the test's own."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.analysis.gate.arrivals import Arrived, arrived
from testbed.analysis.gate.judge import judge
from testbed.analysis.gate.outcomes import Came, Result
from testbed.analysis.gate.rounds import Round
from testbed.packets import capture
from testbed.packets.case import MUST_COME_OUT
from testbed.packets.cases import CAPTURED, end_markers
from testbed.packets.recognition import Recognition
from testbed.packets.reference import packed
from testbed.packets.schedule import schedule
from tests import PROJECT
from tests.conftest import need
from tests.unit.packets.test_cases import MACS, NETWORK, WIRE, crafted, draws

GUEST = PROJECT / "guest"
GATE = [sys.executable, str(GUEST / "gate.py")]
# What Vagrantfile and guest/setup/ make of two machines, in three namespaces below one mount.
CHAIN = f"""
set -e
mount -t tmpfs none /run
mkdir /run/netns
for name in client server inner; do ip netns add $name; done
at() {{ where=$1; shift; ip netns exec $where "$@"; }}
at client ip link add lab0 address {MACS[0]} type veth peer lab0 address {MACS[1]} netns server
at server ip link add sslab-host type veth peer sslab-app netns inner
at client ip address add {NETWORK.client_address}/24 dev lab0
at server ip address add {NETWORK.server_address}/24 dev lab0
at server ip address add {NETWORK.gateway_address}/24 dev sslab-host
at inner ip address add {NETWORK.target_address}/24 dev sslab-app
at client ip link set lab0 up
for name in lab0 sslab-host; do at server ip link set $name up; done
for name in lo sslab-app; do at inner ip link set $name up; done
at inner ip route add default via {NETWORK.gateway_address}
at server sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward
for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done'
"""


@pytest.fixture
def chain() -> Iterator[list[str]]:
    """The start of a command line that runs in the chain; only root can make one."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    need("ip", "iproute2")
    probe = [
        need("unshare", "util-linux"),
        "--net",
        "--mount",
        "ip",
        "link",
        "add",
        "probe",
        "type",
        "veth",
    ]
    tried = subprocess.run(probe, capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no network namespaces with veth to be had here: {tried.stderr}")
    script = f"{CHAIN}\necho ready\nread _"
    child = subprocess.Popen(
        ["unshare", "--net", "--mount", "sh", "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdin is not None and child.stdout is not None
    assert child.stdout.readline() == "ready\n", child.communicate()[1]
    yield ["nsenter", f"--target={child.pid}", "--net", "--mount", "ip", "netns", "exec"]
    child.communicate("\n")


MARKER, ENDS = end_markers(draws(), WIRE)
SENDING = schedule(crafted(direct=True), draws())


class Capture:
    """gate.py capture in the chain's server, ready."""

    def __init__(self, chain: list[str], folder: Path, timeout_s: float = 20) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notified.bind(str(folder / "notify"))
            notified.settimeout(10)
            self.process = subprocess.Popen(
                [*chain, "server", *GATE, "capture", "--namespace", "inner",
                 "--directory", str(folder), "--timeout-s", str(timeout_s),
                 "--protocols", ",".join(map(str, CAPTURED)), "--marker", MARKER.hex()],
                env={**os.environ, "NOTIFY_SOCKET": str(folder / "notify")},
                stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert notified.recv(100) == b"READY=1"
        self.folder = folder

    def end(self) -> tuple[int, str, Round]:
        """Wait for it; return exit code, words and what came out."""
        _, words = self.process.communicate(timeout=15)
        inside, outside = (
            capture.read((self.folder / f"{name}.pcap").read_bytes(), capture.RAW_IP)
            for name in ("namespace", "root")
        )
        drops = json.loads((self.folder / "capture.json").read_text())["drops"]
        one = Round(None, True, inside, outside, capture_drops=drops)
        return self.process.returncode, words, one


def sorted_out(one: Round) -> Arrived:
    recognition = Recognition.of(crafted(direct=True), NETWORK)
    return arrived(one, recognition, MARKER, packed(NETWORK.client_address))


def send(chain: list[str], path: Path, *options: str) -> str:
    argv = [*chain, "client", *GATE, "send", "--frames", str(path), *options]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """The file for the arm without a hook."""
    path = tmp_path / "frames.pcap.gz"
    due_us = [*SENDING.due_us, *(SENDING.due_us[-1] for _ in ENDS)]
    path.write_bytes(capture.write([*SENDING.frames, *ENDS], capture.ETHERNET, due_us))
    return path


def test_without_a_hook_linux_does_with_every_case_what_is_expected(
    chain: list[str], frames: Path, tmp_path: Path
) -> None:
    capturing = Capture(chain, tmp_path)
    assert f"{len(SENDING.frames)} frames and 2 end markers in " in send(chain, frames)
    status, words, one = capturing.end()
    assert (status, words) == (0, "")
    assert one.capture_drops == 0
    for packets in (one.namespace, one.root):
        assert any(packet.startswith(MARKER, 28) for packet in packets)
    found = sorted_out(one)
    assert found.nobodys == []
    outcomes = [
        judge(case, [found.of(case.number)], NETWORK, lost=False, once=True)
        for case in crafted(direct=True)
    ]
    assert [o for o in outcomes if o.result is not Result.SAME] == []
    due = {case.number for case in crafted() if case.fate in MUST_COME_OUT}
    assert due <= {o.number for o in outcomes if o.came is not Came.NOWHERE}
    assert {o.came for o in outcomes if o.group == "priority"} == {Came.NAMESPACE}


def test_only_some_and_ended_from_outside(chain: list[str], frames: Path, tmp_path: Path) -> None:
    """A retry sends what is missing; SIGTERM ends a capture that no marker ended."""
    plain = capture.read(frames.read_bytes(), capture.ETHERNET)[:-2]
    frames.write_bytes(capture.write([*plain, *plain[:2]], capture.ETHERNET))
    numbers = [c.number for c in crafted() if c.title in ("7 bytes, random", "TTL 128")]
    places = [SENDING.places[number][0] for number in numbers]
    capturing = Capture(chain, tmp_path)
    send(chain, frames, "--only", ",".join(map(str, places)))
    is_free = ["flock", "--nonblock", str(tmp_path / "running"), "true"]
    assert subprocess.run(is_free, check=False).returncode == 1
    capturing.process.send_signal(signal.SIGTERM)  # nsenter and ip have become the program
    status, _, one = capturing.end()
    assert status == 0
    assert all(sorted_out(one).of(number).namespace for number in numbers)
    assert subprocess.run(is_free, check=False).returncode == 0


def test_no_end_marker_in_time(chain: list[str], tmp_path: Path) -> None:
    status, words, one = Capture(chain, tmp_path, timeout_s=0.2).end()
    assert (status, one.namespace, one.root) == (1, (), ())
    assert words == "gate.py: no end marker within 0.2 s\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["send", "--frames", "/no/such"], "cannot read /no/such: No such file"),
        (["send", "--frames", __file__], "is no little-endian pcap file"),
        (["send", "--frames", os.devnull], "is cut off or damaged"),
        (["send", "--only", "1,x"], "'1,x' are not numbers"),
        (["capture", "--marker", "1,x"], "'1,x' are no bytes in hexadecimal"),
        (["capture", "--marker", ""], "'' are no bytes in hexadecimal"),
        (["capture", "--bind", "10.0.1.2"], "'10.0.1.2' is not ADDRESS:PORT"),
        ([], "required: verb"),
    ],
)
def test_what_cannot_be_used_is_one_line(options: list[str], words: str) -> None:
    done = subprocess.run([*GATE, *options], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr and done.stderr.count("\n") == 1


def test_an_interface_or_namespace_that_is_not_there(frames: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for options, words in (
        (["send", "--frames", str(frames), "--interface", "no-such"], "cannot send on no-such: "),
        (["capture", "--namespace", "no-such", "--directory", str(tmp_path)], "namespace no-such:"),
    ):
        done = subprocess.run([*GATE, *options], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and words in done.stderr
    assert not list(tmp_path.glob("*.pcap"))
