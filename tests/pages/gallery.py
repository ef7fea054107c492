# SPDX-License-Identifier: Apache-2.0
"""Every page that a user can meet, made from run directories: good, bad, large and hostile."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.analysis.formats.templates import TEMPLATES, render
from testbed.analysis.kernels.compared import two_kernels
from testbed.analysis.kernels.page import render_kernels
from testbed.analysis.page import figures
from testbed.analysis.page.judged import judge
from testbed.analysis.page.report import render_report
from testbed.analysis.plots import draw_cpu_time, style
from testbed.analysis.plots.style import Drawing
from testbed.analysis.published.original import published_run
from testbed.analysis.reading.records import Arm, Run
from testbed.analysis.reading.run import load_run
from testbed.analysis.receipt.lane import lane_of
from testbed.verbs.reporting.listing import ListedRun
from tests.unit.factories.count_runs import ARMS, put_beside, put_failed
from tests.unit.factories.other_kernel import SECOND, instead, judged
from tests.unit.factories.run_factory import RunRecipe, make_run, seal

SAMPLE = Path(__file__).resolve().parents[2] / "results/sample"
EVIL = (
    '"><script>window.pwned = 1</script><img src=x onerror="window.pwned = 2">'
    "<svg onload=window.pwned=3></svg><style>*{display:none}</style>"
    '<a href="javascript:window.pwned=4">x</a>{{ 7 * 7 }} `x` | **b** \u202e\u0007'
)
"""Text that a kernel log, a manifest or a host could hold: it may do nothing on a page."""
WORDS = "a title as long as nobody would write it, " * 4
UNBROKEN = "eine_sehr_lange_Zeichenkette_ohne_Trennstelle" * 4


@contextmanager
def cheaply() -> Iterator[None]:
    """Figures as a page needs them: no PNG, which no page shows, and of many arms a few drawn.

    The others' CPU times are the second arm's picture under their own name.
    """
    drawn = dict[str, tuple[Drawing, ...]]()

    def cpu_time(run: Run, arm: Arm) -> tuple[Drawing, ...]:
        if len(run.arms) < 20 or len(drawn) < 2:
            drawn[arm.name] = draw_cpu_time(run, arm)
            return drawn[arm.name]
        name, model = list(drawn.items())[-1]
        return tuple(
            replace(one, name=one.name.replace(name, arm.name), svg=one.svg.replace(name, arm.name))
            for one in model
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "png_of", lambda _: b"")
        patch.setattr(figures, "draw_cpu_time", cpu_time)
        yield


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
    lossy_xdp = RunRecipe(delivered_share={"xdp": 0.9})
    many = tuple(f"arm-{number:03d}" for number in range(29))
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
        "counted": run_page(lambda parent: put_beside(make_run(parent / "counted", lossy_xdp))),
        "counted-invalid": run_page(_count_invalid),
        "not-counted": run_page(
            lambda parent: put_failed(make_run(parent / "not-counted"), EVIL, EVIL)
        ),
        # Beyond every bound at which a page goes on elsewhere: 10 arms a figure of costs, 8 a
        # ledger, 60 comparisons in sight, 30 trials a row, three rows a figure.
        "100-trials": run_page(recipe("trials", RunRecipe(arms=("none", "xdp"), trials=100))),
        "30-arms": run_page(
            recipe("arms", RunRecipe(arms=("none", *many), trials=2))
        ),
        "published": lambda: write(folder / "published", published_run()),
        "index": lambda: _index(folder),
        "index-of-nothing": lambda: _index(folder / "nothing", empty=True),
        "two-kernels": lambda: _two_kernels(folder / "kernels"),
    }  # fmt: skip


def write(root: Path, run: Run, **options: bool) -> Path:
    """The run's report with all its files in `root`; returns the page."""
    judged = judge(run, lane_of(root, run.manifest))
    with cheaply():
        files = render_report(run, judged=judged, **options)
    for name, content in files.items():
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


def _count_invalid(parent: Path) -> Path:
    """A count whose texts are data, and of which two arms are not compared."""
    gate = {arm: arm == "none" for arm in ARMS}
    return put_beside(
        make_run(parent / "counted-invalid"), gate=gate, titles=dict.fromkeys(ARMS, EVIL),
        command=[EVIL], identity={"nic": EVIL, "qemu": EVIL, "mitigations": {EVIL: EVIL}},
    )  # fmt: skip


def _two_kernels(folder: Path) -> Path:
    other = {**SECOND, "kernel": EVIL, "box": UNBROKEN, "built_with": {EVIL: WORDS}}
    netfilter = instead("netfilter", "none")
    found = two_kernels(judged(), judged(netfilter, identity=other, sources={"none": EVIL}))
    assert found is not None
    folder.mkdir(parents=True)
    page = folder / "page.html"
    page.write_text(render_kernels(found), encoding="utf-8")
    return page


def _index(folder: Path, *, empty: bool = False) -> Path:
    states = ("VALID", "SUSPECT", "INVALID", "INCOMPLETE", "complete")
    rows = [
        ListedRun(
            run=f"20251206T0546{number:02d}Z-0a1b2c", complete=True, state=state, page=True,
            arms=("none", "netfilter", EVIL if number == 3 else "xdp"), trials=5,
            answers=("xdp/netfilter 0.93 (0.91 to 0.95)",), sentences=(),
            counted=("netfilter 9,678 instructions", EVIL) if number else (),
        )
        for number, state in enumerate(states)
    ]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    path.write_text(render(TEMPLATES, "runs.html.j2", {"rows": [] if empty else rows}))
    return path
