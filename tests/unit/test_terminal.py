# SPDX-License-Identifier: Apache-2.0
"""What the user sees: on stderr alone, plain in a pipe, rewritten in place on a terminal."""

import re
import sys
from io import StringIO

import pytest

from testbed.edge.terminal import Terminal


class Tty(StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


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


def test_a_terminal_gets_one_line_that_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = tty(monkeypatch)
    terminal = Terminal()
    with terminal.step("booting", expect_s=50):
        pass
    terminal.trial(1, 2, 1, "xdp", 3)
    terminal.trial(2, 2, 1, "none", 1)
    text = re.sub(r"\d+\.\d s", "T", stderr.getvalue())
    assert text == (
        "\r\x1b[2K… booting (0 s, about 50 s left)"
        "\r\x1b[2K\x1b[32m✓\x1b[0m booting (T)\n"
        "\r\x1b[2Ktrial 1/2  block 1  xdp                  about 3 s left"
        "\r\x1b[2Ktrial 2/2  block 1  none                 about 1 s left\n"
    )


def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = tty(monkeypatch, NO_COLOR="1")
    Terminal().warn("careful")
    with Terminal().step("x"):
        pass
    assert "\x1b[3" not in stderr.getvalue()
    assert stderr.getvalue().startswith("! careful\n")


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = tty(monkeypatch, NO_COLOR="1", TERM="dumb")
    with Terminal().step("booting"):
        pass
    assert re.fullmatch(r"… booting\n✓ booting \(\d\.\d s\)\n", stderr.getvalue())


def test_the_running_line_stops_with_a_failing_step(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = tty(monkeypatch)
    with pytest.raises(KeyboardInterrupt), Terminal().step("booting"):
        raise KeyboardInterrupt
    assert stderr.getvalue().count("booting") == 2
    assert stderr.getvalue().endswith(" s)\n")
