#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure what the project promises about its own speed and size; see README.md beside this.

The machines are taken down and brought up again; run it when nothing else does.
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from testbed.edge.computer import host
from testbed.edge.output.terminal import Terminal
from testbed.verbs import Lab

RUNS = 5
LISTED = 1_000
LAB = Lab.here(Terminal(-1))
SAMPLE = LAB.results / "sample"


def seconds(argv: Sequence[str], runs: int = RUNS, *, cwd: Path | None = None) -> float:
    """Return the median wall time of a command, after one run that is not counted."""
    times = []
    for _ in range(runs + 1):  # with runs = 0 that one alone counts
        start = time.perf_counter()
        subprocess.run(argv, check=False, capture_output=True, cwd=cwd or LAB.checkout)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:] or times)


def testbed(*words: str) -> list[str]:
    """Return the command line of testbed."""
    return [str(Path(sys.executable).with_name("testbed")), *words]


def tell(name: str, measured: str, reference: str, ratio: float, promise: str) -> None:
    """Print one line of the table."""
    print(f"{name:<8} {measured:<28} {reference:<40} ratio {ratio:6.2f}   {promise}", flush=True)


def help_() -> None:
    ours, theirs = seconds(testbed("--help")), seconds([sys.executable, "-c", "pass"])
    tell("help", f"{ours:.3f} s", f"python -c pass {theirs:.3f} s", ours / theirs, "<= 0.2 s")


def report() -> None:
    ours = seconds(testbed("-q", "report", str(SAMPLE)))
    theirs = seconds([sys.executable, "-c", "import pandas, matplotlib.figure"])
    reference = f"import pandas, matplotlib {theirs:.2f} s"
    tell("report", f"{ours:.2f} s", reference, ours / theirs, "<= 3 s")


