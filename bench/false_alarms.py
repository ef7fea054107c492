#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run A/A pairs, and say what the tool made of them; see README.md beside this.

    .venv/bin/python bench/false_alarms.py 10 [--rate 2450 --duration 1.4]

Each is `testbed bench --arms xdp --controls`: one arm under two names, five blocks. A "lower" or
"higher" is a false alarm; one in twenty is what a 95 % interval promises. INVALID is one too, but
for what the host did (contention, and the load that it then does not carry).
"""

import json
import subprocess
import sys
from pathlib import Path

from testbed.edge.output.terminal import Terminal
from testbed.verbs import Lab

HOST = {"contention", "generator", "delivery", "ledger", "device", "quiet", "window"}
"""Codes of findings that a busy host causes by itself."""


def main(runs: int, options: list[str]) -> None:
    lab = Lab.here(Terminal(-1))
    testbed = str(Path(sys.executable).with_name("testbed"))
    alarms = invalid = 0
    for number in range(1, runs + 1):
        words = ["-q", "bench", "--arms", "xdp", "--controls", "--seed", str(number), *options]
        subprocess.run([testbed, *words], cwd=lab.checkout, check=False, capture_output=True)
        run = (lab.results / "latest").resolve()
        found = json.loads((run / "derived/findings.json").read_text())
        codes = {f["code"] for f in found["findings"]
                 if f["verdict"] == "INVALID" and f["about"] == "comparison"}  # fmt: skip
        pairs = [c for c in found["comparisons"] if c["arm"] == "xdp-again"]
        verdict = pairs[0]["verdict"] if pairs else "not compared"
        alarms += verdict in ("lower", "higher")
        invalid += bool(codes - HOST)
        interval = "" if not pairs or pairs[0]["ratio"] is None else (
            f"{pairs[0]['ratio']:.3f} ({pairs[0]['low']:.3f} to {pairs[0]['high']:.3f})"
        )  # fmt: skip
        print(f"{number:>2}  {verdict:<32} {interval:<26} {found['verdict']:<8} "
              f"{' '.join(sorted(codes))}", flush=True)  # fmt: skip
    print(f"{runs} runs: {alarms} false alarms, {invalid} INVALID for other reasons than the host")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10, sys.argv[2:])
