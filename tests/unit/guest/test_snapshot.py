# SPDX-License-Identifier: Apache-2.0
"""snapshot.py: what it prints here, and what it says of things that are not here."""

import ast
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import PROJECT
from tests.conftest import need

GUEST = PROJECT / "guest"
sys.path.insert(0, str(GUEST))

import facts  # noqa: E402
import kernel_log  # noqa: E402
import network  # noqa: E402
import procfs  # noqa: E402
import snapshot  # noqa: E402

KEYS = {
    "schema", "monotonic_ns", "utc_ns", "stat", "softirqs", "interrupts", "softnet_stat", "snmp",
    "netstat", "ethtool", "links", "gro", "kmsg_sequence", "uptime_s", "sysctls", "modules",
    "packet_taps", "attached", "settings", "nic_interrupts", "meminfo", "trace_ring", "programs",
    "kprobes", "traced_functions", "kthreads",
}  # fmt: skip


def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(GUEST / "snapshot.py"), *options],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={**os.environ, **environment},
    )


def test_a_snapshot_is_one_object_of_raw_texts() -> None:
    before_ns = time.monotonic_ns()
    done = run("--interface", "lo")
    assert done.returncode == 0 and done.stderr == ""
    found = json.loads(done.stdout)
    assert set(found) >= KEYS
    assert found["schema"] == 1
    assert before_ns < found["monotonic_ns"] < time.monotonic_ns()
    assert found["stat"].startswith("cpu ") and "\nbtime " in found["stat"]
    assert "Udp: InDatagrams" in found["snmp"]["root"]
    assert "TcpExt:" in found["netstat"]["root"]
    assert found["snmp"]["namespace"] is found["links"]["namespace"] is None
    assert found["took_ms"] < 2000


def test_what_is_missing_is_null_with_a_reason(tmp_path: Path) -> None:
    done = run("--namespace", "no-such-ns", "--interface", "no-such-nic", PATH=str(tmp_path))
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert found["ethtool"] == {"no-such-nic": None}
    assert found["links"] == {"root": None, "namespace": None}
    assert found["snmp"]["namespace"] is None
    assert "no-such-ns: No such file" in found["unavailable"]["namespace"]
    assert "ip -j -s -d link" in found["unavailable"]