def runs() -> None:
    """List copies of one run, in a checkout that has nothing else of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("Vagrantfile", "guest", "templates"):
            (Path(scratch) / name).symlink_to(LAB.checkout / name)
        for number in range(LISTED):
            copy = Path(scratch) / f"results/20260101T{number:06d}Z-000000"
            (copy / "derived").mkdir(parents=True)
            for name in ("plan.json", "manifest.json", "derived/findings.json"):
                shutil.copy(SAMPLE / name, copy / name)
            (copy / "report.html").touch()
        ours = seconds(testbed("-q", "runs"), cwd=Path(scratch))
    theirs = seconds(testbed("--help"))
    tell("runs", f"{LISTED:,} in {ours:.2f} s", f"--help {theirs:.2f} s", ours / theirs, "<= 2 s")


def size() -> None:
    box = LAB.machines.boxes.find()
    if box is None:
        sys.exit("no box yet: run `testbed box build`")
    machines = LAB.config.machines
    tell("size", f"box {box.size_bytes / 1e6:.0f} MB", "500 MB", box.size_bytes / 5e8, "<= 1")
    for role, machine in (("client", machines.client), ("server", machines.server)):
        text = f"{role} {machine.memory_mb} MB"
        tell("size", text, "1024 MB", machine.memory_mb / 1024, "<= 1")


def boot() -> None:
    """Boot ours, then two plain QEMU processes with the same image, CPUs and memory."""
    subprocess.run(testbed("down", "--destroy"), check=True)
    subprocess.run(testbed("-q", "up"), check=True)
    machines = LAB.machines
    answered = json.loads((machines.project.path / "boots.json").read_text())["answered"]
    started = [_started(f"guest={machines.domains.prefix}{role}") for role in answered]
    ours = max(answered.values()) - min(started)
    subprocess.run(testbed("down", "--destroy"), check=True)
    theirs = _plain_pair()
    tell("boot", f"{ours:.1f} s", f"two plain QEMU {theirs:.1f} s", ours / theirs, "<= 1.3")
    subprocess.run(testbed("-q", "up"), check=True)


def _started(pattern: str) -> float:
    """Return when the process whose command line holds `pattern` started, seconds since 1970."""
    found = subprocess.run(["pgrep", "-f", pattern], check=True, capture_output=True, text=True)
    fields = Path(f"/proc/{found.stdout.split()[0]}/stat").read_text().rpartition(")")[2].split()
    booted = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - booted + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _plain_pair() -> float:
    """Return the seconds from starting two plain QEMU processes until both answer SSH."""
    box = LAB.machines.boxes.find()
    if box is None:
        sys.exit("no box yet: run `testbed box build`")
    kvm = LAB.machines.accelerator().name == "kvm"
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(box.box) as tar:
            tar.extract("box.img", scratch)
        processes, ports = [], []
        start = time.perf_counter()
        for machine in (LAB.config.machines.client, LAB.config.machines.server):
            ports.append(host.free_port())
            argv = [
                "qemu-system-x86_64", "-machine", "pc", "-accel", "kvm" if kvm else "tcg",
                "-cpu", "host" if kvm else "max", "-smp", str(machine.cpus),
                "-m", str(machine.memory_mb), "-display", "none", "-nodefaults", "-snapshot",
                "-drive", f"file={scratch}/box.img,if=virtio,cache=unsafe",
                "-netdev", f"user,id=m,restrict=on,hostfwd=tcp:127.0.0.1:{ports[-1]}-:22",
                "-device", "virtio-net-pci,netdev=m,mac=52:54:00:7b:ed:01,romfile=",
                "-netdev", "user,id=l,restrict=on", "-device", "e1000,netdev=l",
            ]  # fmt: skip
            processes.append(subprocess.Popen(argv))
        try:
            for port in ports:
                _wait_for_ssh(port)
            return time.perf_counter() - start
        finally:
            for process in processes:
                process.kill()
                process.wait()


def _wait_for_ssh(port: int) -> None:
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as link:
                if link.recv(4) == b"SSH-":
                    return
        except OSError:
            pass
        time.sleep(0.1)


def bench() -> None:
    start = time.perf_counter()
    subprocess.run(testbed("-q", "bench", "--both", "--no-count"), check=False)
    ours = time.perf_counter() - start
    run = (LAB.results / "latest").resolve()
    duration_s = json.loads((run / "plan.json").read_text())["config"]["bench"]["duration_s"]
    declared = sum(
        sum(trial["windows_s"].values()) + duration_s
        for trial in (json.loads(p.read_text()) for p in run.glob("raw/*/trial.json"))
    )
    tell("bench", f"{ours:.1f} s", f"declared windows {declared:.1f} s", ours / declared, "<= 1.25")


def lifecycle() -> None:
    """Warm up and down, up on running machines, status; then Vagrant's own on the same machines."""
    subprocess.run(testbed("-q", "up", "--provider", "vagrant"), check=True)
    ours = {"up on a running pair": seconds(testbed("-q", "up")),
            "status": seconds(testbed("status"))}  # fmt: skip
    cycles: dict[str, list[float]] = {"down": [], "warm up": []}
    for _ in range(RUNS):
        cycles["down"].append(seconds(testbed("-q", "down"), 0))
        cycles["warm up"].append(seconds(testbed("-q", "up"), 0))
    ours |= {name: statistics.median(times) for name, times in cycles.items()}
    theirs = {"status": seconds(testbed("vagrant", "status")),
              "up on a running pair": seconds(testbed("vagrant", "up"), 1),
              "down": seconds(testbed("vagrant", "halt"), 0),
              "warm up": seconds(testbed("vagrant", "up"), 0)}  # fmt: skip
    subprocess.run(testbed("-q", "up"), check=True)  # set up again
    promises = {"warm up": "<= 5 s, 0.1", "up on a running pair": "<= 1 s", "status": "<= 0.5 s"}
    words = {"warm up": "up", "up on a running pair": "up", "down": "halt"}
    for name, mine in ours.items():
        reference = f"vagrant {words.get(name, name)} {theirs[name]:.2f} s"
        tell(name, f"{mine:.2f} s", reference, mine / theirs[name], promises.get(name, ""))


def providers() -> None:
    """First, cold and warm `up` of both providers, stage by stage; the last one's pair stays."""
    took: dict[str, dict[str, float]] = {}
    for provider in ("vagrant", "libvirt"):
        subprocess.run(testbed("down", "--destroy"), check=True)
        up = testbed("-q", "up", "--provider", provider, "--timings")
        mine = took[provider] = {}
        for name, down in (("first", None), ("cold", "--halt"), ("warm", "")):
            if down is not None:
                subprocess.run([*testbed("down"), *filter(None, [down])], check=True)
            start = time.perf_counter()
            done = subprocess.run(up, check=True, capture_output=True, text=True)
            mine[f"{name} up"] = time.perf_counter() - start
            for line in done.stdout.splitlines():
                seconds_, _, stage = line.strip().partition(" s  ")
                mine[f"{name}: {stage}"] = float(seconds_)
    for stage, theirs in took["vagrant"].items():
        if (ours := took["libvirt"].get(stage)) is not None and theirs > 0.05:
            tell("", f"{stage} {ours:.2f} s", f"by Vagrant {theirs:.2f} s", ours / theirs, "< 1")


ALL: dict[str, Callable[[], None]] = {
    "help": help_, "size": size, "boot": boot, "bench": bench, "report": report,
    "runs": runs, "lifecycle": lifecycle, "providers": providers,
}  # fmt: skip


if __name__ == "__main__":
    for wanted in sys.argv[1:] or ALL:
        ALL[wanted]()
