# SPDX-License-Identifier: Apache-2.0
"""Every page that a user can meet, made from run directories: good, bad, large and hostile."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from testbed.analysis.formats.templates import TEMPLATES, render
from testbed.analysis.page.report import render_report
from testbed.analysis.published.original import published_run
from testbed.analysis.reading.records import Run
from testbed.analysis.reading.run import load_run
from testbed.verbs.reporting.listing import Row
from tests.unit.factories.run_factory import RunRecipe, make_run, seal

SAMPLE = Path(__file__).resolve().parents[2] / "results/sample"
EVIL = (
    '"><script>window.pwned = 1</script><img src=x onerror="window.pwned = 2">'
    "<svg onload=window.pwned=3></svg><style>*{display:none}</style>"
    '<a href="javascript:window.pwned=4">x</a>{{ 7 * 7 }} `x` | **b** \u202e\u0007'
)
"""What a kernel log, a manifest or a host could hold: none of it may do anything on a page."""
WORDS = "a title as long as nobody would write it, " * 4
UNBROKEN = "eine_sehr_lange_Zeichenkette_ohne_Trennstelle" * 4


LARGE = ("200-trials", "200-arms")
"""Pages with the same elements as the smaller ones, two hundred times."""


def gallery(folder: Path) -> dict[str, Callable[[], Path]]:
    """By name, a function that makes the page below `folder`."""

    def run_page(make: Callable[[Path], Path], **options: bool) -> Callable[[], Path]:
        def made() -> Path:
            root = make(folder)
            return write(root, load_run(root), **options)

        return made

    def recipe(name: str, wanted: RunRecipe) -> Callable[[Path], Path]:
        return lambda parent: make_run(parent / name, wanted)

    lossy = RunRecipe(
        arms=("none", "netfilter", "xdp-bounded-csum"),
        delivered_share={"xdp-bounded-csum": 1 / 14_000},
        csum_errors={"xdp-bounded-csum": 13_999},
    )
    many = tuple(f"arm-{number:03d}" for number in range(199))
    return {
        "sample": run_page(_sample, per_cpu=True),
        "beside-published": run_page(recipe("beside", RunRecipe()), overlay=True),
        "suspect": run_page(recipe("suspect", RunRecipe(rcvbuf_errors={"xdp": 1}))),
        "invalid": run_page(recipe("invalid", lossy)),
        "incomplete": run_page(recipe("incomplete", RunRecipe(complete=False, trials_done=7))),
        "no-trial": run_page(recipe("none", RunRecipe(complete=False, trials_done=0))),
        "one-arm": run_page(recipe("one", RunRecipe(arms=("xdp",)))),
        "odd-names": run_page(_odd),
        "hostile": run_page(_hostile),
        "200-trials": run_page(recipe("trials", RunRecipe(trials=200))),
        "200-arms": run_page(
            recipe("arms", RunRecipe(arms=("none", *many), trials=2))
        ),
        "published": lambda: write(folder / "published", published_run()),
        "index": lambda: _index(folder),
        "index-of-nothing": lambda: _index(folder / "nothing", empty=True),
    }  # fmt: skip


def write(root: Path, run: Run, **options: bool) -> Path:
    """The run's report with all its files in `root`; returns the page."""
    for name, content in render_report(run, **options).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root / "report.html"


def _sample(parent: Path) -> Path:
    return Path(shutil.copytree(SAMPLE, parent / "sample"))


def _changed(root: Path, title: str) -> Path:
    """The run with texts that are data put where guests and files have theirs."""
    plan = json.loads((root / "plan.json").read_text())
    for number, arm in enumerate(plan["arms"]):
        arm["title"] = f"{title} {number}"
        arm["original_name"] = title
    plan["command"].append(title)
    (root / "plan.json").write_text(json.dumps(plan))
    host = json.loads((root / "facts/host.json").read_text())
    host |= {"accelerator_reason": title, "cpu_model": title, title: {title: [title]}}
    (root / "facts/host.json").write_text(json.dumps(host))
    return root


def _odd(parent: Path) -> Path:
    root = _changed(
        make_run(parent / "odd"), f"Ünïcode 한국어 🦀 \u202eflip {UNBROKEN} {WORDS}$x_1$"
    )
    seal(root)
    return root


def _hostile(parent: Path) -> Path:
    recipe = RunRecipe(log_lines={"netfilter": 30}, log_text=EVIL)
    root = _changed(make_run(parent / "hostile", recipe), EVIL)
    (root / "raw/01-xdp/client.json").write_text(json.dumps({"schema": 1, "trials": EVIL}))
    about = json.loads((root / "raw/02-xdp/trial.json").read_text())
    about["error"] = {"message": EVIL}
    (root / "raw/02-xdp/trial.json").write_text(json.dumps(about))
    seal(root)
    return root


def _index(folder: Path, *, empty: bool = False) -> Path:
    states = ("VALID", "SUSPECT", "INVALID", "INCOMPLETE", "complete")
    rows = [
        Row(
            run=f"20251206T0546{number:02d}Z-0a1b2c", complete=True, state=state, page=True,
            arms=("none", "netfilter", EVIL if number == 3 else "xdp"), trials=5,
            answers=("xdp/netfilter 0.93 (0.91 to 0.95)",), sentences=(),
        )
        for number, state in enumerate(states)
    ]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    path.write_text(render(TEMPLATES, "runs.html.j2", {"rows": [] if empty else rows}))
    return path
