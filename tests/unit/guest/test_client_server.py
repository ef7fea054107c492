# SPDX-License-Identifier: Apache-2.0
"""Client and server over loopback: the plain path, a path that loses and doubles, and faults."""

import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import PROJECT

GUEST = PROJECT / "guest"
sys.path.insert(0, str(GUEST))

import client  # noqa: E402
import command  # noqa: E402
import pacing  # noqa: E402
import reception  # noqa: E402
import server  # noqa: E402
import udp_socket  # noqa: E402
from protocol import HEADER_BYTES, Kind, Message, unpack_counts, unpack_message  # noqa: E402

HOST = "127.0.0.1"
SHORT = ["--rate", "2000", "--duration", "0.1", "--interval", "0"]  # 200 packets a trial


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


class Process:
    """client.py or server.py as a user runs it; `json` is what it wrote."""

    def __init__(self, script: str, *options: object, folder: Path) -> None:
        self.record_file = folder / f"{script}.json"
        self.process = subprocess.Popen(
            [sys.executable, str(GUEST / script), "--json", str(self.record_file)]
            + [str(option) for option in options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err

    def read_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.record_file.read_text()))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start a script with options; a server is waited for until it listens."""
    started: list[Process] = []

    def run(script: str, *options: object) -> Process:
        process = Process(script, *options, folder=tmp_path)
        started.append(process)
        if script == "server.py":
            process.read_line()
        return process

    yield run
    for process in started:
        if process.process.poll() is None:
            process.process.kill()
        process.process.communicate()


Fate = Callable[[Kind, int], str]  # (kind, how many of it came before) -> pass, drop, twice, hold


class Relay(threading.Thread):
    """Stands between client and server like the hook: answers come from another address."""

    def __init__(self, server_port: int, fate: Fate) -> None:
        super().__init__(daemon=True)
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind((HOST, 0))
        self.back.bind((HOST, 0))
        self.port = int(self.front.getsockname()[1])
        self.server = (HOST, server_port)
        self.fate = fate
        self.came: Counter[Kind] = Counter()
        self.client: tuple[str, int] | None = None
        self.over = False

    def run(self) -> None:
        threading.Thread(target=self.answers, daemon=True).start()
        held: list[bytes] = []
        while not self.over:
            datagram, self.client = self.front.recvfrom(1 << 16)
            for _ in range(self.copies(datagram, held)):
                self.back.sendto(datagram, self.server)
            if held and held[0] != datagram:
                self.back.sendto(held.pop(), self.server)

    def answers(self) -> None:
        while not self.over:
            datagram = self.back.recv(1 << 16)
            if self.client is not None:
                for _ in range(self.copies(datagram, [])):
                    self.back.sendto(datagram, self.client)

    def copies(self, datagram: bytes, held: list[bytes]) -> int:
        message = unpack_message(datagram, len(datagram))
        assert message is not None
        fate = self.fate(message.kind, self.came[message.kind])
        self.came[message.kind] += 1
        if fate == "hold":
            held.append(datagram)
        return {"pass": 1, "twice": 2, "drop": 0, "hold": 0}[fate]


def relayed(server_port: int, fate: Fate) -> Relay:
    relay = Relay(server_port, fate)
    relay.start()
    return relay


class HandMade:
    """A client whose every datagram the test decides."""

    def __init__(self, port: int, planned: int = 10, token: int = 0xABC) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(5)
        self.address = (HOST, port)
        self.message = Message(Kind.DATA, 7, token, 0)
        self.planned = planned

    def send(self, kind: Kind, sequence: int = 0, extra: bytes = b"") -> None:
        message = self.message._replace(kind=kind, sequence=sequence)
        self.sock.sendto(message.pack() + extra, self.address)

    def raw(self, datagram: bytes) -> None:
        self.sock.sendto(datagram, self.address)

    def receive(self, kind: Kind) -> bytes:
        while True:
            datagram = self.sock.recv(2048)
            message = unpack_message(datagram, len(datagram))
            assert message is not None
            if message.kind is kind and message.token == self.message.token:
                return datagram

    def begin(self) -> None:
        self.send(Kind.START, self.planned)
        self.receive(Kind.START_ACK)


# --- whole trials ---------------------------------------------------------------------------------


def test_trials_arrive_and_both_sides_say_so(start: Callable[..., Process]) -> None:
    port, base = free_port(), 20_000
    receiving = start("server.py", "--host", HOST, "--port", port, "--trials", 2, "--idle-s", 0.05)
    sending = start(
        "client.py", "--host", HOST, "--port", port, "--trials", 2, "--first-trial", 3,
        "--bind-port-base", base, "--seed", 5, *SHORT,
    )  # fmt: skip
    code, out, err = sending.wait()
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 2
    said = re.fullmatch(r"Trial 3: Succeed with (\d+\.\d\d) ms", lines[0])
    assert said
    code, out, err = receiving.wait()
    assert (code, err) == (0, "")
    assert f"START trial 3 from {HOST}:{base + 2}\n" in out
    assert f"END   trial 4 from {HOST}:{base + 3}: 200 packets in " in out

    sent, got = sending.json, receiving.json
    assert float(said[1]) == pytest.approx(sent["trials"][0]["duration_ms"], abs=0.005)
    assert sent["complete"] is got["complete"] is True
    window = got["idle_window"]
    assert window["after"]["monotonic_ns"][0] - window["before"]["monotonic_ns"][1] >= 50e6
    for number, ours, theirs in zip((3, 4), sent["trials"], got["trials"], strict=True):
        assert ours["trial"] == theirs["trial"] == number
        assert ours["token"] == theirs["token"]
        assert ours["seed"] == number + 2
        assert ours["planned"] == ours["offered"] == theirs["offered"] == theirs["unique"] == 200
        assert theirs["received"] == 200 and theirs["lost"] == 0 and theirs["bytes"] == 200_000
        assert ours["server"]["unique"] == 200 and ours["succeeded"] and ours["acknowledged"]
        assert ours["source_port"] == base + number - 1
        assert theirs["peer"] == f"{HOST}:{base + number - 1}"
        # Never before their time; how late the last one is, is the computer's.
        assert ours["achieved_pps"] <= 2000 * 1.05 and ours["duration_ms"] > 95
        assert ours["achieved_pps"] * ours["duration_ms"] == pytest.approx(200_000, rel=0.05)
        assert sum(ours["gap_us"]["histogram"]["counts"]) == 199
        assert theirs["socket_drops"] == 0 and theirs["foreign"] == 0
        assert "cpu0" in theirs["before"]["stat"] and "NET_RX" in theirs["after"]["softirqs"]
        # START counters before the first packet, END counters after the last.
        moments = [
            theirs["before"]["monotonic_ns"][1],
            theirs["started_monotonic_ns"],
            ours["started_monotonic_ns"],
            theirs["first_data_monotonic_ns"],
            theirs["last_data_monotonic_ns"],
            theirs["ended_monotonic_ns"],
            theirs["after"]["monotonic_ns"][0],
        ]
        assert moments == sorted(moments)


def test_control_messages_survive_loss_and_the_ledger_closes(
    start: Callable[..., Process],
) -> None:
    def fate(kind: Kind, before: int) -> str:
        if kind in (Kind.START_ACK, Kind.END_ACK, Kind.CLOSE):
            return "drop" if before == 0 else "twice"
        if kind in (Kind.START, Kind.END):
            return ("drop", "twice")[before % 2]
        return {5: "drop", 10: "twice", 20: "hold"}.get(before, "pass")

    port = free_port()
    receiving = start("server.py", "--host", HOST, "--port", port, "--trials", 2)
    relay = relayed(port, fate)
    sending = start(
        "client.py", "--host", HOST, "--port", relay.port, "--trials", 2,
        "--bind-port-base", 20_100, *SHORT,
    )  # fmt: skip
    code, out, _ = sending.wait()
    assert code == 0, out
    code, out, err = receiving.wait()
    assert (code, err) == (0, "")
    assert out.count("START") == out.count("END") == 2
    assert "200 packets" in out and ", 1 lost, 1 duplicates, 1 reordered" in out
    first, second = receiving.json["trials"]
    assert (first["received"], first["unique"], first["lost"]) == (200, 199, 1)
    assert (first["duplicates"], first["reordered"]) == (1, 1)
    assert (second["received"], second["unique"], second["duplicates"]) == (200, 200, 0)
    ours = sending.json["trials"][0]
    assert ours["start_attempts"] >= 2 and ours["end_attempts"] >= 2
    assert ours["control_sent"] == ours["start_attempts"] + ours["end_attempts"] + 1
    assert ours["server"]["reordered"] == 1


def test_a_trial_whose_packets_do_not_arrive_is_not_a_success(
    start: Callable[..., Process],
) -> None:
    def fate(kind: Kind, before: int) -> str:
        return "drop" if kind is Kind.DATA and before % 40 else "pass"

    port = free_port()
    receiving = start("server.py", "--host", HOST, "--port", port, "--trials", 1)
    relay = relayed(port, fate)
    sending = start(
        "client.py", "--host", HOST, "--port", relay.port, "--trials", 1,
        "--bind-port-base", 20_200, *SHORT,
    )  # fmt: skip
    code, out, _ = sending.wait()
    assert (code, out) == (1, "Trial 1: Failed: 5 of 200 packets arrived\n")
    assert receiving.wait()[0] == 0
    assert sending.json["complete"] and not sending.json["trials"][0]["succeeded"]
    assert receiving.json["trials"][0]["lost"] == 195


def test_without_an_end_both_sides_give_up(start: Callable[..., Process]) -> None:
    port = free_port()
    receiving = start(
        "server.py", "--host", HOST, "--port", port, "--trials", 1, "--timeout-s", 0.6
    )
    relay = relayed(port, lambda kind, _: "drop" if kind is Kind.END else "pass")
    sending = start(
        "client.py", "--host", HOST, "--port", relay.port, "--trials", 1, "--timeout-s", 0.3,
        "--bind-port-base", 20_300, *SHORT,
    )  # fmt: skip
    code, out, _ = sending.wait()
    assert code == 1 and "no answer to END" in out
    ours = sending.json
    assert ours["complete"] is False and ours["trials"][0]["server"] is None
    assert ours["trials"][0]["offered"] == 200
    code, _, err = receiving.wait()
    assert code == 1
    assert "no END came" in err and "200 of 200" in err and "Traceback" not in err
    got = receiving.json
    assert got["complete"] is False
    trial = got["trials"][0]
    assert trial["received"] == 200
    for unknown in ("offered", "lost", "after", "ended_monotonic_ns", "duration_ms"):
        assert trial[unknown] is None


def test_no_server_and_no_client(start: Callable[..., Process]) -> None:
    alone = start("server.py", "--host", HOST, "--port", free_port(), "--timeout-s", 0.2)
    sending = start(
        "client.py", "--host", HOST, "--port", free_port(), "--timeout-s", 0.2,
        "--bind-port-base", 20_400, *SHORT,
    )  # fmt: skip
    code, out, err = sending.wait()
    assert (code, out) == (1, "")
    assert err.count("\n") == 1 and "no answer from 127.0.0.1" in err
    assert sending.json["complete"] is False
    assert sending.json["trials"][0]["offered"] is None
    code, _, err = alone.wait()
    assert code == 1 and "no START came within 0.2 s" in err
    assert alone.json["trials"] == []


# --- signals and ports ----------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_server_keeps_what_it_has(
    start: Callable[..., Process], number: signal.Signals, code: int
) -> None:
    port = free_port()
    receiving = start("server.py", "--host", HOST, "--port", port, "--trials", 1)
    by_hand = HandMade(port)
    by_hand.begin()
    for sequence in range(4):
        by_hand.send(Kind.DATA, sequence)
    time.sleep(0.1)
    receiving.process.send_signal(number)
    got_code, _, err = receiving.wait()
    assert got_code == code
    assert err.count("\n") == 1 and "stopped by" in err
    assert receiving.json["complete"] is False
    assert receiving.json["trials"][0]["received"] == 4


def test_ctrl_c_stops_a_client_cleanly(start: Callable[..., Process]) -> None:
    port = free_port()
    receiving = start("server.py", "--host", HOST, "--port", port, "--trials", 1)
    sending = start(
        "client.py", "--host", HOST, "--port", port, "--rate", 100, "--duration", 20,
        "--bind-port-base", 20_500,
    )  # fmt: skip
    assert receiving.read_line().startswith("START")
    sending.process.send_signal(signal.SIGINT)
    code, _, err = sending.wait()
    assert code == 130 and err.count("\n") == 1 and "stopped by SIGINT in trial 1 of 5" in err
    assert sending.json["complete"] is False


def test_a_port_in_use_is_one_line(
    start: Callable[..., Process], capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", 0))
        port = taken.getsockname()[1]
        assert server.main(["--host", HOST, "--port", str(port)]) == 2
        line = capfd.readouterr().err
        assert line.count("\n") == 1 and f"{HOST}:{port}: another program has this port" in line
        code = start("client.py", "--host", HOST, "--bind-port-base", port, "--trials", 1).wait()
        assert code[0] == 2 and code[2].count("\n") == 1 and "another program" in code[2]
    assert server.main(["--host", "192.0.2.1", "--port", str(port)]) == 2
    assert "no interface here has this address" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("main", "arguments", "words"),
    [
        (client.main, ["--rate", "0"], "--rate"),
        (client.main, ["--rate", "-1"], "'-1' is not a number from 0.1"),
        (client.main, ["--rate", "fast"], "'fast' is not a number"),
        (client.main, ["--rate", "nan"], "--rate"),
        (client.main, ["--payload", "23"], "from 24 to 65507 bytes"),
        (client.main, ["--payload", "65508"], "from 24 to 65507 bytes"),
        (client.main, ["--payload", "1e3"], "a whole number"),
        (client.main, ["--jitter", "0.6"], "--jitter"),
        (client.main, ["--duration", "inf"], "--duration"),
        (client.main, ["--rate", "1", "--duration", "0.2"], "packets a trial"),
        (client.main, ["--rate", "1000000", "--duration", "3600"], "packets a trial"),
        (client.main, ["--bind-port-base", "65535"], "beyond port 65535"),
        (client.main, ["--json", "/no/such/folder/x.json"], "cannot write"),
        (client.main, ["--speed", "1"], "--speed"),
        (server.main, ["--port", "70000"], "--port"),
        (server.main, ["--trials", "0"], "--trials"),
        (server.main, ["--timeout-s", "0"], "--timeout-s"),
        (server.main, ["--rcvbuf", "much"], "--rcvbuf"),
        (server.main, ["--json", "/"], "cannot write"),
    ],
)
def test_bad_options_are_one_line(
    main: Callable[[list[str]], int],
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and words in err


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    path = f"\0testbed-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path.replace("\0", "@"))
        command.notify_ready()
        systemd.settimeout(1)
        assert systemd.recv(64) == b"READY=1"


# --- the receiving side, datagram by datagram -----------------------------------------------------


@pytest.fixture
def serving() -> Iterator[tuple[int, "queue.Queue[server.Server]"]]:
    """A server of one trial in a thread; the queue gives it when it has ended."""
    sock = udp_socket.open_socket(HOST, 0)
    ended: queue.Queue[server.Server] = queue.Queue()
    subject = server.Server(sock=sock, timeout_s=2.0)

    def run() -> None:
        server.serve(subject, 1, 0.2)
        ended.put(subject)

    threading.Thread(target=run, daemon=True).start()
    yield sock.getsockname()[1], ended
    sock.close()


def test_strangers_runts_and_strays_are_told_apart(
    serving: tuple[int, "queue.Queue[server.Server]"],
) -> None:
    port, ended = serving
    by_hand = HandMade(port, planned=10)
    by_hand.raw(b"hello")  # before START: nobody's
    by_hand.begin()
    for sequence in (0, 1, 2):
        by_hand.send(Kind.DATA, sequence, b"x" * 76)
    by_hand.raw(b"short")
    by_hand.raw(by_hand.message.pack()[: HEADER_BYTES - 1])  # a header less one byte
    HandMade(port, token=1).send(Kind.DATA, 3)
    by_hand.send(Kind.DATA, 10)  # more than was planned
    by_hand.send(Kind.START, 10)  # a late repeat
    by_hand.send(Kind.DATA, 5)
    by_hand.send(Kind.DATA, 4)  # overtaken
    by_hand.send(Kind.DATA, 5)  # doubled
    by_hand.send(Kind.END, 7)
    by_hand.send(Kind.DATA, 6)  # overtaken by END
    counts = unpack_counts(datagram := by_hand.receive(Kind.END_ACK), len(datagram))
    assert counts is not None
    assert (counts.received, counts.unique, counts.duplicates, counts.reordered) == (7, 6, 1, 1)
    by_hand.send(Kind.END, 7)
    assert by_hand.receive(Kind.END_ACK) == datagram
    by_hand.send(Kind.CLOSE)
    trial = ended.get(timeout=5).trials[0].record()
    assert (trial["foreign"], trial["lost"], trial["bytes"]) == (4, 1, 3 * 100 + 4 * 24)


def test_a_client_that_begins_again_gets_a_new_trial(
    serving: tuple[int, "queue.Queue[server.Server]"], capsys: pytest.CaptureFixture[str]
) -> None:
    port, ended = serving
    HandMade(port, token=1).begin()
    again = HandMade(port, token=2)
    again.send(Kind.START, 10)  # notices the change ...
    again.begin()  # ... and the repeat is answered
    again.send(Kind.END, 0)
    again.receive(Kind.END_ACK)
    subject = ended.get(timeout=5)
    assert [trial.offered for trial in subject.trials] == [None, 0]
    assert subject.ended == 1
    assert "began again" in capsys.readouterr().err


def test_arrival_times_cost_few_clock_readings() -> None:
    trial = reception.Trial(1, 1, 1000, (HOST, 1), {}, 0)
    stamped = []
    for sequence in range(1000):
        if sequence + 1 > trial.next_stamp:
            trial.stamp(sequence + 1)
            stamped.append(sequence)
    assert stamped[:3] == [0, 257, 514]
    assert stamped[-64:] == list(range(936, 1000))
    assert len(stamped) < 70


def test_dropped_datagrams_are_known() -> None:
    with udp_socket.open_socket(HOST, 0, 2048) as sock, HandMade(1).sock as sender:
        before = udp_socket.socket_drops(sock)
        for _ in range(50):
            sender.sendto(bytes(1000), sock.getsockname())
        after = udp_socket.socket_drops(sock)
        inode = os.fstat(sock.fileno()).st_ino
        table = Path("/proc/net/udp").read_text()
        assert before == 0 and after is not None and after > 0
        assert udp_socket.drops_in_table(table, inode) == after
    assert udp_socket.drops_in_table(table, -1) is None
    assert udp_socket.drops_in_table(None, inode) is None


# --- pacing ---------------------------------------------------------------------------------------


def test_a_schedule_is_jittered_repeatable_and_exact_in_the_mean() -> None:
    schedule = pacing.schedule_ns(14_000, 10_000, 0.1, seed=3)
    assert schedule == pacing.schedule_ns(14_000, 10_000, 0.1, seed=3)
    assert schedule != pacing.schedule_ns(14_000, 10_000, 0.1, seed=4)
    assert schedule[-1] == 1_400_000_000
    gaps = [after - before for before, after in pairwise(schedule)]
    assert 89_000 < min(gaps) < 91_000 and 109_000 < max(gaps) < 111_000
    even = pacing.schedule_ns(10, 1000, 0, seed=1)
    assert list(even) == [1_000_000 * step for step in range(1, 11)]


class FakeTime:
    """A clock that a send of 10 us and a sleep advance; one send takes long."""

    def __init__(self) -> None:
        self.now = 1_000
        self.sends: list[int] = []

    def monotonic_ns(self) -> int:
        self.now += 100
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += int(seconds * 1e9)

    def sendto(self, datagram: memoryview, address: tuple[str, int]) -> None:
        assert int.from_bytes(datagram[16:24], "big") == len(self.sends)
        self.sends.append(self.now)
        self.now += 10_000_000 if len(self.sends) == 50 else 10_000
        if len(self.sends) == 10:
            raise OSError(105, "No buffer space available")


def sent_on(fake: FakeTime, count: int, monkeypatch: pytest.MonkeyPatch) -> pacing.Sending:
    """Send datagrams at 10,000 a second by a pretended clock, into nothing."""
    clock = SimpleNamespace(monotonic_ns=fake.monotonic_ns, sleep=fake.sleep)
    monkeypatch.setattr(pacing, "time", clock)
    slots = pacing.datagrams(Message(Kind.DATA, 1, 1, 0), 100, seed=1)
    schedule = pacing.schedule_ns(count, 10_000, 0.1, seed=1)
    sink: Any = fake
    return pacing.send_paced(sink, (HOST, 1), slots, schedule, max_burst=16, spin_us=20)


def test_the_sender_catches_up_in_bounded_bursts(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTime()
    sending = sent_on(fake, 1000, monkeypatch)
    gaps = [after - before for before, after in pairwise(fake.sends)]
    run = longest = 0
    for gap in gaps:
        run = run + 1 if gap < 20_000 else 0
        longest = max(longest, run)
    assert longest == 15  # 16 datagrams back to back
    assert sending.errors == {"ENOBUFS": 1} and sending.offered == 999
    assert sending.ended_ns - sending.started_ns == pytest.approx(100e6, rel=0.01)
    assert 100 < pacing.late_sends(sending) < 160  # 10 ms behind, 100 of which get later


class SlowTime(FakeTime):
    """A computer on which each send takes a millisecond."""

    def sendto(self, datagram: memoryview, address: tuple[str, int]) -> None:
        self.sends.append(self.now)
        self.now += 1_000_000


def test_a_sender_that_is_too_slow_stops_and_tells_its_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So a warm-up learns what such a computer carries, in seconds and not in minutes."""
    fake = SlowTime()
    sending = sent_on(fake, 14_000, monkeypatch)
    assert sending.ended_ns - sending.started_ns == pytest.approx(2.8e9, rel=0.01)
    assert sending.offered == len(fake.sends) == len(sending.sent_ns)
    told = client.describe(sending, 0)
    assert told["achieved_pps"] == pytest.approx(994, rel=0.01)
    assert told["offered"] == pytest.approx(2780, rel=0.01)
    assert told["late_sends"] > 2700
    assert told["gap_us"]["mean"] == pytest.approx(1006, rel=0.01)


