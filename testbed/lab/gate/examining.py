# SPDX-License-Identifier: Apache-2.0
"""The gate on the machines: crafted frames through every arm, captured where they end.

Nothing is judged here. The packets sent and those that came out go to gate/<arm>/ of the run
directory; `testbed.analysis.gate.files` says what it means.
"""

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from testbed.edge.files.store import RunDir
from testbed.edge.guests.agent import Job
from testbed.edge.guests.guest import Guest
from testbed.edge.output.terminal import Terminal
from testbed.edge.output.uninterrupted import uninterrupted
from testbed.lab.gate.frames import FrameSet, frame_set
from testbed.lab.gate.rounds import END_TIMES, RECEIVED, SENT, Came, Counters, Round, counters
from testbed.lab.guests import jobs
from testbed.lab.guests.blame import blamed
from testbed.lab.guests.cleanup import undoing
from testbed.lab.guests.hook import Hook
from testbed.lab.guests.jobs import GATE, SCRATCH
from testbed.model import run_files
from testbed.model.arm import Arm
from testbed.model.config import Config, NetworkConfig
from testbed.model.errors import ArmError, GuestError, Wrecked
from testbed.model.nic import INTERFACE
from testbed.model.plan import LOG_LINES_PER_TRIAL
from testbed.packets import capture
from testbed.packets.case import MUST_COME_OUT, Case
from testbed.packets.cases import CAPTURED
from testbed.packets.drawing import TrialSpace
from testbed.packets.schedule import Schedule

OUTPUT = f"{SCRATCH}/gate.txt"
ROUNDS = 4
"""So often a frame is sent at most."""
CAPTURE_LIMIT_S, SEND_LIMIT_S = 120, 60
NAMES = ("namespace.pcap", "root.pcap")


def run_gate(
    guests: Mapping[str, Guest], arms: Sequence[Arm], config: Config, run_dir: RunDir,
    terminal: Terminal, seed: int, failed: dict[str, ArmError] | None = None,
) -> None:  # fmt: skip
    """Put arms through the gate, one after the other, with the frames that `seed` draws.

    Raises ArmError or GuestError at the first step that fails; then, as after Ctrl-C, nothing
    runs in the guests and no hook is loaded. Where `failed` is given, an arm that fails comes into
    it by its name, and the next has its turn, unless the server was wrecked.
    """
    for arm in arms:
        hook = Hook(arm, guests["server"], config.network)
        try:
            with terminal.step(f"gate: {arm.name}", expect_s=6):
                examine(hook, guests, config, run_dir, seed, terminal)
        except ArmError as error:
            if failed is None:
                raise
            failed[arm.name] = error
            if isinstance(error, Wrecked):
                raise


def examine(
    hook: Hook, guests: Mapping[str, Guest], config: Config, run_dir: RunDir, seed: int,
    terminal: Terminal, label: Arm | None = None,
) -> None:  # fmt: skip
    """Send every frame through one arm until all were seen, and keep what came out.

    It is kept under the name of `label`, where that is given. The client's counter is read before
    and after the server's, so that nothing reaches the server uncounted.
    """
    name = (label or hook.arm).name
    server, client = guests["server"], guests["client"]
    network, started = config.network, time.monotonic()
    target = (network.target_address, network.target_port)
    direct = hook.arm.destination(hook.values) == target
    frames = frame_set(network, TrialSpace.of(config.bench), seed, direct)
    rounds: list[Round] = []

    with blamed(hook), ThreadPoolExecutor(2) as beside, ExitStack() as undo:
        begun: list[Future[Any]] = []
        undo.push(undoing(guests, hook, begun, terminal))
        with uninterrupted():  # none begins that the undoing does not know
            begun.append(capturing := beside.submit(_start_capture, server, network, frames))
            begun.append(giving := beside.submit(_give, client, frames))
        hook.load()
        verified = hook.verify()
        before = hook.hits()
        capturing.result()
        sent = giving.result()
        received = counters(server, "cat", *RECEIVED)
        missing = [case.number for case in frames.cases]
        while missing and len(rounds) < ROUNDS:
            if rounds:
                _start_capture(server, network, frames)
            wanted = _wanted(frames.cases, missing, everything=not rounds)
            _send(client, frames, wanted if rounds else [])
            came = _collect(server)
            sent_now = counters(client, "cat", *SENT)
            rounds.append(Round(wanted, frames, came, (sent, sent_now), (received, came.received)))
            sent, received = sent_now, came.received
            seen = {number for one in rounds for number in one.seen}
            missing = [
                c.number for c in frames.cases
                if c.fate in MUST_COME_OUT and c.number not in seen
            ]  # fmt: skip
        after = hook.hits()
        _tell_log(hook, time.monotonic() - started, terminal)
    with blamed(hook):
        hook.prove_gone()
        hook.prove_untouched()

    folder = f"{run_files.GATE}/{name}"
    run_dir.write(f"{folder}/sent.pcap.gz", frames.content)
    for place in ("namespace", "root"):
        packets = [packet for one in rounds for packet in getattr(one.came, place)]
        run_dir.write(f"{folder}/{place}.pcap.gz", capture.write(packets, capture.RAW_IP))
    record = {
        "schema": 2,
        "arm": name,
        "direct": direct,
        "seed": seed,
        "network": network.model_dump(mode="json"),
        "marker": frames.marker.hex(),
        "hits_before": before,
        "hits_after": after,
        "verify": verified,
        "rounds": [one.as_json() for one in rounds],
        "missing": missing,
        "took_s": round(time.monotonic() - started, 3),
        "cases": [_as_json(case, frames.sending) for case in frames.cases],
    }
    run_dir.write_json(f"{folder}/{run_files.GATE_RECORD}", record)  # last: what it names is there


