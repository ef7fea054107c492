# SPDX-License-Identifier: Apache-2.0
"""What runs in the guests during a trial, each as a transient systemd unit.

A unit has a time limit that ends the remote process itself, a name by which any
later command finds and ends it, and says when it is ready; nothing is polled.
"""

from collections.abc import Sequence

from testbed.edge.guest import SOURCES, Guest
from testbed.model.config import Config
from testbed.model.errors import GuestError

SCRATCH = "/run/testbed/trial"
GO = f"{SCRATCH}/go"
MPSTAT_STARTED = f"{SCRATCH}/mpstat-started"
BETWEEN_S = 1.0  # pause between the trials of one session (profile original)
UNITS = ("testbed-client", "testbed-mpstat", "testbed-oracle", "testbed-server")


def start_unit(name: str, argv: Sequence[str], *options: str, limit_s: float) -> list[str]:
    """Return the command that starts `argv` as the unit `name`, its output in SCRATCH."""
    stem = name.removeprefix("testbed-")
    return [
        "systemd-run", "--quiet", "--collect", f"--unit={name}",
        "--property=RuntimeMaxSec=" + str(round(limit_s)), "--property=TimeoutStopSec=5",
        f"--property=StandardError=append:{SCRATCH}/{stem}.err", *options, *argv,
    ]  # fmt: skip


def clean_scratch() -> list[list[str]]:
    """Return the commands that make an empty SCRATCH with the named pipe GO in it."""
    return [["rm", "-rf", SCRATCH], ["mkdir", "-p", SCRATCH], ["mkfifo", GO]]


def go() -> list[str]:
    """Return the command that lets a prepared server or client begin; no reader, no wait."""
    return ["timeout", "10", "sh", "-c", f"echo go > {GO}"]


def mpstat() -> list[str]:
    """Return the command that starts mpstat; SIGINT alone makes it close its JSON.

    mpstat prints local time without date or zone, so the moment it starts is noted.
    """
    line = f"date +%s%N > {MPSTAT_STARTED}; exec mpstat -P ALL -o JSON 1"
    return start_unit(
        "testbed-mpstat", ["sh", "-c", line],
        f"--property=StandardOutput=truncate:{SCRATCH}/mpstat.json",
        "--property=KillSignal=SIGINT", "--setenv=LC_ALL=C", limit_s=900,
    )  # fmt: skip


def server(config: Config, trials: int = 1) -> list[str]:
    """Return the command that starts the server, for so many trials, in its namespace.

    It returns when the server is prepared; GO makes it measure the idle window, after
    which it answers.
    """
    network, bench = config.network, config.bench
    argv = [
        "ip", "netns", "exec", network.namespace,
        "python3", f"{SOURCES}/server.py", "--trials", str(trials),
        "--go", GO, "--host", network.target_address, "--port", str(network.target_port),
        "--rcvbuf", str(bench.receive_buffer_bytes),
        "--idle-s", str(bench.idle_s), "--timeout-s", str(bench.duration_s + 30),
        "--json", f"{SCRATCH}/server.json",
    ]  # fmt: skip
    return start_unit(
        "testbed-server", argv, "--service-type=notify", "--property=NotifyAccess=all",
        f"--property=StandardOutput=truncate:{SCRATCH}/server.txt",
        limit_s=longest_s(config, trials) + 10,
    )  # fmt: skip


def longest_s(config: Config, trials: int) -> float:
    """Return how long server and client may take, preparing included."""
    bench = config.bench
    return bench.settle_s + bench.idle_s + trials * (bench.duration_s + BETWEEN_S) + 80


def client(
    config: Config, destination: tuple[str, int], source_port: int, seed: int, trials: int = 1
) -> list[str]:
    """Return the command that prepares the trials, sends them after GO, and ends with them."""
    bench = config.bench
    argv = [
        "python3", f"{SOURCES}/client.py", "--go", GO, "--trials", str(trials),
        "--interval", str(BETWEEN_S), "--host", destination[0], "--port", str(destination[1]),
        "--bind-port-base", str(source_port), "--seed", str(seed),
        "--rate", str(bench.rate_pps), "--duration", str(bench.duration_s),
        "--payload", str(bench.payload_bytes), "--jitter", str(bench.jitter),
        "--json", f"{SCRATCH}/client.json",
    ]  # fmt: skip
    limit_s = longest_s(config, trials)
    # A oneshot unit is started when it has ended: systemd-run returns then, without D-Bus.
    return start_unit(
        "testbed-client", argv, "--service-type=oneshot",
        f"--property=TimeoutStartSec={limit_s:.0f}",
        f"--property=StandardOutput=truncate:{SCRATCH}/client.txt", limit_s=limit_s,
    )  # fmt: skip


def stop(guest: Guest, *units: str) -> None:
    """End units and wait until they have ended; units that do not run are no failure."""
    line = ["systemctl", "stop", *(f"{unit}.service" for unit in units)]
    guest.run(line, check=False, timeout_s=30)


def stop_all(guest: Guest) -> None:
    """End every unit of the testbed in this guest."""
    stop(guest, *UNITS)


def snapshot(namespace: str | None, *interfaces: str) -> list[str]:
    """Return the command that reads a guest's counters."""
    inside = ["--namespace", namespace] if namespace else []
    names = [word for name in interfaces for word in ("--interface", name)]
    return ["python3", f"{SOURCES}/snapshot.py", *inside, *names]


def facts() -> list[str]:
    """Return the command that tells what a guest is."""
    return ["python3", f"{SOURCES}/snapshot.py", "--facts"]


def kernel_log(after: int) -> list[str]:
    """Return the command that prints the kernel's log after a sequence number."""
    return ["python3", f"{SOURCES}/snapshot.py", "--kernel-log", "--after", str(after)]


def end_of(unit: str, guest: Guest) -> str:
    """Return the last words of a unit that failed, for an error message."""
    stem = unit.removeprefix("testbed-")
    try:
        return guest.run(["tail", "-n", "15", f"{SCRATCH}/{stem}.err"], check=False).stdout
    except GuestError:
        return ""
