# SPDX-License-Identifier: Apache-2.0
"""The command line: the right exit code, one line on what happened, one on what to do."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed import __version__, verbs
from testbed.edge.computer import checkout as checkout_module
from testbed.edge.computer.account import Account
from testbed.edge.output.terminal import Terminal
from testbed.lab.machines.box import BoxStore
from testbed.lab.machines.machines import Machines
from testbed.lab.machines.project import Project
from testbed.model import errors
from testbed.model.config import Config
from testbed.model.errors import GuestError, TestbedError
from tests.unit.factories.ids import project_id
from tests.unit.factories.run_factory import RunRecipe, make_run

Testbed = Callable[..., Any]
RANGE = "  → docs/configuration.md lists every key and its range\n"
KNOWN = "known arms: netfilter, netfilter-logging, none, xdp, xdp-bounded-csum\n"

# Words, exit code, and all that is said on stderr.
REFUSED: list[tuple[str, int, str]] = [
    ("bench", 2, "testbed: which arms?\n"
     "  → give --both, --netfilter or --xdp, or else --arms a,b,…\n"),
    ("bench --both --arms xdp", 2, "testbed: which arms?\n"
     "  → give --both, --netfilter or --xdp, or else --arms a,b,…\n"),
    ("bench --both --rate 0", 2,
     f"testbed: bench.rate_pps = 0.0: input should be greater than 0\n{RANGE}"),
    ("bench --both --rate -1", 2,
     f"testbed: bench.rate_pps = -1.0: input should be greater than 0\n{RANGE}"),
    ("bench --both --rate nan", 2,
     f"testbed: bench.rate_pps = nan: input should be less than or equal to 1000000\n{RANGE}"),
    ("bench --both --trials 0", 2,
     f"testbed: bench.trials = 0: input should be greater than or equal to 1\n{RANGE}"),
    ("bench --both --payload 9000", 2,
     f"testbed: bench.payload_bytes = 9000: input should be less than or equal to 1472\n{RANGE}"),
    ("bench --both --duration 0", 2,
     f"testbed: bench.duration_s = 0.0: input should be greater than or equal to 0.1\n{RANGE}"),
    ("bench --arms xpd", 2, f"testbed: there is no arm 'xpd'\n  → did you mean xdp? {KNOWN}"),
    ("bench --arms none,../../etc", 2,
     "testbed: there is no folder ../../etc\n  → a word with a slash is the path of an arm's "
     f"folder; without one it is a name: {KNOWN.removeprefix('known arms: ')}"),
    ("bench --both", 4, "testbed: the machines are not up (client not created, server not created)"
     "\n  → run `testbed up` first\n"),
    ("ssh server", 4, "testbed: the server is not up\n  → run `testbed up` first\n"),
    ("ssh gateway", 2,
     "testbed: there is no machine 'gateway'\n  → the machines: client, server\n"),
    ("vagrant status", 4, "testbed: there are no machines yet\n  → run `testbed up` first\n"),
    ("box show", 4, "testbed: the box is not built\n  → `testbed box build` builds it\n"),
    ("count --payload 1473", 2,
     "testbed: --payload '1473' is no size in bytes\n"
     "  → whole numbers from 0 to 1472, separated by commas\n"),
    ("count --payload 100,x", 2,
     "testbed: --payload 'x' is no size in bytes\n"
     "  → whole numbers from 0 to 1472, separated by commas\n"),
    ("report 20250101T000000Z-000000", 2,
     "testbed: there is no run '20250101T000000Z-000000'\n  → `testbed bench --both` makes one\n"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "status", "err"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refused(testbed: Testbed, words: str, status: int, err: str) -> None:
    said = testbed(*words.split())
    assert (said.status, said.out, said.err) == (status, "", err)


def test_report_without_a_run(testbed: Testbed, checkout: Path) -> None:
    said = testbed("report")
    assert (said.status, said.out) == (2, "")
    assert said.err == (
        f"testbed: no run in {checkout / 'results'} yet\n  → `testbed bench --both` makes one\n"
    )


def test_counting_knows_one_nic(testbed: Testbed, checkout: Path) -> None:
    (checkout / "testbed.toml").write_text('[machines]\nnic_model = "virtio"\n')
    said = testbed("count", "--arms", "none")
    assert (said.status, said.out) == (2, "")
    assert said.err == (
        "testbed: counting knows the interrupt of e1000, and nic_model is virtio\n"
        '  → set nic_model = "e1000" in testbed.toml to count\n'
    )


@pytest.mark.parametrize(
    "words",
    ["bench --both --rate fast", "bench --both --trials 1.5", "bench --nonsense", "nonsense",
     "compare a", "ssh", "box nonsense", "--nonsense"],
)  # fmt: skip
def test_words_that_make_no_sense(testbed: Testbed, words: str) -> None:
    said = testbed(*words.split())
    assert (said.status, said.out) == (2, "")
    assert re.match(r"Usage: .*testbed", said.err)
    assert re.search(r"^Error: ", said.err, re.MULTILINE)
    assert "Traceback" not in said.err
    assert not Path("testbed-bug.txt").exists()


def test_a_rate_that_is_no_number(testbed: Testbed) -> None:
    """The rest of the sentence is the library's, and another one in each of its versions."""
    said = testbed("bench", "--both", "--rate", "fast").err
    assert re.search(r"^Error: Invalid value for '--rate': .*valid", said, re.MULTILINE)


