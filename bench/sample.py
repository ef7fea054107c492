# SPDX-License-Identifier: Apache-2.0
"""A small copy of a run, for the repository: `python -m bench.sample RUN TARGET`.

Everything that the analysis reads is kept, so that `testbed report TARGET` gives the same page; the
rest of the big texts goes (bench/thinning.py). The manifest says what was thinned, under
`sample`, and has new checksums.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from bench.thinning import thinned
from testbed.model.run_files import GATE, OLD_GATE

TRIAL = (
    "trial", "client", "server", "host", "mpstat", "before", "after", "hook-before", "hook-after",
)  # fmt: skip
LOG_LINES = 20
NOTE = (
    "a copy for the repository: of each trial's /proc texts only the lines that the analysis "
    f"reads, at most {LOG_LINES} kernel log lines a trial, no warm-up trials"
)


def write_sample(run: Path, target: Path) -> None:
    """Writes target/; `testbed report` adds the pages. Raises OSError, ValueError."""
    for path in (run / "plan.json", *sorted((run / "facts").glob("*.json"))):
        _copy(path, target / path.relative_to(run))
    for name in (GATE, OLD_GATE, "count"):
        if (run / name).is_dir():
            shutil.copytree(run / name, target / name)
    for folder in sorted((run / "raw").iterdir()):
        if folder.name.startswith("probe-"):
            _copy(folder / "hook-after.json", target / "raw" / folder.name / "hook-after.json")
        elif folder.is_dir() and not folder.name.startswith("warm-up-"):
            _trial(folder, target / "raw" / folder.name)
    _manifest(run, target)


def _trial(folder: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for name in TRIAL:
        source = folder / f"{name}.json"
        if source.exists():
            document = json.loads(source.read_text(encoding="utf-8"))
            _write(target / source.name, thinned(name, document))
    for name in ("sample.pcap.gz", "sample.json"):
        if (folder / name).exists():
            shutil.copyfile(folder / name, target / name)
    lines = (folder / "kernel-log.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (target / "kernel-log.jsonl").write_text("".join(lines[-LOG_LINES:]), encoding="utf-8")


def _manifest(run: Path, target: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    files = sorted(path for path in target.rglob("*") if path.is_file())
    manifest["sample"] = NOTE
    manifest["files"] = {
        path.relative_to(target).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    _write(target / "manifest.json", manifest)


def _copy(source: Path, target: Path) -> None:
    """Without the line breaks and spaces between a document's members."""
    _write(target, json.loads(source.read_text(encoding="utf-8")))


def _write(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m bench.sample RUN TARGET")
    write_sample(Path(sys.argv[1]), Path(sys.argv[2]))
