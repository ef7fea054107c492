# SPDX-License-Identifier: Apache-2.0
"""Any captured file, cut off anywhere: a record, or an error that names the file; never a guess.

The files are those of the sample in the repository, which a real run left.
"""

import gzip
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.analysis.gate.files import outcomes_of
from testbed.analysis.reading.records import Arm
from testbed.analysis.reading.run import load_run
from testbed.analysis.reading.trial import load_trial
from testbed.model.errors import RunError
from testbed.model.run_files import gate_record
from tests import PROJECT

SAMPLE = PROJECT / "results/sample"
TRIAL = "raw/01-xdp"
FILES = sorted(
    path.name for path in (SAMPLE / TRIAL).iterdir() if path.suffix in (".json", ".jsonl")
)
RECORD = gate_record(SAMPLE, "xdp") or ""
GATE = Path(RECORD).parent
OF_THE_GATE = sorted(path.name for path in (SAMPLE / GATE).iterdir())
OF_THE_RUN = ("plan.json", "manifest.json", "facts/host.json", "facts/server-before.json")
quick = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def run_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("cut") / "run"
    shutil.copytree(SAMPLE, copy)
    return copy


@pytest.fixture(scope="module")
def arm() -> Arm:
    """The arm of the trial that is cut, which is sound when it is whole."""
    arm = load_run(SAMPLE).arm("xdp")
    assert load_trial(SAMPLE, block=1, position=1, arm=arm, number=1).problems == ()
    return arm


def cut(run: Path, name: str, share: float) -> bytes:
    """Cut a file to this share of its length, its end at least; return what it was."""
    whole = (run / name).read_bytes()
    end = len(whole.rstrip()) - 1  # a JSON text without its last newline is whole
    (run / name).write_bytes(whole[: min(int(len(whole) * share), end)])
    return whole


@quick
@given(st.sampled_from(FILES), st.floats(0, 1, exclude_max=True))
def test_a_trials_file(run_copy: Path, arm: Arm, name: str, share: float) -> None:
    before = cut(run_copy, f"{TRIAL}/{name}", share)
    try:
        trial = load_trial(run_copy, block=1, position=1, arm=arm, number=1)
    finally:
        (run_copy / f"{TRIAL}/{name}").write_bytes(before)
    if name.endswith(".jsonl"):
        return  # a log without its last lines is a shorter log, unless it is cut within a line
    assert trial.problems
    assert all(problem.startswith(f"{TRIAL}/{name}: ") for problem in trial.problems)


@settings(quick, max_examples=30)
@given(st.sampled_from(OF_THE_GATE), st.floats(0, 1, exclude_max=True))
def test_a_file_of_the_gate(run_copy: Path, name: str, share: float) -> None:
    before = cut(run_copy, f"{GATE}/{name}", share)
    try:
        with pytest.raises(RunError) as caught:
            outcomes_of(run_copy, ["xdp"])
    finally:
        (run_copy / f"{GATE}/{name}").write_bytes(before)
    assert f"{GATE}/{name}" in caught.value.message


@settings(quick, max_examples=20)
@given(st.sampled_from(OF_THE_RUN), st.floats(0, 1, exclude_max=True))
def test_a_file_of_the_run(run_copy: Path, name: str, share: float) -> None:
    before = cut(run_copy, name, share)
    try:
        with pytest.raises(RunError) as caught:
            load_run(run_copy)
    finally:
        (run_copy / name).write_bytes(before)
    assert caught.value.message.startswith(f"{name}: ")


def test_a_damaged_capture_is_a_finding_of_the_run(run_copy: Path) -> None:
    name = f"{GATE}/namespace.pcap.gz"
    before = cut(run_copy, name, 0.5)
    try:
        run = load_run(run_copy)
    finally:
        (run_copy / name).write_bytes(before)
    assert len(run.problems) == 1
    assert run.problems[0].startswith(name)
    assert "xdp" not in run.gate
    assert name in run.edited
    assert gzip.decompress(before)