@pytest.mark.parametrize("seed", ["-5", "9" * 400])
def test_a_seed_that_the_guests_client_could_not_take(testbed: Testbed, seed: str) -> None:
    said = testbed("bench", "--both", "--seed", seed)
    assert said.status == 2
    assert "is not in the range 0<=x<=4503599627370496" in said.err


@pytest.mark.parametrize("verb", ["bench --both", "up", "box show", "logs", "ssh server"])
@pytest.mark.parametrize(
    ("text", "err"),
    [
        ("[bench", " is not TOML: "),
        ("[bench]\nrate_ppz = 1\n", ": unknown key bench.rate_ppz: did you mean rate_pps?\n"),
    ],
    ids=["not TOML", "unknown key"],
)
def test_a_bad_configuration_is_met_by_every_verb_that_reads_it(
    testbed: Testbed, checkout: Path, verb: str, text: str, err: str
) -> None:
    (checkout / "testbed.toml").write_text(text)
    said = testbed(*verb.split())
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith(f"testbed: {checkout / 'testbed.toml'}{err}")
    assert re.fullmatch(r"testbed: .*\n  → .*\n", said.err)


def test_outside_of_a_lab_folder_a_verb_tells_of_init(
    testbed: Testbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        checkout_module, "__file__", str(tmp_path / "testbed/edge/computer/checkout.py")
    )
    said = testbed("status")
    assert (said.status, said.err) == (
        2, f"testbed: {tmp_path} is no lab folder, and is in none\n"
        "  → `testbed init DIR` makes one; if you have one, change into it\n",
    )  # fmt: skip


def test_a_folder_below_the_checkout_will_do(
    testbed: Testbed, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "testbed.toml").write_text("[bench")
    monkeypatch.chdir(checkout / "guest/arms")
    assert str(checkout / "testbed.toml") in testbed("up").err


# What verbs print


def test_status_of_nothing(testbed: Testbed) -> None:
    said = testbed("status")
    assert (said.status, said.out, said.err) == (
        0, "client   not created\nserver   not created\n", "",
    )  # fmt: skip
    said = testbed("status", "--json")
    assert json.loads(said.out) == {
        "schema": 1, "machines": {"client": "not created", "server": "not created"},
        "counting": "not created", "accelerator": None,
    }  # fmt: skip


