# SPDX-License-Identifier: Apache-2.0
"""The lines that move on a terminal: what stands on the screen, whole, and nothing afterwards."""

import contextlib
import fcntl
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from rich.live import Live

from testbed.cli import entry
from testbed.edge.output import journal, screen
from testbed.edge.output.live import MARGIN, Display
from testbed.edge.output.steps import Step
from testbed.edge.output.terminal import Terminal
from testbed.model.errors import Interrupted
from tests.unit.factories.pretended_screen import Screen, Tty

WIDTHS = [40, 60, 80, 120]


def terminal_of(monkeypatch: pytest.MonkeyPatch, width: int = 80) -> Tty:
    """Put a terminal in place of stderr; in the test, for pytest puts its own there before."""
    stream = Tty()
    monkeypatch.setattr(sys, "stderr", stream)
    for name, value in (("TERM", "xterm"), ("COLUMNS", str(width)), ("LINES", "24")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return stream


def now(stream: Tty, width: int = 80) -> list[str]:
    return Screen(stream.getvalue(), width).shown


def test_a_step_has_a_line_with_a_bar_and_leaves_one(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = terminal_of(monkeypatch)
    with Terminal().step("booting", expect_s=50):
        (line,) = now(stderr)
    assert re.fullmatch(r"… booting +━* *0 s, about 50 s left", line)
    assert re.fullmatch(r"✓ booting \(\d\.\d s\)", now(stderr)[0])
    assert now(stderr)[1:] == []


def test_machines_side_by_side_have_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = terminal_of(monkeypatch)
    terminal = Terminal()
    with terminal.step("boot, set up, build", expect_s=70):
        terminal.doing("boots", "client")
        terminal.doing("waits for the other", "server")
        terminal.warn("one line")
        step, *machines = now(stderr)[1:]
        assert step.startswith("… boot, set up, build  ")
        assert [re.sub(" +", " ", line) for line in machines] == [
            " client: boots 0 s", " server: waits for the other 0 s",
        ]  # fmt: skip
        terminal.doing("", "client")
        terminal.warn("another line")
        assert "server" in "".join(now(stderr)) and "client" not in "".join(now(stderr))
    warned, again, done, *rest = now(stderr)
    assert (warned, again, rest) == ("! one line", "! another line", [])
    assert done.startswith("✓ boot, set up, build (")


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """^C, which the terminal itself writes at the cursor, does not wrap."""
    stderr = terminal_of(monkeypatch, width)
    terminal = Terminal()
    with terminal.step("the title of a step that is much longer than a terminal is wide " * 3):
        terminal.doing("boots " * 30, "client")
        terminal.warn("one line")
        lines = now(stderr, width)[1:]
        assert len(lines) == 2 and "…" in lines[1]
        assert max(map(len, lines)) <= width - MARGIN


@pytest.mark.parametrize("width", WIDTHS)
def test_lines_of_others_are_whole_and_above(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    stderr = terminal_of(monkeypatch, width)
    monkeypatch.setattr(journal, "_now", journal._Journal(verbose=True))
    terminal, words = Terminal(), "a warning of many words " * 6
    with terminal.step("booting", expect_s=50):
        terminal.warn(words)
        journal.on_guest("server", "true " * 30)
        assert now(stderr, width)[-1].startswith("… booting")
    text = "".join(line.ljust(width) for line in now(stderr, width)).replace(" ", "")
    assert f"!{words}".replace(" ", "") in text
    assert "true" * 30 in text
    assert "\n" not in stderr.getvalue().partition("! ")[2].partition(words.strip())[0]


def test_trials_are_one_line_with_the_arm_and_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = terminal_of(monkeypatch)
    terminal = Terminal()
    with terminal.trials():
        terminal.trial(1, 15, 1, "netfilter", 150)
        terminal.doing("traffic")
        terminal.warn("one line")
        assert re.fullmatch(
            r"… trial 1/15  netfilter: traffic +━* *0 s, about 2:30 left", now(stderr)[-1]
        )
        terminal.trial(2, 15, 1, "xdp", 130)
        terminal.say("after a block")
        assert re.fullmatch(r"… trial 2/15  xdp +━* *0 s, about 2:10 left", now(stderr)[-1])
    assert [line.partition(" (")[0] for line in now(stderr)] == [
        "! one line", "after a block", "✓ 2 trials",
    ]  # fmt: skip


def test_no_trial_has_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = terminal_of(monkeypatch)
    with Terminal().trials():
        pass
    assert now(stderr) == [""]


def test_a_trial_that_fails_is_named_with_what_it_was_at(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = terminal_of(monkeypatch)
    terminal = Terminal()
    with pytest.raises(ValueError, match="boom"), terminal.trials():
        terminal.trial(3, 15, 1, "xdp", 130)
        terminal.doing("load")
        raise ValueError("boom")
    assert now(stderr)[0].startswith("✗ trial 3/15  xdp: load (")


def test_ctrl_c_waits_until_a_line_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """rich would write again what it has written and not yet forgotten."""
    stderr = terminal_of(monkeypatch)
    drawing = Live.refresh

    def pressed(self: Live) -> None:
        signal.raise_signal(signal.SIGINT)
        drawing(self)

    before = signal.signal(signal.SIGINT, entry._interrupt)
    try:
        for moment in ("start", "say", "stop"):
            with pytest.raises(Interrupted), contextlib.ExitStack() as step:
                if moment == "start":
                    monkeypatch.setattr(Live, "refresh", pressed)
                terminal = Terminal()
                step.enter_context(terminal.step(f"booting, {moment}", expect_s=50))
                monkeypatch.setattr(Live, "refresh", pressed)
                if moment == "say":
                    terminal.say("a line")
            monkeypatch.setattr(Live, "refresh", drawing)
    finally:
        signal.signal(signal.SIGINT, before)
    seen = Screen(stderr.getvalue(), 80)
    assert seen.cursor_shown and seen.column == 0
    assert [line.partition(" (")[0] for line in seen.shown if line] == [
        "✗ booting, start", "a line", "✗ booting, say", "✓ booting, stop",
    ]  # fmt: skip
    screen.put("after it")
    assert now(stderr)[-1] == "after it"


def test_an_inner_step_stands_below_its_outer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = terminal_of(monkeypatch)
    terminal = Terminal()
    with terminal.step("outer", expect_s=50), terminal.step("inner", expect_s=5):
        assert now(stderr)[0].startswith("… outer"), "the other comes with the next picture"
        terminal.say("x")
        assert now(stderr)[0] == "x"
        assert [line.split()[1] for line in now(stderr)[1:]] == ["outer", "inner"]
    assert [line.partition(" (")[0] for line in now(stderr)] == ["x", "✓ inner", "✓ outer"]


def test_ascii_where_the_locale_has_no_more() -> None:
    stream = Tty()
    step = Step("booting", expect_s=50)
    display = Display(stream, [step], colour=False, unicode=False)
    display.start()
    display.stop()
    assert stream.getvalue().isascii()
    assert "- booting  " in stream.getvalue()


def test_a_late_step_says_what_is_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = terminal_of(monkeypatch)
    step = Step("booting", expect_s=5)
    step.begun -= 30
    display = Display(stderr, [step], colour=False, unicode=True)
    display.start()
    assert re.search(r"━{18}  30 s, usually 5 s", now(stderr)[0])
    display.stop()


PROGRAM = """
import sys, time
from testbed.cli import entry
from testbed.cli.app import app, the_terminal

@app.command()
def wait():
    with the_terminal().step("wait for Ctrl-C", expect_s=50):
        time.sleep(60)

sys.argv = ["testbed", "wait"]
entry.main()
"""


def test_ctrl_c_in_a_real_terminal() -> None:
    """The terminal writes ^C itself, at the cursor; the line is gone all the same."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24", "NO_COLOR": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=theirs, stdout=theirs, stderr=theirs,
        env=environment, start_new_session=True, preexec_fn=take_terminal,  # noqa: PLW1509  (one thread)
    )  # fmt: skip
    os.close(theirs)
    text = ""
    with os.fdopen(ours, "rb", buffering=0) as file:
        while "left" not in text:
            text += file.read(4096).decode(errors="replace")
        os.write(ours, b"\x03")
        with contextlib.suppress(OSError):  # what Linux says when the other end is closed
            while got := file.read(4096):
                text += got.decode(errors="replace")
    assert process.wait(timeout=20) == 130
    seen = Screen(text, 80)
    assert seen.cursor_shown
    lines = [line for line in seen.shown if line]
    assert re.fullmatch(r"✗ wait for Ctrl-C \(\d+\.\d s\)", lines[0])
    assert lines[1:] == ["interrupted: everything that was started has been undone"]


def take_terminal() -> None:
    """Make stdin the terminal that sends this process its signals."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["bench", "--help"]])
def test_rich_is_loaded_for_no_command_that_shows_no_step(argv: list[str]) -> None:
    code = "import sys; from testbed.cli import main\ntry: main()\n"
    code += "finally: assert not [m for m in sys.modules if m.partition('.')[0] == 'rich']"
    done = subprocess.run(
        [sys.executable, "-c", code, *argv], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parent,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
