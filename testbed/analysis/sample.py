# SPDX-License-Identifier: Apache-2.0
"""A small copy of a run, for the repository: `python -m testbed.analysis.sample RUN TARGET`.

What the analysis reads is kept, so that `testbed report TARGET` gives the same page; the rest of
the big texts goes. The manifest says what was thinned, under `sample`, and has new checksums.
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WHOLE = ("plan.json", "facts/host.json", "facts/server-before.json", "facts/client-before.json")
TRIAL = ("trial", "client", "server", "mpstat", "before", "after", "verify")
SNAP = ("monotonic_ns", "stat_monotonic_ns", "utc_ns")
LOG_LINES = 20
NOTE = (
    "a copy for the repository: of each trial's /proc texts only the lines that the analysis "
    f"reads, at most {LOG_LINES} kernel log lines a trial, no facts from after the run"
)


def write_sample(run: Path, target: Path) -> None:
    """Writes target/; `testbed report` adds the pages. Raises OSError, ValueError."""
    for name in WHOLE:
        _write(target / name, json.loads((run / name).read_text(encoding="utf-8")))
    folders = sorted(path for path in (run / "raw").iterdir() if path.is_dir())
    for folder in folders:
        place = target / "raw" / folder.name
        for name in TRIAL:
            source = folder / f"{name}.json"
            if source.exists():
                _write(
                    place / source.name,
                    _thinned(name, json.loads(source.read_text(encoding="utf-8"))),
                )
        lines = (folder / "kernel-log.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        (place / "kernel-log.jsonl").write_text("".join(lines[-LOG_LINES:]), encoding="utf-8")
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    files = [
        target / "plan.json",
        *(target / "facts").iterdir(),
        *(target / "raw").rglob("*.json*"),
    ]
    manifest["sample"] = NOTE
    manifest["files"] = {
        path.relative_to(target).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
    }
    _write(target / "manifest.json", manifest)


def _thinned(name: str, document: dict[str, Any]) -> dict[str, Any]:
    if name in ("before", "after"):
        kept = {key: document[key] for key in ("schema", "kmsg_sequence", *SNAP[::2])}
        snmp = {space: _lines(text, "Udp:") for space, text in document["snmp"].items()}
        return kept | {"snmp": snmp, "netstat": {}}
    if name == "server":
        trials = [
            trial | {"before": _snap(trial["before"]), "after": _snap(trial["after"])}
            for trial in document["trials"]
        ]
        window = document.get("idle_window") or {}
        idle = {edge: _snap(snap) for edge, snap in window.items()}
        return document | {"trials": trials, "idle_window": idle or None}
    return document


def _snap(snap: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: snap[key] for key in SNAP if key in snap}
    return kept | {"stat": _lines(snap["stat"], "cpu")}


def _lines(text: str | None, start: str) -> str | None:
    if text is None:
        return None
    return "".join(line for line in text.splitlines(keepends=True) if line.startswith(start))


def _write(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m testbed.analysis.sample RUN TARGET")
    write_sample(Path(sys.argv[1]), Path(sys.argv[2]))