def test_runs(testbed: Testbed, checkout: Path) -> None:
    assert testbed("runs").out == ""
    results = checkout / "results"
    arms = [{"name": "none"}, {"name": "xdp"}]
    plan = {"arms": arms, "blocks": [["none", "xdp"], ["xdp", "none"]]}
    for name, complete in (("20250101T000000Z-aaaaaa", True), ("20250102T000000Z-bbbbbb", False)):
        (results / name).mkdir(parents=True)
        (results / name / "plan.json").write_text(json.dumps(plan))
        if complete:
            (results / name / "manifest.json").write_text("{}")
    first, second = testbed("runs").out.splitlines()
    assert first.split() == ["20250101T000000Z-aaaaaa", "complete", "2", "x", "none,", "xdp"]
    assert second.split() == ["20250102T000000Z-bbbbbb", "INCOMPLETE", "2", "x", "none,", "xdp"]
    listed = json.loads(testbed("runs", "--json").out)
    assert [(run["run"], run["complete"]) for run in listed["runs"]] == [
        ("20250101T000000Z-aaaaaa", True), ("20250102T000000Z-bbbbbb", False),
    ]  # fmt: skip
    assert listed["schema"] == 1


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"blocks": 3}'])
def test_a_damaged_run_does_not_hide_the_others(
    testbed: Testbed, checkout: Path, content: str
) -> None:
    for name, text in (("20250101T000000Z-aaaaaa", content), ("20250102T000000Z-bbbbbb", "")):
        (checkout / "results" / name).mkdir(parents=True)
        plan = (
            text
            if name.endswith("aaaaaa")
            else '{"arms": [{"name": "none"}], "blocks": [["none"]]}'
        )
        (checkout / "results" / name / "plan.json").write_text(plan)
    said = testbed("runs")
    assert "20250102T000000Z-bbbbbb" in said.out
    assert said.status in {0, 2}
    assert not (checkout / "testbed-bug.txt").exists()


def test_version(testbed: Testbed) -> None:
    said = testbed("--version")
    assert (said.status, said.out, said.err) == (0, f"testbed {__version__}\n", "")


def test_help(testbed: Testbed) -> None:
    said = testbed("--help")
    assert (said.status, said.err) == (0, "")
    for verb in ("up", "bench", "report", "status", "ssh", "down", "runs", "box"):
        assert re.search(rf"^\W*{verb} ", said.out, re.MULTILINE)
    assert "--payload" in testbed("bench", "-h").out


def test_without_words_the_help_is_shown(testbed: Testbed) -> None:
    said = testbed()
    assert re.match(r"Usage: .*testbed", said.out + said.err)


def loaded(folder: Path, *words: str, before: str = "", modules: str = "") -> set[str]:
    """Return the top-level modules that a command has loaded at its end; or those of a package."""
    code = (
        f"import os, sys\n{before}\nsys.argv = {['testbed', *words]!r}\n"
        "from testbed.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"mine = [name for name in sys.modules if name.startswith({modules!r})]\n"
        f"print('LOADED', *(mine if {modules!r} else {{n.partition('.')[0] for n in mine}}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder
    )
    return set(done.stdout.rpartition("LOADED")[2].split())


def test_help_loads_no_library_that_it_does_not_need(tmp_path: Path) -> None:
    there = loaded(tmp_path, "--help")
    assert "testbed" in there
    heavy = {"pandas", "matplotlib", "scipy", "numpy", "jinja2", "fabric", "paramiko", "invoke",
             "pydantic", "vagrant", "filelock"}  # fmt: skip
    assert there & heavy == set()


def test_status_loads_nothing_to_change_machines_with(checkout: Path) -> None:
    assert loaded(checkout, "status") & {"pydantic", "fabric", "paramiko"} == set()
    there = loaded(checkout, "status", modules="testbed.")
    assert "testbed.edge.hypervisor.libvirt" in there
    mine = {"testbed.lab.machines.machines", "testbed.edge.guests.guest", "testbed.model.config"}
    assert there & mine == set()


def test_report_loads_nothing_to_reach_machines_with(checkout: Path) -> None:
    run = make_run(checkout / "results", RunRecipe(arms=("xdp",), trials=1))
    there = loaded(checkout, "-q", "report", run.name)
    assert "pandas" in there
    assert there & {"fabric", "paramiko", "invoke", "vagrant", "filelock", "dpkt"} == set()