def test_gap_statistics() -> None:
    deadlines = array("q", [100_000, 200_000, 300_000, 400_000])
    sent = array("q", [1_000_000, 1_100_000, 0, 1_400_000])  # the third was not accepted
    sending = pacing.Sending(deadlines, sent, 900_000, 1_400_000, Counter(ENOBUFS=1))
    found = pacing.gap_statistics(sending)
    assert found is not None
    assert (found["mean"], found["sd"], found["p50"], found["max"]) == (200, 100, 100, 300)
    histogram = found["histogram"]
    assert len(histogram["edges_us"]) == len(histogram["counts"]) + 1
    counted = dict(zip(histogram["edges_us"], histogram["counts"], strict=False))
    assert {edge: count for edge, count in counted.items() if count} == {100: 1, 200: 1}
    sending.sent_ns = array("q", [0, 0, 0, 5])
    assert pacing.gap_statistics(sending) is None


def test_payloads_are_random_repeatable_and_carry_the_header() -> None:
    message = Message(Kind.START, 3, 0xFEED, 0)
    slots = pacing.datagrams(message, 1000, seed=2)
    assert len(slots) == 64 and {len(slot) for slot in slots} == {1000}
    assert len({bytes(slot[HEADER_BYTES:]) for slot in slots}) == 64
    assert unpack_message(bytes(slots[9]), 1000) == message._replace(kind=Kind.DATA)
    assert bytes(pacing.datagrams(message, 1000, seed=2)[5]) == bytes(slots[5])
    assert len(pacing.datagrams(message, 65_507, seed=2)) == 4
