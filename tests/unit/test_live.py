# SPDX-License-Identifier: Apache-2.0
"""The lines that move on a terminal: what stands on the screen, whole, and nothing afterwards."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pretended_screen import Screen, Tty

from testbed.edge import journal, screen
from testbed.edge.live import MARGIN, Display
from testbed.edge.steps import Step
from testbed.edge.terminal import Terminal
from testbed.model.errors import Interrupted

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
    """What the terminal itself writes at the cursor, ^C, does not wrap."""
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


@pytest.mark.parametrize("moment", ["start", "say", "stop"])
def test_ctrl_c_leaves_a_clean_terminal(monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """Wherever in the drawing it strikes: the line is gone, the cursor there, the stream free."""

    stderr = terminal_of(monkeypatch)

    def pressed(*_: object, **__: object) -> None:
        raise Interrupted

    inner = {"start": "_enable_redirect_io", "say": "refresh", "stop": "_disable_redirect_io"}
    with pytest.raises(Interrupted):  # noqa: SIM117  (the step is left by it)
        with Terminal().step("booting", expect_s=50):
            monkeypatch.setattr(f"rich.live.Live.{inner[moment]}", pressed)
            if moment == "start":
                with Terminal().step("another", expect_s=50):
                    pass
            if moment == "say":
                raise Interrupted
    seen = Screen(stderr.getvalue(), 80)
    assert seen.cursor_shown and seen.column == 0
    assert "… booting" not in "".join(seen.shown)
    screen.put("after it")
    assert now(stderr)[-1:] == ["after it"]


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


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["bench", "--help"]])
def test_rich_is_loaded_for_no_command_that_shows_no_step(argv: list[str]) -> None:
    code = "import sys; from testbed.cli import main\ntry: main()\n"
    code += "finally: assert not [m for m in sys.modules if m.partition('.')[0] == 'rich']"
    done = subprocess.run(
        [sys.executable, "-c", code, *argv], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parent,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