def test_a_report_draws_beside_its_reading_and_alone_on_one_core(checkout: Path) -> None:
    run = make_run(checkout / "results", RunRecipe(arms=("none", "xdp"), trials=1))
    before = set(run.rglob("*"))

    def render(setting: str) -> tuple[set[str], dict[str, bytes]]:
        there = loaded(checkout, "-q", "report", run.name, before=setting)
        new = [path for path in sorted(set(run.rglob("*")) - before) if path.is_file()]
        files = {str(path.relative_to(run)): path.read_bytes() for path in new}
        for path in new:
            path.unlink()
        return there, files

    one_core, alone = render("os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})")
    two_cores, beside = render("os.sched_getaffinity = lambda _: {0, 1}")
    assert "matplotlib" in one_core
    assert "matplotlib" not in two_cores, "a copy of the process has it"
    assert beside == alone
    assert {"report.html", "plots/ledger.png", "plots/ledger.svg"} <= set(alone)
    assert not [name for name in alone if name.endswith(".new")]


# Exit codes


@pytest.mark.parametrize("name", sorted(
    name for name, member in vars(errors).items()
    if isinstance(member, type) and issubclass(member, TestbedError)
))  # fmt: skip
def test_every_failure_gives_its_code(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    error = getattr(errors, name)("it broke", hint="do this", detail="their words")

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(verbs, "status", fail)
    said = testbed("status")
    assert said.status == int(error.exit_code)
    assert (said.out, said.err) == ("", "their words\ntestbed: it broke\n  → do this\n")


@pytest.mark.usefixtures("ctrl_c_works")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_undoes_and_ends(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def press(*_: object, **__: object) -> None:
        os.kill(os.getpid(), number)
        time.sleep(0.2)

    monkeypatch.setattr(verbs, "status", press)
    said = testbed("status")
    assert (said.status, said.out) == (130, "")
    assert said.err == "\ninterrupted: everything that was started has been undone\n"


def test_a_bug_leaves_a_report(
    testbed: Testbed, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "status", lambda *_, **__: {}["nothing"])
    said = testbed("status", "--json")
    assert (said.status, said.out) == (1, "")
    assert said.err == (
        "testbed: a bug of testbed's own: KeyError('nothing')\n"
        "  → please report it with testbed-bug.txt\n"
    )
    report = (checkout / "testbed-bug.txt").read_text()
    assert (
        f"testbed {__version__}, Python {sys.version.split()[0]}\n$ testbed status --json" in report
    )
    assert "Traceback" in report
    assert "KeyError: 'nothing'" in report


def test_a_bug_in_a_folder_that_cannot_be_written(
    testbed: Testbed, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "testbed-bug.txt").mkdir()
    monkeypatch.setattr(verbs, "status", lambda *_, **__: {}["nothing"])
    said = testbed("status")
    assert said.status == 1
    assert "a bug of testbed's own: KeyError('nothing')" in said.err


def test_a_reader_that_goes_away_is_no_bug(
    testbed: Testbed, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(verbs, "status", broken)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    said = testbed("status")
    assert (said.err, (checkout / "testbed-bug.txt").exists()) == ("", False)


@pytest.mark.parametrize("status", [0, 3])
def test_ssh_ends_as_the_command_ended(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    settings = {"private_key": "/key", "machines": {"server": {"ssh_port": 2222}}}
    called: list[list[str]] = []

    def call(argv: list[str]) -> int:
        called.append(argv)
        return status

    monkeypatch.setattr(Project, "settings", lambda _: settings)
    monkeypatch.setattr(Machines, "states", lambda _: {"server": "running"})
    monkeypatch.setattr(subprocess, "call", call)
    said = testbed("ssh", "server", "ls", "-l", "a b; touch x")
    assert called[0][-2:] == ["root@127.0.0.1", "ls -l 'a b; touch x'"]
    assert "2222" in called[0]
    assert said.status == status
    testbed("ssh", "server", "--", "ip route; df | head -n 1")
    assert called[1][-1] == "ip route; df | head -n 1"


def test_plain_vagrant_ends_as_it_ended(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []

    def call(argv: list[str]) -> int:
        called.append(argv)
        return 5

    monkeypatch.setattr(Project, "settings", lambda _: {"command": ["env", "A=b", "vagrant"]})
    monkeypatch.setattr(subprocess, "call", call)
    assert testbed("vagrant", "status", "--help").status == 5
    assert called == [["env", "A=b", "vagrant", "status", "--help"]]


def test_plain_vagrant_on_machines_that_it_does_not_know(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Project, "settings", lambda _: {"command": None})
    said = testbed("vagrant", "status")
    assert (said.status, said.err) == (
        4,
        "testbed: these machines were made by libvirt alone: Vagrant does not know them\n"
        "  → `testbed ssh server` opens one; `testbed up --provider vagrant` makes them anew\n",
    )


def test_up_takes_the_provider_that_is_asked_for_and_writes_nothing(
    testbed: Testbed, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    monkeypatch.setattr(
        Machines, "planned", lambda self, _: found.append(self.config.machines.provider) or []
    )
    (checkout / "testbed.toml").write_text('[machines]\nprovider = "vagrant"\n')
    assert testbed("up", "--dry-run").status == 0
    assert testbed("up", "--dry-run", "--provider", "libvirt").status == 0
    assert found == ["vagrant", "libvirt"]
    said = testbed("up", "--dry-run", "--provider", "virtualbox")
    assert said.status == 2
    assert "should be 'auto', 'vagrant' or 'libvirt'" in said.err
    assert (checkout / "testbed.toml").read_text() == '[machines]\nprovider = "vagrant"\n'


@pytest.mark.parametrize(("invalid", "status"), [(False, 0), (True, 7)])
def test_a_report_of_an_invalid_run_ends_with_seven(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch, *, invalid: bool, status: int
) -> None:
    done = verbs.Report(Path("/r/report.html"), "INVALID: no ratio", '{"schema": 1}\n', invalid)
    monkeypatch.setattr(verbs, "report", lambda *_, **__: [done])
    said = testbed("report")
    assert (said.status, said.out, said.err) == (status, "/r/report.html\n", "INVALID: no ratio\n")
    said = testbed("report", "--json")
    assert (said.status, said.out, said.err) == (status, '{"schema": 1}\n', "")


@pytest.mark.usefixtures("sketched")
def test_a_report_from_files_alone(testbed: Testbed, checkout: Path) -> None:
    """The autouse fixture lets any step towards a machine fail."""
    run = make_run(checkout / "results")
    said = testbed("report", run.name)
    assert said.status == 0
    assert said.out == f"{run / 'report.html'}\n"
    page = (run / "report.html").read_text()
    assert "<script src" not in page
    assert (run / "derived/trials.csv").read_text().count("\n") > 1


# The lock


def test_two_commands_at_once(testbed: Testbed, checkout: Path) -> None:
    terminal: Any = None
    lab = verbs.Lab(checkout, terminal, Any)  # type: ignore[arg-type]
    with lab.alone("up"):
        said = testbed("bench", "--both")
    assert said.status == 3
    assert said.err == (
        f"testbed: `testbed up` (process {os.getpid()}) is at work here\n"
        "  → wait for it, or end it with Ctrl-C in its terminal\n"
    )
    assert testbed("bench", "--both").status == 4, "the lock was left behind"


def test_a_lock_whose_holder_died_is_no_lock(testbed: Testbed, checkout: Path) -> None:
    (checkout / ".testbed").mkdir()
    (checkout / ".testbed/lock").touch()
    (checkout / ".testbed/lock.json").write_text('{"verb": "up", "pid": 1}')
    assert testbed("bench", "--both").status == 4


def test_a_failing_verb_releases_the_lock(
    testbed: Testbed, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise GuestError("gone")

    monkeypatch.setattr(Machines, "up", fail)
    assert testbed("up").status == 5
    assert testbed("up").status == 5
    assert not (checkout / ".testbed/lock.json").exists()


def test_bench_hands_on_what_was_asked_for(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(verbs, "bench", lambda *words: asked.append(words))
    monkeypatch.setattr("testbed.cli.measuring.render", lambda *_: None)
    testbed("bench", "--both", "--trials", "3", "--rate", "5000", "--seed", "9")
    testbed("bench", "--xdp")
    testbed("bench", "--netfilter")
    testbed("bench", "--arms", "netfilter-logging, xdp-bounded-csum")
    testbed("bench", "--profile", "original")
    testbed("bench", "--both", "--controls", "--probe", "--until-precise", "5%", "--trials", "3")
    assert [request.names for _, request in asked] == [
        ["none", "netfilter", "xdp"], ["none", "xdp"], ["none", "netfilter"],
        ["netfilter-logging", "xdp-bounded-csum"], ["netfilter-logging", "xdp-bounded-csum"],
        ["none", "netfilter", "xdp"],
    ]  # fmt: skip
    lab, request = asked[0]
    assert (lab.config.bench.trials, lab.config.bench.rate_pps, request.seed) == (3, 5000.0, 9)
    assert lab.config.bench.payload_bytes == 1000
    assert request.command == [
        "testbed", "bench", "--both", "--trials", "3", "--rate", "5000", "--seed", "9",
    ]  # fmt: skip
    assert [request.original for _, request in asked] == [False] * 4 + [True, False]
    last = asked[-1][1]
    assert (last.controls, last.probe) == (True, True)
    assert last.precision == verbs.Precision(0.05, at_least=3, at_most=40)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--both --profile best", "there is no profile 'best'"),
        ("--both --profile original", "--profile original is the published protocol"),
        ("--both --until-precise five", "--until-precise 'five' is no percentage"),
        ("--both --until-precise 0", "--until-precise '0' is no percentage"),
        ("--both --until-precise 5 --max-blocks 4", "--max-blocks 4 is less than the 5 trials"),
        ("", "which arms?"),
    ],
)
def test_bench_refuses_what_does_not_go_together(testbed: Testbed, words: str, said: str) -> None:
    done = testbed("bench", *words.split())
    assert done.status == 2
    assert done.err.startswith(f"testbed: {said}")


def test_box_show(testbed: Testbed, account: Account, checkout: Path) -> None:
    store = BoxStore(account, checkout)
    folder = account.data_dir / "boxes" / store.recipe()
    folder.mkdir(parents=True)
    (folder / "testbed.box").touch()
    (folder / "box.json").write_text(json.dumps({
        "recipe": store.recipe(), "size_bytes": 412_000_000, "built_utc": "2025-01-01",
        "kernel": "6.1.0", "sha256": "ab",
    }))  # fmt: skip
    box = json.loads(testbed("box", "show", "--json").out)["box"]
    assert (box["name"], box["megabytes"], box["kernel"]) == (
        f"testbed-{store.recipe()}", 412, "6.1.0",
    )  # fmt: skip
    assert "megabytes  412\n" in testbed("box", "show").out
    assert "package    " not in testbed("box", "show").out
    (folder / "packages.txt").write_text("linux-image-6.1.0 6.1-3\n")
    assert "package    linux-image-6.1.0 6.1-3\n" in testbed("box", "show").out
    record = {"package": "linux-image-mine", "version": "2", "sha256": "abc", "headers": []}
    (folder / "kernel.json").write_text(json.dumps(record))
    assert "package    linux-image-mine 2, sha256 abc\n" in testbed("box", "show").out
    assert project_id(checkout) not in testbed("box", "show").out


def test_a_command_that_was_killed_is_named_by_the_next(
    checkout: Path, quiet: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / ".testbed").mkdir()
    note = checkout / ".testbed/lock.json"
    note.write_text('{"verb": "bench", "pid": 4711}')
    with verbs.Lab(checkout, quiet, Config()).alone("up"):
        pass
    said = capsys.readouterr().err
    assert "`testbed bench` (process 4711) was killed; its leftovers" in said
    note.write_text("{")
    with verbs.Lab(checkout, quiet, Config()).alone("up"):
        pass
    assert capsys.readouterr().err == ""
    assert not note.exists()
