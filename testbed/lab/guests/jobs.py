# SPDX-License-Identifier: Apache-2.0
"""The jobs that run in the guests during a trial, by the guest's agent.

A job has a time limit that ends the remote process itself, a name by which it is ended, and says
when it is ready; nothing is polled. With the agent's connection ends every job.
"""

from testbed.edge.guests.agent import Job
from testbed.edge.guests.guest import Guest
from testbed.model.config import BenchConfig, Config
from testbed.model.errors import GuestError
from testbed.model.plan import Condition, Trial

SCRATCH = "/run/testbed/trial"
GO = f"{SCRATCH}/go"
BETWEEN_S = 1.0  # pause between the trials of one session (profile original)
SAMPLE = "sample.pcap"
SAMPLED = 112  # of 14,000 packets one in 125; four spreads more than that are still below 160
CLIENT, SERVER, MPSTAT = "testbed-client", "testbed-server", "testbed-mpstat"
GATE = "testbed-gate"
JOBS = (CLIENT, GATE, MPSTAT, SERVER)


def mpstat() -> Job:
    """Return mpstat; SIGINT alone makes it close its JSON.

    It prints local time without date or zone, so the moment it starts is kept beside it.
    """
    argv = ("exec", "mpstat", "-P", "ALL", "-o", "JSON", "1")
    output = f"{SCRATCH}/mpstat.json"
    return Job(MPSTAT, "", argv, limit_s=900, until="start", output=output, stop_signal="INT")


def server(config: Config, condition: Condition, trials: int = 1) -> Job:
    """Return the server, for so many trials, in its namespace.

    It has begun when it is prepared; GO makes it measure the idle window, after which it answers.
    """
    network, bench = config.network, config.bench
    one_in = sampled_one_in(bench, condition)
    arguments = (
        "--trials", str(trials), "--go", GO,
        "--host", network.target_address, "--port", str(network.target_port),
        "--rcvbuf", str(bench.receive_buffer_bytes),
        "--idle-s", str(bench.idle_s), "--timeout-s", str(bench.duration_s + 30),
        "--json", f"{SCRATCH}/server.json",
        "--sample", f"{SCRATCH}/{SAMPLE}", "--sample-one-in", str(one_in),
    )  # fmt: skip
    return Job(
        SERVER, "server", arguments, limit_s=longest_s(config, trials) + 10, until="ready",
        output=f"{SCRATCH}/server.txt", namespace=network.namespace,
    )  # fmt: skip


def sampled_one_in(bench: BenchConfig, condition: Condition) -> int:
    """Return N of "one packet in N is sampled": some SAMPLED packets a trial, whatever its load."""
    return max(1, round(condition.rate * bench.duration_s / SAMPLED))


def longest_s(config: Config, trials: int) -> float:
    """Return how long server and client may take before they are taken for hung.

    Preparing the datagrams takes less than sending them, on emulated CPUs too.
    """
    bench = config.bench
    return bench.settle_s + bench.idle_s + trials * (2 * bench.duration_s + BETWEEN_S) + 30


def client(config: Config, trial: Trial, destination: tuple[str, int], trials: int = 1) -> Job:
    """Return the client, which prepares the trials and sends them after GO, until it has ended."""
    bench, condition = config.bench, trial.condition
    arguments = (
        "--go", GO, "--trials", str(trials),
        "--interval", str(BETWEEN_S), "--host", destination[0], "--port", str(destination[1]),
        "--bind-port-base", str(trial.source_port), "--seed", str(trial.seed),
        "--rate", str(condition.rate), "--duration", str(bench.duration_s),
        "--payload", str(condition.payload_bytes), "--jitter", str(bench.jitter),
        "--json", f"{SCRATCH}/client.json",
    )  # fmt: skip
    return Job(
        CLIENT, "client", arguments, limit_s=longest_s(config, trials), until="end",
        output=f"{SCRATCH}/client.txt",
    )  # fmt: skip


def stop_all(guest: Guest) -> None:
    """End every job of the testbed in this guest."""
    guest.stop(JOBS)


def snapshot(namespace: str, *interfaces: str) -> list[str]:
    """Return what the program `snapshot` is to read: a guest's counters."""
    return ["--namespace", namespace, *(w for name in interfaces for w in ("--interface", name))]


def kernel_log(after: int) -> list[str]:
    """Return what makes `snapshot` print the kernel's log after a sequence number."""
    return ["--kernel-log", "--after", str(after)]


def end_of(job: str, guest: Guest) -> str:
    """Return a failed job's last words, for an error message; and what left it none: memory, room.

    That is the kernel's line of the last minute about having killed it, and a full disk.
    """
    words = [f"{SCRATCH}/{job.removeprefix('testbed-')}.err", job, SCRATCH]
    try:
        return guest.run(["sh", "-c", _LAST_WORDS, "end-of", *words], check=False).stdout
    except GuestError:
        return ""


_LAST_WORDS = """\
tail -n 15 "$1"
read -r now rest < /proc/uptime
dmesg | grep -F "($2)" | awk -F '[][]' -v now="$now" '/Out of memory/ && $2 > now - 60' | tail -n 1
if [ "$(df --output=avail "$3" | tail -n 1)" -lt 8 ]; then echo "$3: No space left on device"; fi
"""