def test_unreadable_files_are_null(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert procfs.read_text("/proc/no-such-file") is None
    monkeypatch.setattr(kernel_log, "DEVICE", str(tmp_path / "kmsg"))
    for module in (snapshot, network, procfs):
        monkeypatch.setattr(module, "read_text", lambda _path: None)
    found = snapshot.snapshot(None, [])
    for name in ("stat", "interrupts", "softnet_stat", "kmsg_sequence", "modules", "uptime_s"):
        assert found[name] is None, name
    assert found["packet_taps"] == {"root": None, "namespace": None}
    assert set(found["sysctls"].values()) == {None}
    assert "kmsg" in found["unavailable"]["kmsg_sequence"]


@pytest.fixture
def other_network() -> Iterator[str]:
    """The path of a fresh network namespace; only root can enter one."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    child = subprocess.Popen(
        [need("unshare", "util-linux"), "--net", sys.executable, "-c",
         "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    if not child.stdout.readline():
        pytest.skip("no new network namespace to be had here")
    yield f"/proc/{child.pid}/ns/net"
    child.communicate(b"\n")


def test_the_namespace_is_read_in_the_namespace(other_network: str) -> None:
    found = json.loads(run("--namespace", other_network).stdout)
    if "namespace" in found["unavailable"]:
        pytest.skip(found["unavailable"]["namespace"])
    names = {"snmp": "UdpLite: InDatagrams", "netstat": "IpExt:"}
    for table, word in names.items():
        assert word in found[table]["namespace"]
    udp = [line for line in found["snmp"]["namespace"].splitlines() if line.startswith("Udp: ")]
    assert udp[1].startswith("Udp: 0 0 ")  # nothing was ever received there
    assert found["packet_taps"]["namespace"] == []
    assert found["attached"]["namespace"]["qdiscs"] in ([], ["lo noqueue ffffffff"])
    assert found["attached"]["namespace"]["features"].keys() == {"lo"}
    if found["links"]["root"] is not None:
        assert "lo" in {link["ifname"] for link in found["links"]["namespace"]}
        assert len(found["links"]["namespace"]) <= len(found["links"]["root"])


ASK = """
import facts
from network import ethtool_counters
facts.nic_names = lambda: ["one"]  # /sys shows the network that it was mounted in
for name in ("one", "no-such", "lo"):
    print(ethtool_counters(name, {}))
print(facts.nics({})["one"])
"""


def test_a_nic_is_what_ethtool_says() -> None:
    """A pair of virtual NICs in a network of the test's own is read as ethtool reads it."""
    script = f"""
        ip link add one type veth peer two && ip link set one up && ip link set two up
        {shlex.join([sys.executable, "-c", ASK])}
        for letter in S i k; do echo; ethtool -$letter one; done
    """
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", script],
        cwd=GUEST, capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    asked, *others = done.stdout.split("\n\n")
    mine, absent, none, nic = asked.splitlines()
    assert (absent, none) == ("None", "None")
    pairs = [(line.strip().partition(": ")[::2] for line in text.splitlines()) for text in others]
    stats, driver, features = ({name: value for name, value in rows if value} for rows in pairs)
    assert ast.literal_eval(mine) == {name: int(value) for name, value in stats.items()}
    found = ast.literal_eval(nic)
    assert {name: value for name, value in found["driver"].items() if value} == driver
    assert found["features"] == features
    assert len(stats) > 3 and driver["driver"] == "veth" and len(features) > 20


def test_a_command_that_hangs_is_given_up() -> None:
    unavailable: dict[str, str] = {}
    assert procfs.output_of("sleep", "5", unavailable=unavailable, timeout_s=0.05) is None
    assert "timed out" in unavailable["sleep 5"]
    assert procfs.output_of("false", unavailable=unavailable) is None
    assert unavailable["false"] == "exit code 1"


# --- the kernel log -------------------------------------------------------------------------------

RECORD = (
    b"30,1042,5000123,-;FORWARDING: UDP:192.168.64.7:10000;na\\xc3\\xafve \\x5c tab\\x09\n"
    b" SUBSYSTEM=net\n DEVICE=+x\n"
)


def test_a_log_record_is_decoded() -> None:
    assert kernel_log.parse(RECORD) == {
        "seq": 1042,
        "monotonic_us": 5000123,
        "level": 6,
        "text": "FORWARDING: UDP:192.168.64.7:10000;naïve \\ tab\t",
    }
    assert kernel_log.sequence_of(RECORD) == 1042


class FakeLog:
    """/dev/kmsg with records 5 to 9, two of them after the last clear; EPIPE comes first."""

    def __init__(self, cleared_at: int = 8) -> None:
        self.records = [b"6,%d,1,-;line %d\n" % (number, number) for number in range(5, 10)]
        self.cleared_at = cleared_at - 5
        self.position = 0
        self.reads = 0
        self.lapped = True

    def install(self, monkeypatch: pytest.MonkeyPatch) -> "FakeLog":
        calls = {"open": self.open, "lseek": self.lseek, "read": self.read, "close": self.close}
        names = {name: getattr(os, name) for name in dir(os) if name.startswith(("O_", "SEEK_"))}
        monkeypatch.setattr(kernel_log, "os", SimpleNamespace(**names, **calls))
        return self

    def open(self, _path: str, flags: int) -> int:
        assert flags & os.O_NONBLOCK and not flags & (os.O_WRONLY | os.O_RDWR)
        self.position = 0
        return 99

    def close(self, _handle: int) -> None:
        pass

    def lseek(self, _handle: int, offset: int, whence: int) -> None:
        assert (offset, whence) == (0, os.SEEK_DATA)
        self.position = self.cleared_at

    def read(self, _handle: int, _size: int) -> bytes:
        self.reads += 1
        if self.lapped:
            self.lapped = False
            raise BrokenPipeError
        if self.position >= len(self.records):
            raise BlockingIOError
        self.position += 1
        return self.records[self.position - 1]


def test_the_last_sequence_number(monkeypatch: pytest.MonkeyPatch) -> None:
    log = FakeLog().install(monkeypatch)
    assert kernel_log.last_sequence({}) == 9
    assert log.reads == 4  # EPIPE, two records, no more
    FakeLog(cleared_at=10).install(monkeypatch)  # nothing since the clear: reads all
    assert kernel_log.last_sequence({}) == 9
    log = FakeLog(cleared_at=5)
    log.records.clear()
    log.install(monkeypatch)
    unavailable: dict[str, str] = {}
    assert kernel_log.last_sequence(unavailable) is None
    assert unavailable == {"kmsg_sequence": "the kernel log is empty"}


def test_log_lines_after_a_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    FakeLog().install(monkeypatch)
    assert snapshot.main(["--kernel-log", "--after", "7"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["seq"], line["text"]) for line in lines] == [(8, "line 8"), (9, "line 9")]


def test_no_kernel_log_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kernel_log, "DEVICE", str(tmp_path / "kmsg"))
    assert snapshot.main(["--kernel-log"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_reading_the_log_adds_nothing_to_it() -> None:
    first: dict[str, Any] = json.loads(run().stdout)
    second: dict[str, Any] = json.loads(run().stdout)
    if first["kmsg_sequence"] is None:
        pytest.skip(first["unavailable"]["kmsg_sequence"])
    assert second["kmsg_sequence"] - first["kmsg_sequence"] < 10  # other programs may log


# --- facts ----------------------------------------------------------------------------------------


def test_facts_of_this_machine() -> None:
    done = run("--facts")
    assert done.returncode == 0 and done.stderr == ""
    found = json.loads(done.stdout)
    assert found["uname"]["release"] == os.uname().release
    assert found["cpus"]["online"] >= 1 and found["memory_bytes"] > 1 << 26
    assert len(found["boot_id"]) == 36
    assert "lo" not in found["nics"]


def test_facts_are_read_from_texts() -> None:
    config = "# CONFIG_IRQ_TIME_ACCOUNTING is not set\nCONFIG_HZ=250\nCONFIG_DEBUG_INFO_BTF=y\n"
    chosen = facts.kernel_config(config)
    assert chosen is not None
    assert (chosen["HZ"], chosen["DEBUG_INFO_BTF"], chosen["IRQ_TIME_ACCOUNTING"]) == (
        250,
        "y",
        "n",
    )
    assert facts.kernel_config(None) is None
    assert facts.memory_bytes("MemTotal:        1014520 kB\nMemFree: 1 kB\n") == 1014520 * 1024
    assert facts.memory_bytes(None) is None
    assert facts.cpu_model("processor\t: 0\nmodel name\t: QEMU TCG CPU\n") == "QEMU TCG CPU"
    assert facts.cpu_model("processor: 0\n") is None
    assert facts.os_release('ID=debian\nVERSION_ID="12"\n') == {"ID": "debian", "VERSION_ID": "12"}


def test_offloads_are_told_by_nic() -> None:
    text = (
        "Features for lab0:\nrx-checksumming: off [fixed]\n\ttx-checksum-ip-generic: on\n\n"
        "Features for mgmt0:\nrx-checksumming: on\n"
    )
    assert facts.features_by_nic(text) == {
        "lab0": {"rx-checksumming": "off [fixed]", "tx-checksum-ip-generic": "on"},
        "mgmt0": {"rx-checksumming": "on"},
    }


def test_packages_that_are_not_installed_are_null(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "clang installed 1:14.0-55.7~deb12u1\nsysstat config-files 12.6.1-1\nlibbpf1  \n"
    monkeypatch.setattr(facts, "output_of", lambda *_command, **_rest: rows)
    found = facts.packages({})
    assert found is not None
    assert found["clang"] == "1:14.0-55.7~deb12u1"
    assert found["sysstat"] is found["libbpf1"] is found["bpftool"] is None
