# SPDX-License-Identifier: Apache-2.0
"""What the gate left, missing or damaged: the error names the file and the place."""

import json
import shutil
from pathlib import Path

import oracle_arms as arms
import pytest
from test_oracle_cases import crafted

from testbed.analysis.oracle import outcomes_of
from testbed.model.errors import ParseError, RunError


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a correct arm leaves."""
    path = tmp_path_factory.mktemp("good")
    arms.gate(path, "xdp", crafted(), arms.correct)
    return path


@pytest.mark.parametrize("name", ["sent.pcap.gz", "namespace.pcap.gz", "root.pcap.gz"])
@pytest.mark.parametrize("how", ["missing", "cut", "empty"])
def test_a_file_that_is_missing_or_cut_off(good: Path, tmp_path: Path, name: str, how: str) -> None:
    shutil.copytree(good, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "oracle/xdp" / name
    content = path.read_bytes()
    path.unlink()
    if how != "missing":
        path.write_bytes(content[:-20] if how == "cut" else b"")
    with pytest.raises(ParseError, match=f"oracle/xdp/{name}: "):
        outcomes_of(tmp_path, ["xdp"])


@pytest.mark.parametrize(
    ("key", "value", "error", "text"),
    [
        ("schema", 2, RunError, "schema 2"),
        ("network", {"match_port": 0}, ParseError, "network: no network"),
        ("cases", [{"id": 60000}], ParseError, "missing"),
        ("cases", [{"id": 60000, "fate": "x"}], ParseError, "no frame with identification 60000"),
        ("cases", [{"id": 1, "fate": "x"}], ParseError, "unknown fate 'x'"),
        ("rounds", [{}], ParseError, r"rounds\[0\]"),
        ("took_s", None, ParseError, "took_s: missing"),
    ],
)
def test_a_record_that_does_not_hold_what_it_should(
    good: Path, tmp_path: Path, key: str, value: object, error: type[Exception], text: str
) -> None:
    shutil.copytree(good, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "oracle/xdp/oracle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(error, match=text):
        outcomes_of(tmp_path, ["xdp"])
    path.write_text(path.read_text()[:-5])
    with pytest.raises(ParseError, match=r"oracle\.json: line"):
        outcomes_of(tmp_path, ["xdp"])
