# SPDX-License-Identifier: Apache-2.0
"""Plain sentences: none too long for one breath, and no docstring that begins with a question.

Pages, templates, the handout, docstrings, and every string of the program (findings, errors, help)
are read sentence by sentence. `sentences.py` says what a sentence and a word are.
"""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sentences import Sentence, docstrings, of_markdown, of_python, of_template, of_toml

PROJECT = Path(__file__).resolve().parents[2]
LONGEST = 35
OPENINGS = re.compile(r"(What|Who|Whose|Of)\b")
# Said by others, or made of what is read here already.
NOT_OURS = ("CHANGELOG.md", "LICENSE", "results/sample/")
# The tables of checks on these pages say what the records in testbed/analysis say, which are read.
WITH_CHECKS = ("docs/measuring.md", "docs/counting.md")
CHECKS = re.compile(r"^\| check \|.*?^$", re.DOTALL | re.MULTILINE)
# Scripts: no prose, although they stand between quotation marks.
SCRIPTS = ("tail -n 15 ",)

Reader = Callable[[str, str], Iterator[Sentence]]


def in_tests(name: str, text: str) -> Iterator[Sentence]:
    """Read docstrings alone: strings of a test are fixtures, programs and samples."""
    return of_python(name, text, docstrings_only=True)


def pages(name: str, text: str) -> Iterator[Sentence]:
    """Read a page without its table of checks; line numbers stay."""
    if name in WITH_CHECKS:
        text = CHECKS.sub(lambda found: "\n" * found[0].count("\n"), text)
    return of_markdown(name, text)


READERS: tuple[tuple[str, Reader], ...] = (
    (r"tests/.*\.py", in_tests),
    (r".*\.py", of_python),
    (r".*\.j2", of_template),
    (r"templates/.*\.toml", of_toml),
    (r".*\.md", pages),
)


def reader_of(name: str) -> Reader | None:
    if name.startswith(NOT_OURS):
        return None
    return next((read for pattern, read in READERS if re.fullmatch(pattern, name)), None)


