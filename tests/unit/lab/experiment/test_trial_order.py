# SPDX-License-Identifier: Apache-2.0
"""The method, command by command: what a trial runs on which machine, and in which order.

A change of this order is a change of the experiment, so it has to be made here, too.
`server, beside` and `client, beside` are the threads that prepare, fetch and undo.
"""

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.files.store import RunDir
from testbed.edge.output.terminal import Terminal
from testbed.lab.experiment.host_readings import HostReadings
from testbed.lab.experiment.trials import Experiment
from testbed.lab.guests import jobs
from testbed.model import arm as arms
from testbed.model.arm import Arm
from testbed.model.config import Config
from testbed.model.errors import ArmError, GuestError
from testbed.model.plan import Condition, Plan, Trial, under
from tests import PROJECT
from tests.unit.factories.fakes import World

ARMS = PROJECT / "guest/arms"
pytestmark = pytest.mark.usefixtures("waited")
QUICK = Config.model_validate({"bench": {"settle_s": 0, "idle_s": 0.2, "drain_s": 0}})

HOST = HostReadings({}, {})
XDP_LOADER = "cd /opt/testbed/guest/arms/xdp && ./loader"
RULE = (
    "--interface lab0 --mode generic --match-address 192.168.64.2 --match-port 8080 "
    "--target-address 10.0.1.2 --target-port 8083"
)
SNAPSHOT = "snapshot.py --namespace sslab-ns --interface lab0 --interface sslab-host"
SCRATCH = "scratch /run/testbed/trial"
GO = "go"
FETCH = "fetch /run/testbed/trial"
STOP_ALL = "stop testbed-client testbed-gate testbed-mpstat testbed-server"
MPSTAT = "<testbed-mpstat> exec mpstat -P ALL -o JSON 1"

# What one trial with the arm `xdp` runs, lane by lane; <…> is a job's start. Several threads share
# a lane beside, so that only BEFORE tells of an order there.
XDP = {
    "server": [
        "its memory",
        f"{XDP_LOADER} load {RULE}",
        MPSTAT,
        "its clock",
        SNAPSHOT,
        GO,
        "its clock",
        SNAPSHOT,
        f"{XDP_LOADER} unload --interface lab0",
        f"{XDP_LOADER} verify {RULE}",
        "its memory",
        "stop testbed-mpstat testbed-server",
    ],
    "server, beside": [
        SCRATCH,
        "<testbed-server>",
        f"{XDP_LOADER} verify {RULE}",
        f"{XDP_LOADER} count --interface lab0",
        f"{XDP_LOADER} verify {RULE}",
        f"{XDP_LOADER} count --interface lab0",
        FETCH,
        STOP_ALL,
    ],
    "client": [GO],
    "client, beside": [SCRATCH, "<testbed-client>", FETCH, STOP_ALL],
}
# Across the lanes: what has begun, or ended, before the next may begin. The server is prepared
# while the hook is loaded, and looked at while the counters are read: these have no order.
PREPARED = [
    [("server, beside", SCRATCH), ("server, beside", "<testbed-server>")],
    [("server", "load"), ("server, beside", "verify"), ("server, beside", "count")],
    [("server", "load"), ("server", "<testbed-mpstat>"), ("server", SNAPSHOT)],
]
BEFORE = [
    ("server", GO),
    ("client", GO),
    ("server, beside", "verify"),
    ("server, beside", "count"),
    ("server", "unload"),
    ("server", "verify"),
    ("server", "stop testbed-mpstat testbed-server"),
    ("client, beside", FETCH),
    ("client, beside", STOP_ALL),
]
AT_THE_SERVER = [
    ("server, beside", FETCH),
    ("server, beside", STOP_ALL),
]


def pairs(words: list[str]) -> dict[str, str]:
    return dict(zip(words[::2], words[1::2], strict=True))


def short(line: str) -> str:
    """Give the start of server and client as <name>; their words are another test's."""
    named = line.startswith("<") and not line.startswith("<testbed-mpstat>")
    return line.partition(">")[0] + ">" if named else line


def experiment(
    world: World, folder: Path, *names: str, count: int = 1, config: Config = QUICK
) -> Experiment:
    chosen: dict[str, Arm] = {arm.name: arm for arm in arms.choose(ARMS, names)}
    return Experiment(
        config, Plan.shuffled(under(config.bench, names), count, 1), chosen, world.guests,
        HOST, RunDir(folder), Terminal(-1),
    )  # fmt: skip


def run(world: World, folder: Path, *names: str, count: int = 1) -> dict[str, list[str]]:
    experiment(world, folder, *names, count=count).run()
    assert world.stuck == []
    return ordered(world.lanes())


