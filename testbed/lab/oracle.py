# SPDX-License-Identifier: Apache-2.0
"""The same-work gate on the machines: crafted frames through every arm, captured where they end.

Nothing is judged here. What was sent and what came out goes to oracle/<arm>/ of the run directory;
`testbed.analysis.oracle` says what it means.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any

from testbed.edge.agent import Job
from testbed.edge.guest import Guest
from testbed.edge.store import RunDir
from testbed.edge.terminal import Terminal
from testbed.lab import instruments
from testbed.lab.arms import Hook
from testbed.lab.cleanup import clean, uninterrupted
from testbed.lab.instruments import ORACLE, SCRATCH
from testbed.lab.settings import LAB_MACS
from testbed.model.arm import Arm
from testbed.model.config import Config, NetworkConfig
from testbed.model.errors import GuestError
from testbed.packets import capture
from testbed.packets.case import END_ID, Case
from testbed.packets.cases import cases_for, end_markers
from testbed.packets.reference import identification

OUTPUT = f"{SCRATCH}/oracle.txt"
ROUNDS = 4
"""So often a frame is sent at most; what then is still missing was not lost by chance."""
RATE_PPS = 3500
"""Two emulated cores carry 10,000 a second; the receiver holds some 90 frames."""
CAPTURE_LIMIT_S, SEND_LIMIT_S = 120, 60
NAMES = ("namespace.pcap", "root.pcap")


@dataclass(frozen=True)
class FrameSet:
    """All frames of one variant, as a file that each session's client gets once."""

    cases: tuple[Case, ...]
    content: bytes

    @property
    def path(self) -> str:
        """Where the file is in the client; another content has another name."""
        return f"/run/testbed/oracle-{hashlib.sha256(self.content).hexdigest()[:16]}.pcap.gz"


@cache
def frame_set(network: NetworkConfig, direct: bool) -> FrameSet:
    """Craft the frames for an arm that rewrites, or that gets what is addressed to the target."""
    macs = LAB_MACS["client"], LAB_MACS["server"]
    cases = cases_for(network, *macs, direct=direct)
    frames = [frame for case in cases for frame in case.frames]
    return FrameSet(cases, capture.write([*frames, *end_markers(network, *macs)], capture.ETHERNET))


def run_gate(
    guests: Mapping[str, Guest], arms: Sequence[Arm], config: Config, run_dir: RunDir,
    terminal: Terminal,
) -> None:  # fmt: skip
    """Put arms through the gate, one after the other.

    Raises ArmError or GuestError at the first step that fails; then, as after Ctrl-C, nothing
    runs in the guests and no hook is loaded.
    """
    for arm in arms:
        hook = Hook(arm, guests["server"], config.network)
        with terminal.step(f"same work as the reference? {arm.name}", expect_s=6):
            examine(hook, guests, config, run_dir)


def examine(
    hook: Hook, guests: Mapping[str, Guest], config: Config, run_dir: RunDir,
    label: Arm | None = None,
) -> None:  # fmt: skip
    """Send every frame through one arm until all were seen, and keep what came out.

    It is kept under the name of `label`, where that is given.
    """
    name = (label or hook.arm).name
    server, client = guests["server"], guests["client"]
    network, started = config.network, time.monotonic()
    target = (network.target_address, network.target_port)
    direct = hook.arm.destination(hook.values) == target
    frames = frame_set(network, direct)
    rounds: list[Round] = []

    with ThreadPoolExecutor(2) as beside, ExitStack() as undo:
        begun: list[Future[Any]] = []
        undo.callback(clean, server, client, hook, begun)
        with uninterrupted():  # none begins that the undoing does not know
            begun.append(capturing := beside.submit(_start_capture, server, network))
            begun.append(giving := beside.submit(_give, client, frames))
        hook.load()
        verified = hook.verify()
        before = hook.hits()
        for step in (capturing, giving):
            step.result()
        missing = [case.id for case in frames.cases]
        while missing and len(rounds) < ROUNDS:
            if rounds:
                _start_capture(server, network)
            wanted = _wanted(frames.cases, missing, everything=not rounds)
            _send(client, frames, [case.id for case in wanted] if rounds else [])
            rounds.append(Round(wanted, *_collect(server)))
            seen = {number for one in rounds for number in one.seen}
            missing = [c.id for c in frames.cases if c.fate != "nowhere" and c.id not in seen]
        after = hook.hits()
    hook.prove_gone()
    hook.prove_untouched()

    folder = f"oracle/{name}"
    run_dir.write(f"{folder}/sent.pcap.gz", frames.content)
    for place in ("namespace", "root"):
        packets = [packet for one in rounds for packet in getattr(one, place)]
        run_dir.write(f"{folder}/{place}.pcap.gz", capture.write(packets, capture.RAW_IP))
    record = {
        "schema": 1,
        "arm": name,
        "direct": direct,
        "network": network.model_dump(mode="json"),
        "hits_before": before,
        "hits_after": after,
        "verify": verified,
        "rounds": [one.as_json() for one in rounds],
        "missing": missing,
        "took_s": round(time.monotonic() - started, 3),
        "cases": [_as_json(case) for case in frames.cases],
    }
    run_dir.write_json(f"{folder}/oracle.json", record)  # last: what it names is there


