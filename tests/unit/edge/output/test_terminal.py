# SPDX-License-Identifier: Apache-2.0
"""Progress for the user: on stderr alone, plain in a pipe, rewritten in place on a terminal."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.output import screen
from testbed.edge.output.durations import FILE, Durations
from testbed.edge.output.steps import clock, left
from testbed.edge.output.terminal import Terminal
from tests.unit.factories.pretended_screen import Tty
from tests.unit.factories.run_factory import make_run

pytestmark = pytest.mark.usefixtures("sketched")


def tty(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Tty:
    """Put a terminal in place of stderr; in the test, for pytest puts its own there before."""
    stream = Tty()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return stream


def test_a_pipe_gets_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    with terminal.step("booting", expect_s=50):
        terminal.say("hello")
    with terminal.step("a short one", expect_s=0.5):
        pass
    said = capsys.readouterr()
    assert said.out == ""
    assert re.sub(r"\d+\.\d s\)", "T)", said.err) == (
        "… booting (about 50 s)\nhello\n✓ booting (T)\n✓ a short one (T)\n"
    )


def test_a_failed_step_says_so_and_lets_the_failure_through(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ValueError, match="boom"), Terminal().step("building"):
        raise ValueError("boom")
    assert re.fullmatch(r"… building\n✗ building \(\d+\.\d s\)\n", capsys.readouterr().err)


def test_quiet_says_only_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(-1)
    with terminal.step("booting"):
        terminal.say("hello")
    terminal.trial(1, 15, 1, "xdp", 30)
    terminal.warn("no KVM")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "! no KVM\n")


def test_a_trial_is_a_line_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().trial(4, 15, 2, "xdp", 61.4)
    assert capsys.readouterr().err == "trial 4/15  block 2  xdp                  about 61 s left\n"


def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = tty(monkeypatch, NO_COLOR="1")
    Terminal().warn("careful")
    with Terminal().step("x", expect_s=9):
        pass
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", stderr.getvalue()), "no colour of any kind"
    assert stderr.getvalue().startswith("! careful\n")


@pytest.mark.parametrize("term", ["dumb", "unknown", ""])
def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(
    monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    stderr = tty(monkeypatch, NO_COLOR="1", TERM=term)
    terminal = Terminal()
    with terminal.step("booting"):
        terminal.doing("boots", "client")
    with terminal.trials():
        terminal.trial(1, 1, 1, "xdp", 3)
    assert re.fullmatch(
        r"… booting\n✓ booting \(\d\.\d s\)\ntrial 1/1  block 1  xdp +about 3 s left\n",
        stderr.getvalue(),
    )


def test_marks_differ_in_ascii_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "is_unicode", lambda _: False)
    with Terminal().step("booting"):
        pass
    with pytest.raises(ValueError, match="boom"), Terminal().step("building"):
        raise ValueError("boom")
    said = re.sub(r"\d+\.\d s", "T", capsys.readouterr().err)
    assert said == "... booting\nok booting (T)\n... building\nFAILED building (T)\n"


@pytest.mark.parametrize(
    ("codeset", "encoding", "is_unicode"),
    [("UTF-8", "utf-8", True), ("utf8", "utf-8", True), ("UTF-8", None, True),
     ("UTF-8", "latin-1", False), ("UTF-8", "ascii", False), ("ANSI_X3.4-1968", "utf-8", False),
     ("EUC-KR", "euc_kr", False)],
)  # fmt: skip
def test_locale_and_stream_both_decide_on_ascii(
    monkeypatch: pytest.MonkeyPatch, codeset: str, encoding: str | None, is_unicode: bool
) -> None:
    monkeypatch.setattr("locale.nl_langinfo", lambda _: codeset)
    stream = Tty()
    stream.encoding = encoding  # type: ignore[assignment]
    assert screen.is_unicode(stream) is is_unicode


def test_what_others_wrote_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.say("a\x1b[2Jb")
    terminal.warn("http://me:secret@proxy\x07")
    with terminal.step("c\x1b[1Ad"):
        pass
    said = capsys.readouterr().err
    assert "\x1b" not in said and "\x07" not in said and "secret" not in said
    assert said.startswith("a�[2Jb\n")


def test_long_lines_are_wrapped_between_words_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "no KVM: " + "a reason of several words, " * 5
    Terminal().warn(words)
    assert capsys.readouterr().err == f"! {words}\n"
    stderr = tty(monkeypatch, COLUMNS="40", NO_COLOR="1")
    Terminal().warn(words)
    Terminal().say(f"{words}\n\n  a table   of words  {'x' * 60}")
    lines = stderr.getvalue().splitlines()
    assert [line for line in lines if len(line) > 40] == [f"    {'x' * 60}"], "no word is cut"
    assert lines[0].startswith("! no KVM: a") and lines[1].startswith("  ") and "" in lines
    assert "  a table   of words" in lines


# What earlier runs teach


def test_a_step_tells_what_its_last_times_were(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned = Durations(tmp_path / "durations.json")
    for took_s in (20, 40, 30, 900, 31):
        learned.learn("page", took_s)
    terminal = Terminal(learned=learned)
    with terminal.step("page of r", expect_s=3, kind="page"):
        pass
    with terminal.step("booting", expect_s=50):
        pass
    assert re.findall("….*", capsys.readouterr().err) == [
        "… page of r (about 31 s)", "… booting (about 50 s)",
    ]  # fmt: skip
    with terminal.step("booting", expect_s=50):
        pass
    assert capsys.readouterr().err.startswith("✓ booting"), "it was shorter than a second"
    stderr = tty(monkeypatch, COLUMNS="80")
    with terminal.step("page of s", kind="page"):
        pass
    assert re.search("… page of s .*0 s, about 31 s left", stderr.getvalue())


def test_a_step_that_failed_teaches_nothing(tmp_path: Path) -> None:
    learned = Durations(tmp_path / "durations.json")
    with pytest.raises(ValueError, match="boom"), Terminal(-1, learned=learned).step("x"):
        raise ValueError("boom")
    assert learned.usual_s("x") is None


@pytest.mark.parametrize(
    ("elapsed_s", "expect_s", "said"),
    [(3, None, ""), (3, 10, ", about 7 s left"), (10.5, 10, ", about 0 s left"),
     (30, 10, ", usually 10 s"), (3, 200, ", about 3:17 left")],
)  # fmt: skip
def test_what_is_left_is_never_made_up(elapsed_s: float, expect_s: float | None, said: str) -> None:
    assert left(elapsed_s, expect_s) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (61, "1:01"), (3599.6, "1:00:00"),
     (7384, "2:03:04")],
)  # fmt: skip
def test_a_clock_has_minutes_and_hours(seconds: float, said: str) -> None:
    assert clock(seconds) == said


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b"\xff", b'{"x": 3}', b'{"x": ["a"]}', b'{"x": [NaN]}', b'{"x": [-1]}',
     b'{"x": [1e999]}', b'{"x": [true]}', b"[" * 100_000, b'{"x": [1]}' + b" " * 200_000],
)  # fmt: skip
def test_broken_and_hostile_times_are_as_none(tmp_path: Path, content: bytes) -> None:
    learned = Durations(tmp_path / "durations.json")
    learned.path.write_bytes(content)
    assert learned.usual_s("x") is None
    learned.learn("x", 4)
    assert learned.usual_s("x") == 4


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    learned = Durations(tmp_path / "durations.json")
    os.mkfifo(learned.path)
    assert learned.usual_s("x") is None, "a pipe without a writer would be waited for"
    folder = Durations(tmp_path / "folder")
    (folder.path / "x").mkdir(parents=True)
    folder.learn("x", 4)
    assert folder.usual_s("x") is None
    Durations(tmp_path / "no/x").learn("x", 4)
    assert not (tmp_path / "no").exists(), "who only looks leaves no trace"


def test_the_last_times_of_the_last_steps_are_kept(tmp_path: Path) -> None:
    learned = Durations(tmp_path / "durations.json")
    for number in range(210):
        learned.learn(f"step {number}", 1)
    assert learned.usual_s("step 0") is None
    assert learned.usual_s("step 209") == 1
    for took_s in (1, 1, 1, 5, 5, 5):
        learned.learn("boot", took_s)
    assert learned.usual_s("boot") == 5
    assert [path.name for path in tmp_path.iterdir()] == ["durations.json"]


def test_every_verb_learns_in_its_checkout(testbed: Any, checkout: Path) -> None:
    run = make_run(checkout / "results")
    (checkout / ".testbed").mkdir()
    testbed("report", run.name)
    assert Durations(checkout / FILE).usual_s("page") is not None