def texts() -> Iterator[tuple[str, str, Reader]]:
    """Yield every file with prose that is in git, or will be, and how it is read."""
    git = ["git", "-c", f"safe.directory={PROJECT}", "-C", str(PROJECT), "ls-files", "-z"]
    argv = [*git, "--cached", "--others", "--exclude-standard", "--deduplicate"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    for name in done.stdout.split("\0"):
        read = reader_of(name)
        if read and (PROJECT / name).is_file():
            yield name, (PROJECT / name).read_text(encoding="utf-8"), read


def too_long(name: str, text: str, read: Reader) -> list[str]:
    return [
        str(one) for one in read(name, text)
        if one.words > LONGEST and not one.text.startswith(SCRIPTS)
    ]  # fmt: skip


def test_no_sentence_is_too_long() -> None:
    assert [said for text in texts() for said in too_long(*text)] == []


def test_no_docstring_begins_with_what_who_or_of() -> None:
    begun = [
        one.place for name, text, _ in texts() if name.endswith(".py")
        for one in docstrings(name, text) if OPENINGS.match(one.text)
    ]  # fmt: skip
    assert begun == []


def inverted(name: str, text: str, read: Reader) -> list[str]:
    """Return the statements, in full, that begin as a question does."""
    return [
        str(one) for one in read(name, text)
        if OPENINGS.match(one.text) and one.text.endswith(".")
    ]  # fmt: skip


def test_no_other_sentence_of_pages_and_messages_does() -> None:
    """The subject first. The handout and the templates have headings and questions of that kind."""
    plain = [text for text in texts() if not text[0].startswith("templates/")]
    assert [said for text in plain for said in inverted(*text)] == []


def test_all_that_people_read_is_read_here() -> None:
    """A kind of file that no reader takes, or a reader that finds nothing, would hide sentences."""
    found = {name: len(list(read(name, text))) for name, text, read in texts()}
    for name, at_least in {
        "README.md": 40, "CONTRIBUTING.md": 20, "docs/measuring.md": 400, "docs/glossary.md": 50,
        "templates/report.html.j2": 100, "templates/testbed.1.j2": 20,
        "templates/handout/en.toml": 300, "guest/server.py": 10, "testbed/model/errors.py": 10,
        "testbed/cli/app.py": 10, "tests/lint/test_sentences.py": 4,
    }.items():  # fmt: skip
        assert found[name] >= at_least, name
    assert sum(found.values()) > 10_000


# The readers themselves, each with a sentence of 36 words that has to be found, and one of 35

LONG = " ".join(["word"] * LONGEST) + " more."
SHORT = " ".join(["word"] * LONGEST) + "."
FORMS = {
    "paragraph.md": "# Title\n\nShort. {}\n",
    "wrapped.md": "Short words\nhere. {}\nMore.\n",
    "item.md": "- one\n- {}\n- three\n",
    "cell.md": "| a | b |\n|---|---|\n| c | {} |\n",
    "after-code.md": "```console\n$ ls\n```\n{}\n",
    "quote.md": "> {}\n",
    "page.html.j2": "<p>Short.</p>\n<p>{}</p>\n{{% if x %}}no{{% endif %}}\n",
    "cut.html.j2": "<td>One</td><td>{}</td>",
    "testbed.1.j2": ".SH NAME\nshort\n.SH DESCRIPTION\n{}\n.PP\nMore.\n",
    "templates/en.toml": '[text]\na = "{}"\n',
    "docstring.py": 'def f():\n    """Short.\n\n    {}\n    """\n',
    "message.py": 'raise Error("{}", hint="go on")\n',
    "finding.py": 'say(f"{{name}}: {}")\n',
    "joined.py": 'say(\n    "Short. "\n    "{}"\n)\n',
    "tests/test_x.py": '"""{}"""\n',
}


@pytest.mark.parametrize("name", FORMS)
def test_a_long_sentence_is_found_wherever_it_stands(name: str) -> None:
    read = reader_of(name)
    assert read is not None
    long, short = FORMS[name].format(LONG), FORMS[name].format(SHORT)
    # The f-string begins with a value and a colon, which are a word of this sentence.
    long, short = (text.replace("{name}: word ", "{name}: ") for text in (long, short))
    assert len(too_long(name, long, read)) == 1
    assert too_long(name, short, read) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("`testbed bench --both --trials 5` runs.", [2]),
        ("See [the page](docs/a-page.md#an-anchor) now.", [4]),
        ("0.25 Mpps, e.g. 3 %; i.e. more: yes.", [7]),
        ("Keys: `a`, `b`, `c` and `d`.", [4]),
        ("One. Two? Three! (Four.) Five", [1, 1, 1, 1, 1]),
        ("a — b · c", [3]),
    ],
)
def test_words_and_ends_are_counted_as_a_reader_would(text: str, words: list[int]) -> None:
    assert [one.words for one in of_markdown("x.md", text)] == words


def test_code_is_no_prose() -> None:
    listing = "```c\n" + LONG + "\n```\n"
    assert list(of_markdown("x.md", listing)) == []
    example = f'"""Short.\n\n    {LONG}\n\nMore.\n"""\n'
    assert too_long("x.py", example, of_python) == []
    assert too_long("tests/x.py", f'text = "{LONG}"\n', in_tests) == []


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("Short. What is left of it is gone.\n", 1),
        ("- Who waits for it asks its agent.\n", 1),
        ("Of the settling time nothing is used.\n", 1),
        ("## What is counted\nShort.\n", 0),
        ("What is it? It works. Ofsted, whatever.\n", 0),
    ],
)
def test_a_sentence_with_such_an_opening_is_found(page: str, found: int) -> None:
    assert len(inverted("x.md", page, pages)) == found


@pytest.mark.parametrize("opening", ["What it is.", "Who asks.", "Whose it is.", "Of a trial."])
def test_a_docstring_with_such_an_opening_is_found(opening: str) -> None:
    module = f'NAME = 1\n"""{opening}"""\n\ndef f():\n    """{opening}"""\n'
    begun = [one for one in docstrings("x.py", module) if OPENINGS.match(one.text)]
    assert len(begun) == 2