@dataclass(frozen=True)
class Round:
    """One time of sending: what was sent, and what came out where."""

    cases: Sequence[Case]
    namespace: tuple[bytes, ...]
    root: tuple[bytes, ...]

    @property
    def seen(self) -> set[int]:
        """The identifications of what came out."""
        return {identification(packet) for packet in (*self.namespace, *self.root)}

    def as_json(self) -> dict[str, Any]:
        """Return what oracle.json tells of it."""
        inside = {identification(packet) for packet in self.namespace}
        outside = {identification(packet) for packet in self.root}
        return {
            "cases": len(self.cases),
            "rewritten": sum(len(c.frames) for c in self.cases if c.fate == "rewritten"),
            "nowhere": sum(len(c.frames) for c in self.cases if c.fate == "nowhere"),
            "ended": END_ID in inside and END_ID in outside,
        }


def _wanted(cases: Sequence[Case], missing: Sequence[int], *, everything: bool) -> list[Case]:
    """Return what to send: what is missing, and what must not come out once more with it."""
    again = set(missing)
    return [c for c in cases if everything or c.id in again or c.fate == "nowhere"]


def _as_json(case: Case) -> dict[str, Any]:
    names = ("id", "group", "title", "fate", "payload_bytes")
    return {name: getattr(case, name) for name in names}


def _give(client: Guest, frames: FrameSet) -> None:
    """Let the client have the file of frames, unless it has it from an earlier arm."""
    client.scratch(SCRATCH)
    if client.run(["test", "-f", frames.path], check=False).status != 0:
        client.put(frames.path, frames.content)


def _start_capture(server: Guest, network: NetworkConfig) -> None:
    """Start capturing; returns when every socket is open."""
    arguments = (
        "capture",
        "--namespace", network.namespace, "--inner-interface", "sslab-app",
        "--source", network.client_address,
        "--bind", f"{network.target_address}:{network.target_port}",
        "--directory", SCRATCH, "--timeout-s", str(CAPTURE_LIMIT_S),
    )  # fmt: skip
    server.scratch(SCRATCH)
    job = Job(
        ORACLE, "oracle", arguments, limit_s=CAPTURE_LIMIT_S + 20, until="ready", output=OUTPUT
    )
    begun = server.begin(job)
    if begun["status"] != 0:
        raise GuestError(
            "the capture of the crafted frames did not start",
            hint="its last words are above; `testbed ssh server` lets you look",
            detail=begun["stderr"] or begun["stdout"],
        )


def _send(client: Guest, frames: FrameSet, ids: Sequence[int]) -> None:
    """Send the frames with these identifications, all where there are none; returns when sent."""
    arguments = ["send", "--interface", "lab0", "--frames", frames.path, "--rate", str(RATE_PPS)]
    if ids:
        arguments += ["--ids", ",".join(map(str, ids))]
    job = Job(ORACLE, "oracle", arguments, limit_s=SEND_LIMIT_S, until="end", output=OUTPUT)
    sent = client.begin(job)
    if sent["status"] != 0:
        raise GuestError(
            "the client could not send the crafted frames",
            hint="its last words are above; `testbed ssh client` lets you look",
            detail=sent["stderr"] or sent["stdout"],
        )


def _collect(server: Guest) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Return what came out in the namespace and outside of it, once the capture has ended.

    It ends by itself when the end markers came; it holds a lock until then. Else it is ended.
    """
    server.run(["flock", "--timeout", "5", f"{SCRATCH}/running", "true"], check=False)
    server.stop([ORACLE])
    files = server.fetch(SCRATCH)
    try:
        inside, outside = (capture.read(files[name], capture.RAW_IP) for name in NAMES)
    except (KeyError, ValueError) as error:
        raise GuestError(
            f"the capture of the crafted frames is missing or damaged ({error})",
            hint="`testbed check` again; if it repeats, its last words are above",
            detail=instruments.end_of(ORACLE, server),
        ) from error
    return inside, outside
