#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Receive the trials of `client.py`, count their datagrams, and read the counters at the edges.

By hand, in the namespace, five trials:  server.py --host 10.0.1.2 --port 8083
By the testbed, one process a trial:     server.py ... --trials 1 --idle-s 1 --json FILE

At START the CPU counters are read and only then START is acknowledged: the client sends nothing
before that. At END they are read at once. So the window between the two holds the traffic, whole,
and next to nothing else.

Exit codes: 0 every trial had its START and END; 1 one had not; 2 an option, address or port that
cannot be used; 130 and 143 stopped by Ctrl-C or SIGTERM. The JSON file is written in every case
but 2, with "complete": false where a trial is missing or has no END.
"""

import argparse
import platform
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from command import (
    FAILED,
    OK,
    UNUSABLE,
    OptionParser,
    Stopped,
    Unusable,
    complain,
    ignore_signals,
    notify_ready,
    number,
    record_path,
    say,
    stop_on_signals,
    wait_for_go,
    write_record,
)
from procfs import cpu_counters, stack_counters
from protocol import MAX_PLANNED, Kind, Message, unpack_message
from reception import Event, Trial, receive
from sampling import Sampler
from udp_socket import answer, open_socket, set_receive_timeout, socket_drops

#: The receive time-out, after which the loops look at the clock (and Python at its signals).
TICK_S = 0.25
#: After an END with datagrams missing: silence that proves that none is under way any more.
STRAGGLER_S = 0.05
#: A trial without any datagram for this long is given up, unless --timeout-s says otherwise.
SILENCE_S = 10.0


@dataclass(slots=True)
class Server:
    """The socket, and what came over it so far."""

    sock: socket.socket
    timeout_s: float | None
    buffer: bytearray = field(default_factory=lambda: bytearray(1 << 16))
    trials: list[Trial] = field(default_factory=list)
    acknowledgements: dict[int, bytes] = field(default_factory=dict)  # of ended trials, by token

    @property
    def ended(self) -> int:
        """Trials that had their END."""
        return len(self.acknowledgements)

    def wait_for_start(self, deadline: float | None) -> Trial | None:
        """The next trial, its counters read and its START acknowledged; None at the deadline."""
        while (got := self._next_control(deadline)) is not None:
            message, peer = got
            if message.kind is Kind.START and message.token not in self.acknowledgements:
                return self._begin(message, peer)
        return None

    def linger(self, seconds: float) -> None:
        """Answer a repeated END of the last trial, until its client says CLOSE."""
        token, deadline = self.trials[-1].token, time.monotonic() + seconds
        while (got := self._next_control(deadline)) is not None:
            if got[0].kind is Kind.CLOSE and got[0].token == token:
                return

    def run_trial(self, trial: Trial) -> Event:
        """Receive to the END; IDLE when it never came, NEW_START when the client began again."""
        limit_s = SILENCE_S if self.timeout_s is None else self.timeout_s
        bytes_before, quiet_since = 0, time.monotonic()
        event = Event.IDLE
        while event is Event.IDLE:
            event = receive(self.sock, self.buffer, trial, self.acknowledgements)
            now = time.monotonic()
            if trial.payload_bytes != bytes_before:
                bytes_before, quiet_since = trial.payload_bytes, now
            elif now - quiet_since >= limit_s:
                break
        if event is Event.END:
            self._end(trial)
        return event

    def _next_control(self, deadline: float | None) -> tuple[Message, tuple[str, int]] | None:
        """The next usable control message and its sender; None at the deadline.

        An END of a trial that has ended is answered here: its first answer got lost.
        """
        while True:
            left_s = TICK_S if deadline is None else deadline - time.monotonic()
            if left_s <= 0:
                return None
            set_receive_timeout(self.sock, min(left_s, TICK_S))
            try:
                size, peer = self.sock.recvfrom_into(self.buffer)
            except BlockingIOError:
                continue
            message = unpack_message(self.buffer, size)
            if message is None:
                continue
            if message.kind is Kind.END and message.token in self.acknowledgements:
                answer(self.sock, self.acknowledgements[message.token], peer)
            elif message.kind is not Kind.START or 0 < message.sequence <= MAX_PLANNED:
                return message, peer

    def _begin(self, message: Message, peer: tuple[str, int]) -> Trial:
        network = stack_counters()
        trial = Trial(
            number=message.trial,
            token=message.token,
            planned=message.sequence,
            peer=peer,
            before=cpu_counters(),
            drops_before=socket_drops(self.sock),
            network={"before": network},
            answers=1,
        )
        set_receive_timeout(self.sock, TICK_S)
        self.trials.append(trial)
        trial.cpu_ns.append(time.process_time_ns())
        trial.started_ns = time.monotonic_ns()
        answer(self.sock, trial.message(Kind.START_ACK).pack(), peer)
        return trial

    def _end(self, trial: Trial) -> None:
        trial.ended_ns = time.monotonic_ns()
        trial.after = cpu_counters()
        trial.cpu_ns.append(time.process_time_ns())
        if trial.unique != trial.offered:  # some may have been overtaken by END
            set_receive_timeout(self.sock, STRAGGLER_S)
            while receive(self.sock, self.buffer, trial, ()) is not Event.IDLE:
                pass
        trial.drops_after = socket_drops(self.sock)
        trial.network["after"] = stack_counters()
        self.acknowledgements[trial.token] = trial.end_acknowledgement()
        answer(self.sock, self.acknowledgements[trial.token], trial.peer)


def serve(server: Server, wanted: int, linger_s: float) -> None:
    """Run the trials and tell of each. One whose client began again is not among the `wanted`."""
    given_up = 0
    while server.ended + given_up < wanted:
        limit_s = server.timeout_s
        trial = server.wait_for_start(None if limit_s is None else time.monotonic() + limit_s)
        if trial is None:
            complain(f"no START came within {limit_s:g} s; {server.ended} of {wanted} trials ended")
            return
        peer = "{}:{}".format(*trial.peer)
        say(f"START trial {trial.number} from {peer}")
        event = server.run_trial(trial)
        if event is Event.END:
            say(f"END   trial {trial.number} from {peer}: {outcome(trial)}")
        elif event is Event.NEW_START:
            complain(f"trial {trial.number}: its client began again before the END; not counted")
        else:
            given_up += 1
            received = trial.unique + trial.duplicates
            complain(
                f"trial {trial.number}: no END came; given up after silence, with {received} of "
                f"{trial.planned} packets received (is the client still running, the hook loaded?)"
            )
    if server.ended:
        server.linger(linger_s)


def outcome(trial: Trial) -> str:
    """Packets and duration of an ended trial, and what was not as it should be."""
    unique, offered = trial.unique, trial.offered or 0
    odd = {
        "lost": offered - unique,
        "duplicates": trial.duplicates,
        "reordered": trial.reordered,
        "foreign": trial.foreign,
    }
    remarks = "".join(f", {count} {name}" for name, count in odd.items() if count)
    duration_ms = (trial.duration_ns or 0) / 1e6
    return f"{unique + trial.duplicates} packets in {duration_ms:.2f} ms{remarks}"


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    """The options; a wrong one ends the program with one line."""
    parser = OptionParser(
        description="Receive trials of client.py over UDP and count their packets.",
        allow_abbrev=False,
    )
    option = parser.option
    option("--host", "10.0.1.2", str, "address to listen on")
    option("--port", 8083, number(int, 1, 65535, "(a port)"), "port to listen on")
    option("--trials", 5, number(int, 1, 10_000, "trials"), "trials to receive before ending")
    option("--json", None, record_path, "file for everything measured")
    option("--idle-s", 0.0, number(float, 0, 3600, "seconds"), "idle window to measure first")
    option("--go", None, Path, "wait for a word in this named pipe before the idle window")
    option("--rcvbuf", 4 << 20, number(int, 2048, 1 << 30, "bytes"), "receive buffer, bytes")
    limit = f"longest wait for a START and longest silence in a trial (for ever, {SILENCE_S:g} s)"
    option("--timeout-s", None, number(float, 0.1, 86_400, "seconds"), limit)
    option("--sample", None, record_path, "file for a random sample of the packets (needs root)")
    option("--sample-interface", "sslab-app", str, "interface on which they are sampled")
    option("--sample-one-in", 128, number(int, 1, 1 << 24, "packets"), "keep one packet in so many")
    linger = "keep answering so long after the last END"
    option("--linger-s", 0.5, number(float, 0, 60, "seconds"), linger)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = parse_options(arguments)
    try:
        sock = open_socket(options.host, options.port, options.rcvbuf)
        sampler = None
        if options.sample:
            sampler = Sampler(options.sample_interface, options.sample_one_in)
    except (Unusable, OSError) as error:
        complain(str(error))
        return UNUSABLE
    record: dict[str, Any] = {
        "schema": 1,
        "complete": False,
        "host": options.host,
        "port": options.port,
        "python": platform.python_version(),
        "idle_window": None,
        "rcvbuf_bytes": sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
    }
    server = Server(sock=sock, timeout_s=options.timeout_s)
    stopped: Stopped | None = None
    try:
        stop_on_signals()
        if options.go:
            notify_ready()
            wait_for_go(options.go)
        if options.idle_s:
            before = cpu_counters()
            time.sleep(options.idle_s)
            record["idle_window"] = {"before": before, "after": cpu_counters()}
        say(f"Listening on {options.host}:{options.port} for {options.trials} trials")
        if not options.go:
            notify_ready()
        serve(server, options.trials, options.linger_s)
    except Stopped as caught:
        stopped = caught
    ignore_signals()
    sock.close()
    record["sample"] = sampler.finish(options.sample) if sampler else None
    record["complete"] = server.ended >= options.trials
    record["trials"] = [trial.record() for trial in server.trials]
    write_record(options.json, record)
    if record["complete"]:
        return OK
    if stopped is None:
        return FAILED
    complain(f"stopped by {stopped}; {server.ended} of {options.trials} trials ended")
    return stopped.exit_code


if __name__ == "__main__":
    sys.exit(main())
