# SPDX-License-Identifier: Apache-2.0
"""The gate's files, missing or damaged: the error names the file and the place."""

import json
import shutil
from pathlib import Path

import pytest

from testbed.analysis.gate.files import outcomes_of
from testbed.model.errors import ParseError, RunError
from tests.unit.factories import gate_arms as arms
from tests.unit.factories import gate_stack as stack

CASE = {"number": 1, "group": "x", "title": "y", "fate": "local", "frames": [0]}
ROUND = {"cases": None, "frames": 1, "came": {"namespace": 0, "root": 0}, "ended": True}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the files of a correct arm."""
    path = tmp_path_factory.mktemp("good")
    stack.gate(path, "xdp", arms.correct)
    return path


@pytest.mark.parametrize("name", ["sent.pcap.gz", "namespace.pcap.gz", "root.pcap.gz"])
@pytest.mark.parametrize("how", ["missing", "cut", "empty"])
def test_a_file_that_is_missing_or_cut_off(good: Path, tmp_path: Path, name: str, how: str) -> None:
    shutil.copytree(good, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "gate/xdp" / name
    content = path.read_bytes()
    path.unlink()
    if how != "missing":
        path.write_bytes(content[:-20] if how == "cut" else b"")
    with pytest.raises(ParseError, match=f"gate/xdp/{name}: "):
        outcomes_of(tmp_path, ["xdp"])


@pytest.mark.parametrize(
    ("key", "value", "error", "text"),
    [
        ("schema", 3, RunError, "schema 3"),
        ("network", {"match_port": 0}, ParseError, "network: no network"),
        ("cases", [{"number": 1}], ParseError, "missing"),
        ("cases", [{**CASE, "frames": [60000]}], ParseError, r"frames: no such frames in the"),
        ("cases", [{**CASE, "frames": [-1]}], ParseError, r"frames.0.: -1 is negative"),
        ("cases", [{**CASE, "frames": []}], ParseError, r"frames: no such frames in the"),
        ("cases", [{**CASE, "fate": "x"}], ParseError, "unknown fate 'x'"),
        ("marker", "x", ParseError, "marker: no bytes"),
        ("rounds", [{}], ParseError, r"rounds\[0\]"),
        (
            "rounds",
            [{**ROUND, "came": {"namespace": 9999, "root": 0}}],
            ParseError,
            r"came.namespace: [0-9]+ packets were captured",
        ),
        ("rounds", [{**ROUND, "client_sent": [2, 1]}], ParseError, "client_sent: expected a"),
        ("rounds", [{**ROUND, "client_sent": [1]}], ParseError, "client_sent: expected a"),
        ("took_s", None, ParseError, "took_s: missing"),
    ],
)
def test_a_record_that_does_not_hold_what_it_should(
    good: Path, tmp_path: Path, key: str, value: object, error: type[Exception], text: str
) -> None:
    shutil.copytree(good, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "gate/xdp/gate.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(error, match=text):
        outcomes_of(tmp_path, ["xdp"])
    path.write_text(path.read_text()[:-5])
    with pytest.raises(ParseError, match=r"gate\.json: line"):
        outcomes_of(tmp_path, ["xdp"])