def ordered(lanes: dict[str, list[str]]) -> dict[str, list[str]]:
    """Give the lines of each lane in their order, or sorted where threads share the lane."""
    return {
        lane: (sorted if "beside" in lane else list)([short(line) for line in lines])
        for lane, lines in lanes.items()
    }


def test_every_command_of_a_trial(tmp_path: Path) -> None:
    world = World()
    lanes = run(world, tmp_path, "xdp")
    assert lanes == ordered(XDP)
    assert (world.units, world.hooks) == (set(), set())


def test_what_waits_for_what(tmp_path: Path) -> None:
    world = World()
    run(world, tmp_path, "xdp")
    steps = [(step.lane, short(step.line)) for step in world.steps]
    for chain in [*([*prepared, *BEFORE] for prepared in PREPARED), AT_THE_SERVER]:
        at = 0
        for lane, words in chain:
            found = [
                place for place, step in enumerate(steps)
                if place >= at and step[0] == lane and words in step[1]
            ]  # fmt: skip
            assert found, f"{words!r} ({lane}) does not come after the one before it: {steps}"
            at = found[0] + 1


def test_the_hosts_counters_are_read_before_each_window_begins_and_when_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read after `go`, the host's work for the first packets would be missing."""
    world = World()
    read = HostReadings.read

    def noted(host: HostReadings) -> dict[str, Any]:
        world.note("host", "its counters")
        return read(host)

    monkeypatch.setattr(HostReadings, "read", noted)
    run(world, tmp_path, "xdp")
    steps = [(step.lane, short(step.line)) for step in world.steps]
    wanted = [
        ("server", GO), ("host", "its counters"),  # idle
        ("host", "its counters"), ("client", GO),  # traffic
        ("host", "its counters"),  # end
        ("server", f"{XDP_LOADER} unload --interface lab0"),
    ]  # fmt: skip
    assert [step for step in steps if step in wanted] == wanted


def test_the_client_hears_go_only_when_it_is_prepared(tmp_path: Path) -> None:
    """A `go` before its named pipe is there would be lost, and the client wait for ever."""
    world = World()
    world.machines["client"].slow_to_prepare_s = 0.1
    run(world, tmp_path, "xdp")


def test_without_a_hook_the_same_but_for_the_hook(tmp_path: Path) -> None:
    lanes = run(World(), tmp_path, "none")
    verify = lanes["server, beside"].pop(1)
    assert lanes["server, beside"].pop(1) == verify  # again, when the traffic has ended
    assert verify.startswith("cd /opt/testbed/guest/arms/none && sh -c ")
    assert verify.endswith(" verify lab0")
    hook = "/arms/xdp && ./loader"
    expected = {lane: [line for line in lines if hook not in line] for lane, lines in XDP.items()}
    assert lanes == ordered(expected)


def test_the_servers_and_the_clients_words(tmp_path: Path) -> None:
    world = World()
    run(world, tmp_path, "xdp")
    (server,) = (s.line for s in world.steps if s.line.startswith("<testbed-server>"))
    words = shlex.split(server)
    assert words[1] == "server.py"
    assert pairs(words[2:]) == {
        "--trials": "1", "--go": "/run/testbed/trial/go", "--host": "10.0.1.2", "--port": "8083",
        "--rcvbuf": str(16 << 20), "--idle-s": "0.2", "--timeout-s": "31.4",
        "--json": "/run/testbed/trial/server.json",
        "--sample": "/run/testbed/trial/sample.pcap", "--sample-one-in": "125",
    }  # fmt: skip
    (client,) = (s.line for s in world.steps if s.line.startswith("<testbed-client>"))
    words = shlex.split(client)
    assert words[1] == "client.py"
    assert pairs(words[2:]) == {
        "--go": "/run/testbed/trial/go", "--host": "192.168.64.2", "--port": "8080",
        "--trials": "1", "--interval": "1.0", "--bind-port-base": "10000", "--seed": "1001",
        "--rate": "10000", "--duration": "1.4", "--payload": "1000", "--jitter": "0.1",
        "--json": "/run/testbed/trial/client.json",
    }  # fmt: skip