def _tell_log(hook: Hook, took_s: float, terminal: Terminal) -> None:
    """Warn of an arm in which the kernel logged more than a trial may have (check `logging`)."""
    if hook.arm.commands.load and not hook.arm.expect.log_lines_per_packet:
        lines, worst = hook.logged(took_s)
        if lines > LOG_LINES_PER_TRIAL:
            terminal.warn(
                f"arm {hook.arm.name}: the kernel logged {lines:,} lines while it was loaded: "
                f"{worst.strip()}"
            )


def _wanted(cases: Sequence[Case], missing: Sequence[int], *, everything: bool) -> list[Case]:
    """Return what to send: what is missing, and what must not come out once more with it."""
    again = set(missing)
    return [c for c in cases if everything or c.number in again or c.fate == "nowhere"]


def _as_json(case: Case, sending: Schedule) -> dict[str, Any]:
    names = ("number", "group", "title", "fate", "payload_bytes", "countable")
    places = {"frames": list(sending.places[case.number])}
    return {name: getattr(case, name) for name in names} | places


def _give(client: Guest, frames: FrameSet) -> Counters:
    """Let the client have the file of frames, unless it has it; return what it sent until now."""
    client.scratch(SCRATCH)
    if client.run(["test", "-f", frames.path], check=False).status != 0:
        client.put(frames.path, frames.content)
    return counters(client, "cat", *SENT)


def _start_capture(server: Guest, network: NetworkConfig, frames: FrameSet) -> None:
    """Start capturing; returns when every socket is open."""
    arguments = (
        "capture",
        "--namespace", network.namespace, "--inner-interface", "sslab-app",
        "--source", network.client_address,
        "--bind", f"{network.target_address}:{network.target_port}",
        "--protocols", ",".join(map(str, CAPTURED)), "--marker", frames.marker.hex(),
        "--directory", SCRATCH, "--timeout-s", str(CAPTURE_LIMIT_S),
    )  # fmt: skip
    server.scratch(SCRATCH)
    job = Job(GATE, "gate", arguments, limit_s=CAPTURE_LIMIT_S + 20, until="ready", output=OUTPUT)
    begun = server.begin(job)
    if begun["status"] != 0:
        raise GuestError(
            "the capture of the crafted frames did not start",
            hint="its last words are above; `testbed ssh server` lets you look",
            detail=begun["stderr"] or begun["stdout"],
        )


def _send(client: Guest, frames: FrameSet, cases: Sequence[Case]) -> None:
    """Send the frames of these cases, all where there are none; returns when they are sent."""
    places = sorted(place for case in cases for place in frames.sending.places[case.number])
    arguments = ["send", "--interface", INTERFACE, "--frames", frames.path]
    arguments += ["--end-times", str(END_TIMES)]
    if places:
        arguments += ["--only", ",".join(map(str, places))]
    job = Job(GATE, "gate", arguments, limit_s=SEND_LIMIT_S, until="end", output=OUTPUT)
    sent = client.begin(job)
    if sent["status"] != 0:
        raise GuestError(
            "the client could not send the crafted frames",
            hint="its last words are above; `testbed ssh client` lets you look",
            detail=sent["stderr"] or sent["stdout"],
        )


def _collect(server: Guest) -> Came:
    """Return what came out in the namespace and outside of it, once the capture has ended.

    It ends by itself when the end markers came; it holds a lock until then. Else it is ended, and
    no counter is read: nobody knows what is still on its way.
    """
    received = counters(server, "flock", "--timeout", "5", f"{SCRATCH}/running", "cat", *RECEIVED)
    server.stop([GATE])
    files = server.fetch(SCRATCH)
    try:
        inside, outside = (capture.read(files[name], capture.RAW_IP) for name in NAMES)
        drops = json.loads(files["capture.json"])["drops"]
    except (KeyError, TypeError, ValueError) as error:
        raise GuestError(
            f"the capture of the crafted frames is missing or damaged ({error})",
            hint="`testbed check` again; if it repeats, its last words are above",
            detail=jobs.end_of(GATE, server),
        ) from error
    return Came(inside, outside, drops if isinstance(drops, int) else None, received)
