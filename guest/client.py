#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Send trials of paced UDP datagrams, and learn from the server how many of them arrived.

By hand, five trials of 1.4 s at 10,000 packets a second:

    client.py --host 192.168.64.2 --port 8080

A trial is START (repeated until answered), the data, END with the number sent (repeated until
answered with the server's counts). "Succeed" is said only when at least 99 % of what was planned
arrived. Trial n is sent from port 9999 + n, as in the original: 10000, 10001, ...

Exit codes: 0 every trial succeeded; 1 one did not; 2 an option, address or port that cannot be
used; 130 and 143 stopped by Ctrl-C or SIGTERM. The JSON file is written in every case but 2, with
"complete": false when not all trials were sent and answered.
"""

import argparse
import os
import platform
import socket
import sys
import time
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
    number,
    record_path,
    say,
    stop_on_signals,
    wait_for_go,
    write_record,
)
from conversation import Conversation
from pacing import (
    MAX_BURST,
    SPIN_US,
    TICK_RATES_HZ,
    Sending,
    datagrams,
    gap_statistics,
    late_sends,
    schedule_ns,
    send_paced,
    tick_lock,
)
from procfs import stat_and
from protocol import HEADER_BYTES, MAX_PAYLOAD_BYTES, MAX_PLANNED, Kind, Message
from udp_socket import open_socket

#: Share of the planned datagrams that must arrive before a trial is called a success.
ENOUGH = 0.99


#: What `describe` finds out after the data was sent.
MEASURED = (
    "offered",
    "send_errors",
    "started_monotonic_ns",
    "ended_monotonic_ns",
    "started_utc_ns",
    "ended_utc_ns",
    "duration_ms",
    "achieved_pps",
    "gap_us",
    "late_sends",
    "tick_lock",
)
#: What this machine counts of its own, around a trial; the cost of a packet is the server's.
COUNTED = ("/proc/net/dev", "/proc/net/snmp")


def run_trial(options: argparse.Namespace, index: int, record: dict[str, Any]) -> bool:
    """Send one trial, tell of it, and fill in its `record`; False when START went unanswered."""
    trial, seed = options.first_trial + index, options.seed + index
    planned = round(options.rate * options.duration)
    message = Message(Kind.DATA, trial, int.from_bytes(os.urandom(8), "big"), 0)
    source_port = options.bind_port_base + trial - 1
    record |= {
        "trial": trial,
        "token": f"{message.token:016x}",
        "source_port": source_port,
        "seed": seed,
        "rate_pps": options.rate,
        "payload_bytes": options.payload,
        "jitter": options.jitter,
        "max_burst": options.max_burst,
        "spin_us": options.spin_us,
        "planned": planned,
        **dict.fromkeys(MEASURED),  # null until it is known
        "start_attempts": 0,
        "end_attempts": 0,
        "acknowledged": False,
        "server": None,
        "counters": None,
        "succeeded": False,
    }
    slots = datagrams(message, options.payload, seed)
    deadlines_ns = schedule_ns(planned, options.rate, options.jitter, seed)
    if index == 0:
        wait_for_go(options.go)
    with open_socket("", source_port) as sock:
        before = stat_and(*COUNTED)
        talk = Conversation(sock, options.address, message, options.timeout_s)
        started = talk.start(planned)
        record["start_attempts"] = talk.attempts[Kind.START]
        if not started:
            why = f" ({talk.trouble})" if talk.trouble else ""
            complain(
                f"trial {trial}: no answer from {options.host}:{options.port} in "
                f"{options.timeout_s:g} s{why}; is server.py running, the hook or route in place?"
            )
            return False
        sock.settimeout(None)
        utc_ns, monotonic_ns = time.time_ns(), time.monotonic_ns()
        sending = send_paced(
            sock,
            options.address,
            slots,
            deadlines_ns,
            max_burst=options.max_burst,
            spin_us=options.spin_us,
        )
        counts = talk.end(sending.offered)
        if counts is not None:
            talk.close()
    record["counters"] = {"before": before, "after": stat_and(*COUNTED)}
    record |= describe(sending, utc_ns - monotonic_ns)
    record["end_attempts"] = talk.attempts[Kind.END]
    record["control_sent"] = sum(talk.attempts.values()) + (counts is not None)
    if counts is not None:
        record["acknowledged"] = True
        record["server"] = counts._asdict() | {"duration_ms": counts.duration_ns / 1e6}
        del record["server"]["duration_ns"]
        record["succeeded"] = counts.unique >= ENOUGH * planned
    say(f"Trial {trial}: {verdict(record)}")
    return True


def describe(sending: Sending, utc_minus_monotonic_ns: int) -> dict[str, Any]:
    """The packets that were sent, and how evenly; worked out after the trial, not during it."""
    elapsed_ns = sending.ended_ns - sending.started_ns
    return {
        "offered": sending.offered,
        "send_errors": dict(sending.errors),
        "started_monotonic_ns": sending.started_ns,
        "ended_monotonic_ns": sending.ended_ns,
        "started_utc_ns": sending.started_ns + utc_minus_monotonic_ns,
        "ended_utc_ns": sending.ended_ns + utc_minus_monotonic_ns,
        "duration_ms": elapsed_ns / 1e6,
        "achieved_pps": sending.offered / elapsed_ns * 1e9,
        "gap_us": gap_statistics(sending),
        "late_sends": late_sends(sending),
        "tick_lock": {str(hz): tick_lock(sending, hz) for hz in TICK_RATES_HZ},
    }


def verdict(record: dict[str, Any]) -> str:
    """The line a reader gets for a trial."""
    if record["succeeded"]:
        return f"Succeed with {record['duration_ms']:.2f} ms"
    errors = "".join(f", {count} sends {name}" for name, count in record["send_errors"].items())
    if record["server"] is None:
        return f"Failed: no answer to END, so nobody knows what arrived{errors}"
    return f"Failed: {record['server']['unique']} of {record['planned']} packets arrived{errors}"


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    """The options; a wrong one ends the program with one line."""
    parser = OptionParser(
        description="Send trials of paced UDP packets to server.py.", allow_abbrev=False
    )
    option, a_port = parser.option, number(int, 1, 65535, "(a port)")
    option("--host", "192.168.64.2", str, "where to send")
    option("--port", 8080, a_port, "port to send to")
    option("--trials", 5, number(int, 1, 10_000, "trials"), "trials to send")
    option("--first-trial", 1, number(int, 1, 50_000, "(a trial)"), "number of the first trial")
    option("--rate", 10_000.0, number(float, 0.1, 1e7, "packets a second"), "packets a second")
    option("--duration", 1.4, number(float, 0.001, 86_400, "seconds"), "seconds a trial")
    payload = f"UDP payload in bytes, the header's {HEADER_BYTES} included"
    option("--payload", 1000, number(int, HEADER_BYTES, MAX_PAYLOAD_BYTES, "bytes"), payload)
    jitter = "gaps vary evenly by this share of their mean"
    option("--jitter", 0.1, number(float, 0, 0.5, "(share of the mean gap)"), jitter)
    burst = "most packets sent back to back when behind"
    option("--max-burst", MAX_BURST, number(int, 1, 100_000, "packets"), burst)
    spin = "microseconds before a deadline in which to spin, not sleep"
    option("--spin-us", SPIN_US, number(int, 0, 1_000_000, "microseconds"), spin)
    seed = "of the first trial's gaps and payload; one more for each further trial"
    option("--seed", 1, number(int, 0, 1 << 62, "(a seed)"), seed)
    option("--go", None, Path, "wait for a word in this named pipe before the first START")
    option("--json", None, record_path, "file for everything measured")
    option("--interval", 1.0, number(float, 0, 3600, "seconds"), "seconds between trials")
    option("--bind-port-base", 10_000, a_port, "source port of trial 1, one more for each further")
    option("--timeout-s", 5.0, number(float, 0.1, 3600, "seconds"), "longest wait for an answer")
    options = parser.parse_args(arguments)
    if not 1 <= round(options.rate * options.duration) <= MAX_PLANNED:
        parser.error(f"--rate times --duration must be from 1 to {MAX_PLANNED} packets a trial")
    if options.bind_port_base + options.first_trial + options.trials - 2 > 65535:
        parser.error("--bind-port-base plus the trials goes beyond port 65535")
    return options


def resolve(host: str, port: int) -> tuple[str, int]:
    """The IPv4 address of a host, looked up once."""
    try:
        return socket.gethostbyname(host), port
    except (OSError, UnicodeError) as error:
        raise Unusable(f"cannot find the host {host!r}") from error


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = parse_options(arguments)
    trials: list[dict[str, Any]] = []
    record: dict[str, Any] = {
        "schema": 1,
        "complete": False,
        "host": options.host,
        "port": options.port,
        "python": platform.python_version(),
        "trials": trials,
    }
    code = FAILED
    try:
        stop_on_signals()
        options.address = resolve(options.host, options.port)
        for index in range(options.trials):
            if index:
                time.sleep(options.interval)
            trials.append({})
            if not run_trial(options, index, trials[-1]):
                break
        record["complete"] = len(trials) == options.trials and all(
            trial["acknowledged"] for trial in trials
        )
        if record["complete"] and all(trial["succeeded"] for trial in trials):
            code = OK
    except Unusable as error:
        complain(str(error))
        return UNUSABLE
    except Stopped as stopped:
        complain(f"stopped by {stopped} in trial {len(trials)} of {options.trials}")
        code = stopped.exit_code
    ignore_signals()
    write_record(options.json, record)
    return code


if __name__ == "__main__":
    sys.exit(main())