def test_jobs_are_in_their_place_and_have_a_limit() -> None:
    """If this computer dies, nothing runs on in the guests for ever."""
    config = Config()
    (one,) = under(config.bench, ["xdp"])
    sending = jobs.client(config, Trial(1, 1, one, seed=1), ("10.0.0.1", 9))
    started = [jobs.server(config, one), sending, jobs.mpstat()]
    requests = [job.request() for job in started]
    assert [request["until"] for request in requests] == ["ready", "end", "start"]
    assert [request["namespace"] for request in requests] == ["sslab-ns", "", ""]
    assert [request["stop_signal"] for request in requests] == ["TERM", "TERM", "INT"]
    assert [request["output"] for request in requests] == [
        f"/run/testbed/trial/{name}" for name in ("server.txt", "client.txt", "mpstat.json")
    ]
    assert all(0 < job.limit_s <= 900 for job in started)


def test_a_trial_is_what_its_condition_says(tmp_path: Path) -> None:
    """Rate, payload and interface are the condition's, whatever the configuration has."""
    world = World()
    whole = experiment(world, tmp_path, "xdp")
    one = Condition("xdp", payload_bytes=64, rate_pps=50.0, interface="lab9")
    replace(whole, plan=Plan(1, (one,), ((one,),))).run()
    lines = [step.line for step in world.steps]
    (sending,) = (line for line in lines if line.startswith("<testbed-client>"))
    (receiving,) = (line for line in lines if line.startswith("<testbed-server>"))
    assert " --rate 50.0 " in sending and " --payload 64 " in sending
    assert receiving.split()[-1] == "1"  # of 70 packets each is sampled
    assert any("snapshot.py" in line and "--interface lab9 " in line for line in lines)
    assert any("loader load --interface lab9 " in line for line in lines)
    assert not any("lab0" in line for line in lines)


def test_the_declared_windows_are_waited_for(tmp_path: Path, waited: list[float]) -> None:
    bench = {"settle_s": 3.0, "idle_s": 2.0, "drain_s": 7.0}
    config = Config.model_validate({"bench": bench})
    experiment(World(), tmp_path, "xdp", config=config).run()
    assert 2.0 < waited[0] <= 3.0
    assert waited[1] == 2.0
    assert len(waited) == 3
    assert 6.0 < waited[2] <= 7.0
    record = json.loads((tmp_path / "raw/01-xdp/trial.json").read_text())
    assert record["windows_s"] == {"settle": 3.0, "idle": 2.0, "drain": 7.0}


def test_trials_follow_the_plan(tmp_path: Path) -> None:
    world, begun = World(), list[str]()
    whole = experiment(world, tmp_path, "none", "netfilter", "xdp", count=3)
    replace(whole, witness=lambda t, step: begun.append(t.arm) if step == "load" else None).run()
    plan = Plan.shuffled(under(QUICK.bench, ["none", "netfilter", "xdp"]), 3, 1)
    assert begun == [trial.arm for trial in plan]
    ports = [
        shlex.split(s.line)[shlex.split(s.line).index("--bind-port-base") + 1]
        for s in world.steps if s.line.startswith("<testbed-client>")
    ]  # fmt: skip
    assert ports == ["10000"] * 3 + ["10001"] * 3 + ["10002"] * 3
    loaded = [s.line.split("/")[5].split()[0] for s in world.steps if "load" in s.line.split()
              or "insmod" in s.line]  # fmt: skip
    assert loaded == [trial.arm for trial in plan if trial.arm != "none"]
    folders = sorted(path.name for path in (tmp_path / "raw").iterdir())
    assert folders == sorted(trial.folder for trial in plan)


def test_the_files_of_a_trial(tmp_path: Path) -> None:
    run(World(), tmp_path, "xdp")
    folder = tmp_path / "raw/01-xdp"
    assert sorted(path.name for path in folder.iterdir()) == [
        "after.json", "before.json", "client.json", "client.txt", "hook-after.json",
        "hook-before.json", "host.json", "kernel-log.jsonl", "mpstat.json", "server.json",
        "server.txt", "trial.json",
    ]  # fmt: skip
    record = json.loads((folder / "trial.json").read_text())
    timeline = record.pop("timeline")
    assert record == {
        "schema": 1, "block": 1, "position": 1, "arm": "xdp", "trial": 1, "source_port": 10000,
        "destination": "192.168.64.2:8080", "warm_up": False, "probe": False,
        "client_status": 0, "mpstat_started_utc_ns": 1700000000000000000,
        "windows_s": {"settle": 0.0, "idle": 0.2, "drain": 0.0}, "error": None,
        "meminfo": {"load": "MemTotal: 980000 kB\n", "gone": "MemTotal: 980000 kB\n"},
    }  # fmt: skip
    assert [mark["event"] for mark in timeline] == [
        "load", "settle", "idle", "traffic", "counters after", "collect",
        "undo", "end",
    ]  # fmt: skip
    times = [mark["host_monotonic_ns"] for mark in timeline]
    assert times == sorted(times)
    for name in ("hook-before", "hook-after"):
        assert json.loads((folder / f"{name}.json").read_text()) == {
            "verify": {"mode": "generic"}, "hits": [7, 0], "problem": None,
        }  # fmt: skip
    host = json.loads((folder / "host.json").read_text())
    assert list(host["readings"]) == ["idle", "traffic", "end"]
    assert [clock["guest_uptime_s"] for clock in host["clocks"].values()] == [61.25, 61.25]
    assert (folder / "kernel-log.jsonl").read_bytes() == b""


