# SPDX-License-Identifier: Apache-2.0
"""Every sentence that the project prints or keeps, with the place where it stands.

A word stands between spaces and has a letter or a digit. A piece of code, or a value that is put
in, counts as one word, and so does a list of several pieces of code. A sentence ends at a full
stop, a question mark or an exclamation mark, and with its paragraph, list item, heading or table
cell. A colon or a semicolon ends none.
"""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

END = re.compile(r"(?<=[.!?])[\"'”’)\]*_]*\s+")
# They end in a full stop and do not end a sentence.
ABBREVIATIONS = re.compile(r"\b(e\.g|i\.e|i\. e|vs|cf|etc|no|No|Fig|pp?|al)\.(?=\s)")
WORD = re.compile(r"\S*[^\W_]\S*")
BLOCK = re.compile(
    r"</?(p|div|h[1-6]|li|ul|ol|dl|dt|dd|td|th|tr|table|section|article|header|footer|figure"
    r"|figcaption|summary|details|nav|main|pre|title|caption|thead|tbody|blockquote|body|head|html)"
    r"\b[^>]*>|<br\b[^>]*>|<!--.*?-->",
    re.DOTALL,
)


@dataclass(frozen=True)
class Sentence:
    """One sentence, as a reader meets it."""

    place: str
    text: str

    @property
    def words(self) -> int:
        return len(WORD.findall(self.text))

    def __str__(self) -> str:
        return f"{self.place}: {self.words} words: {self.text}"


def sentences(place: str, text: str) -> Iterator[Sentence]:
    """Yield the sentences of one paragraph; line ends in it are spaces."""
    joined = ABBREVIATIONS.sub(r"\1", " ".join(text.split()))
    for part in END.split(joined):
        if WORD.search(part):
            yield Sentence(place, part.strip())


def of_markdown(name: str, text: str) -> Iterator[Sentence]:
    """Yield those of a page: paragraphs, list items, headings, cells; not its code blocks."""
    text = re.sub(r"<!--.*?-->", _blank, text, flags=re.DOTALL)
    text = re.sub(r"^( *)(```|~~~).*?^\1\2[^\n]*$", _blank, text, flags=re.DOTALL | re.MULTILINE)
    paragraph: list[str] = []
    start = 1
    for number, line in enumerate([*text.splitlines(), ""], 1):
        apart = re.match(r"\s*([-*+]|\d+\.)\s+|#+\s|\s*\||\s*$|> ", line)
        if apart and paragraph:
            yield from sentences(f"{name}:{start}", _plain(" ".join(paragraph)))
            paragraph = []
        if line.startswith("#"):
            yield from sentences(f"{name}:{number}", _plain(line.lstrip("#")))
        elif line.lstrip().startswith("|"):
            for cell in re.split(r"(?<!\\)\|", line.strip().strip("|")):
                yield from sentences(f"{name}:{number}", _plain(cell))
        elif line.strip():
            start = start if paragraph else number
            paragraph.append(re.sub(r"^\s*([-*+]|\d+\.|#+|>)\s+", "", line))


def of_template(name: str, text: str) -> Iterator[Sentence]:
    """Yield those of a Jinja template: its text between tags, a value as one word."""
    if ".1.j2" in name:  # roff: examples are code, macros that end a paragraph end a sentence
        text = re.sub(r"^\.EX$.*?^\.EE$", "", text, flags=re.DOTALL | re.MULTILINE)
        text = re.sub(r"^\.(?:SH|SS) (.*)", r"\n\n\1\n\n", text, flags=re.MULTILINE)
        text = re.sub(r"^\.(PP|TP|br)\b|^\.\\\".*", "\n\n", text, flags=re.MULTILINE)
    text = re.sub(r"\{#.*?#\}|<(style|script|svg)\b.*?</\1>", " ", text, flags=re.DOTALL)
    text = re.sub(r"\{\{.*?\}\}", "VALUE", text, flags=re.DOTALL)
    text = re.sub(r"\{%-?\s*(else|elif|for|endfor|macro|endmacro|block|endblock).*?%\}", "\n\n",
                  text, flags=re.DOTALL)  # fmt: skip
    text = re.sub(r"\{%.*?%\}", " ", text, flags=re.DOTALL)
    text = BLOCK.sub("\n\n", text)
    text = re.sub(r"<code\b[^>]*>.*?</code>", "CODE", text, flags=re.DOTALL)
    text = re.sub(r"</?\w[^>]*>", "", text)
    yield from of_markdown(name, text)


def of_toml(name: str, text: str) -> Iterator[Sentence]:
    """Yield those in the strings of a catalogue, each by its key."""
    for key, value in _strings(tomllib.loads(text), ""):
        for one in of_template("", value):
            yield Sentence(f"{name}{key}", one.text)


def of_python(name: str, text: str, *, docstrings_only: bool = False) -> Iterator[Sentence]:
    """Yield those of a module's docstrings and, unless told not to, of all its other strings.

    So messages, findings and help are among them. Indented lines of a docstring are an example.
    """
    tree = ast.parse(text)
    said = {id(node): text for node, text in _docstrings(tree)}
    inner = {
        id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
        for value in ast.walk(node) if value is not node
    }  # fmt: skip
    for node in ast.walk(tree):
        if id(node) in said:
            shown = re.sub(r"(?<=\n)\n(( {4,}|\t).*\n?|\n)+", "\n\n", said[id(node)])
        elif docstrings_only or id(node) in inner:
            continue
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            shown = node.value
        elif isinstance(node, ast.JoinedStr):
            shown = "".join(map(_piece, node.values))
        else:
            continue
        assert isinstance(node, ast.expr)
        for one in of_markdown("", shown):
            yield Sentence(f"{name}:{node.lineno}", one.text)


def docstrings(name: str, text: str) -> Iterator[Sentence]:
    """Yield each docstring of a module, or of a constant in it, whole and with its place."""
    for node, said in _docstrings(ast.parse(text)):
        yield Sentence(f"{name}:{node.lineno}", said)


def _docstrings(tree: ast.Module) -> Iterator[tuple[ast.expr, str]]:
    """Yield every string that stands as a statement, without its indentation."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str(said)) as value):
                yield value, inspect.cleandoc(said)


def _piece(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else "VALUE"


def _blank(found: re.Match[str]) -> str:
    """Return as many lines, empty, so that line numbers stay."""
    return "\n" * found[0].count("\n")


def _plain(text: str) -> str:
    """Return a line as it is read: links without addresses, code as one word."""
    text = re.sub(r"(`+).+?\1", "CODE", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"\bCODE(, CODE)+", "CODE", text)


def _strings(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _strings(inner, f"{key}.{name}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _strings(inner, f"{key}[{number}]")
