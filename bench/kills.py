#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SIGKILL commands at random moments: the same command again must work and leave nothing.

    .venv/bin/python bench/kills.py [TIMES] [SEED]

Works on a copy of this checkout with machines of its own, and removes both in the end. Each round
prints a line; the exit code is 1 when a round failed. About a minute a round without KVM.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.vm.conftest import Testbed, copy_of_this_checkout

QUICK = ("--trials", "2", "--rate", "1000", "--duration", "2")
CYCLE = (
    # (command, the latest moment of its kill in seconds, what the machines must be before it)
    (("bench", "--both", *QUICK, "--no-count"), 35.0, ("up",)),
    (("bench", "--xdp", *QUICK), 45.0, ("up",)),
    (("down",), 2.5, ("up",)),
    (("up",), 3.0, ()),
    (("bench", "--resume", "latest"), 20.0, ("up",)),
    (("down", "--halt"), 10.0, ("up",)),
    (("up",), 40.0, ()),
    (("down", "--destroy"), 2.5, ("up",)),
    (("up",), 60.0, ()),
)


def rounds(times: int, source: random.Random) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield commands and the moments of their kills; what must be there before is brought there."""
    for number in range(times):
        words, latest_s, before = CYCLE[number % len(CYCLE)]
        for word in before:
            checked(BED.run(word, timeout_s=1200), (0,))
        if words[:2] == ("bench", "--resume"):
            interrupt_a_bench()
        yield words, source.uniform(0.05, latest_s)


def interrupt_a_bench() -> None:
    """Leave a run behind whose first block alone is done, for `--resume` to be killed in."""
    before = BED.latest
    process = BED.start("bench", "--xdp", *QUICK, "--no-count")
    while not list(BED.latest.glob("raw/01-xdp/trial.json")) or before == BED.latest:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def checked(
    done: subprocess.CompletedProcess[str], codes: tuple[int, ...]
) -> subprocess.CompletedProcess[str]:
    if done.returncode not in codes or "Traceback" in done.stderr:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr[-2000:]}")
    return done


def survive(words: tuple[str, ...], after_s: float) -> str:
    """Kill a command after so many seconds and run it again; return what was seen of both."""
    process = BED.start(*words)
    try:
        process.communicate(timeout=after_s)
        first = f"had ended with {process.returncode}"
        if words[:2] == ("bench", "--resume"):
            return f"{first}: nothing left to resume"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        first = "killed"
    start = time.monotonic()
    again = checked(BED.run(*words, timeout_s=1200), (0, 7) if words[0] == "bench" else (0,))
    took_s = time.monotonic() - start
    orphans = json.loads(BED.run("doctor", "--orphans", "--json").stdout)["orphans"]
    own = [orphan["name"] for orphan in orphans if BED.prefix.strip("-") in orphan["name"]]
    left = own + (BED.left_over() if words[0] in ("bench", "up") else [])
    if left:
        raise RuntimeError(f"left behind: {left}")
    return f"{first}; again: {again.returncode} in {took_s:.1f} s; nothing left"


def main(times: int, seed: int) -> int:
    source, failed = random.Random(seed), 0
    try:
        for number, (words, after_s) in enumerate(rounds(times, source), start=1):
            try:
                seen = survive(words, after_s)
            except RuntimeError as error:
                failed += 1
                seen = f"FAILED: {error}"
            print(f"{number:>3}  {after_s:5.1f} s  testbed {' '.join(words)}: {seen}", flush=True)
    finally:
        BED.run("down", "--destroy", timeout_s=300)
    print(f"{times - failed} of {times} kills survived (seed {seed})")
    return 1 if failed else 0


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder:
        BED = Testbed(copy_of_this_checkout(Path(folder) / "testbed"))
        sys.exit(main(*(numbers + [20, 1][len(numbers) :])))