def test_the_kernel_log_is_read_when_there_is_something_in_it(tmp_path: Path) -> None:
    world = World()
    world.machines["server"].logs = True
    run(world, tmp_path, "xdp")
    asked = [s.line for s in world.steps if "--kernel-log" in s.line]
    assert asked == ["snapshot.py --kernel-log --after 41"]
    assert (tmp_path / "raw/01-xdp/kernel-log.jsonl").read_text().startswith('{"seq": 42')


def answer(monkeypatch: pytest.MonkeyPatch, world: World, words: str, out: str) -> None:
    """Let the server answer `out` to every line that has `words` in it."""
    machine = world.machines["server"]
    real = machine._arm

    def instead(arm: str, argv: list[str]) -> tuple[int, str]:
        done = real(arm, argv)
        return (0, out) if words in argv else done

    monkeypatch.setattr(machine, "_arm", instead)


NO_JSON = "arm xdp: `{}` printed no JSON object that can be used: "
NO_HITS = NO_JSON.format("count") + "hits[0]: "


@pytest.mark.parametrize(
    ("words", "out", "said"),
    [
        ("verify", '{"mode": "native"}',
         "arm xdp: mode is 'native', its manifest says 'generic'"),
        ("verify", "{}", "arm xdp: mode is None, its manifest says 'generic'"),
        ("verify", "Segmentation fault", NO_JSON + "line 1 column 1: Expecting value"),
        ("verify", "[]", NO_JSON + "top level: expected an object, found a list"),
        ("verify", "[" * 100_000,
         NO_JSON + "lists or objects inside each other, more than 64 deep"),
        ("verify", '{"mode": "generic", "note": "\\ud800"}',
         NO_JSON + "note: '\\ud800' holds half a character (a lone surrogate)"),
        ("verify", '{"mode": 5}', NO_JSON + "mode: expected text, found the number 5"),
        ("count", "nonsense", NO_JSON + "line 1 column 1: Expecting value"),
        ("count", "{}", NO_JSON + "hits: missing"),
        ("count", '{"hits": "many"}', NO_JSON + "hits: expected a list, found text"),
        ("count", '{"hits": null}', NO_JSON + "hits: missing"),
        ("count", '{"hits": [true]}', NO_HITS + "expected a whole number, found true"),
        ("count", '{"hits": [-5]}', NO_HITS + "-5 is negative, and nothing here can be"),
        ("count", '{"hits": [1e999]}',
         NO_HITS + "1e999 is larger than anything that is counted here"),
        ("count", '{"hits": [NaN]}', NO_HITS + "NaN is not a number in JSON"),
        ("count", '{"hits": [' + "7" * 400 + "]}",
         NO_HITS + "77777777777777777777… (400 characters) is larger than anything that is counted "
         "here"),
    ],
)  # fmt: skip
def test_an_arm_that_does_not_keep_its_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, out: str, said: str
) -> None:
    world = World()
    answer(monkeypatch, world, words, out)
    with pytest.raises(ArmError) as caught:
        experiment(world, tmp_path, "xdp").run()
    assert caught.value.message == said.format(words)
    assert len(caught.value.detail) < 600
    assert (world.units, world.hooks) == (set(), set())


def test_an_arm_that_stays_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    hooks: Any = world.hooks
    world.machines["server"].hooks = type("Sticky", (set,), {"discard": lambda *_: None})(hooks)
    with pytest.raises(ArmError) as caught:
        experiment(world, tmp_path, "xdp").run()
    assert caught.value.message == "arm xdp is still loaded after its unload commands"
    assert caught.value.hint == (
        "the next trial would measure it too; `testbed down --destroy` clears it"
    )


def test_a_server_that_died_in_mid_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    monkeypatch.setattr(
        world.machines["server"], "_trial_files", world.machines["client"]._trial_files
    )
    with pytest.raises(GuestError) as caught:
        experiment(world, tmp_path, "xdp").run()
    assert caught.value.message == "server.json is missing after the trial: testbed-server died"
    assert (world.units, world.hooks) == (set(), set())
    assert not (tmp_path / "raw").exists()
