# SPDX-License-Identifier: Apache-2.0
"""The sheet's text: `templates/handout/<language>.toml`, one file a language, nothing elsewhere.

A key is dotted: `task.module.title`. In a text, `code` and **strong** are marked as in Markdown,
a blank line begins a paragraph, and `{name}` stands for a fact (testbed/handout/facts.py); a
literal brace is written twice. Text and facts are data: both are escaped where they meet HTML.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from testbed.model.errors import ConfigError
from testbed.model.toml import TomlError, parse_toml

_CODE = re.compile(r"`([^`\n]+)`")
_STRONG = re.compile(r"\*\*([^*]+)\*\*")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One language's texts by dotted key, and the facts that fill them."""

    language: str
    path: Path
    texts: Mapping[str, str]
    facts: Mapping[str, str]

    def __call__(self, key: str, **more: object) -> Markup:
        """Return a text as HTML, in one line; `more` are facts of this place alone.

        Raises ConfigError that names file and key when there is no such text, or when it asks for
        an unknown fact.
        """
        text = _CODE.sub(r"<code>\1</code>", _STRONG.sub(r"<b>\1</b>", str(escape(self._raw(key)))))
        return Markup(self._filled(key, Markup(" ".join(text.split())), more))

    def paragraphs(self, key: str, **more: object) -> list[Markup]:
        """Return a text as the HTML of its paragraphs."""
        parts = re.split(r"\n\s*\n", self._raw(key).strip())
        texts = {f"{key}.{number}": part for number, part in enumerate(parts)}
        each = Catalogue(self.language, self.path, texts, self.facts)
        return [each(name, **more) for name in texts]

    def plain(self, key: str, **more: object) -> str:
        """Return a text without marks, for a drawing or a title."""
        text = " ".join(self._raw(key).replace("`", "").replace("**", "").split())
        return str(self._filled(key, text, more))

    def has(self, key: str) -> bool:
        """Whether there is such a text: arms that nobody foresaw have none."""
        return key in self.texts

    def _raw(self, key: str) -> str:
        try:
            return self.texts[key]
        except KeyError:
            raise ConfigError(
                f"{self.path}: no text {key!r}",
                hint="every language has the same keys: copy it from another one's file",
            ) from None

    def _filled(self, key: str, text: str, more: Mapping[str, object]) -> str:
        try:
            return text.format_map({**self.facts, **more})
        except (KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
            raise ConfigError(
                f"{self.path}: {key}: {{{str(error).strip(chr(39))}}} is no fact of the sheet",
                hint="testbed/handout/facts.py has them all; a literal brace is written twice",
            ) from error


def languages(folder: Path) -> list[str]:
    """Return the languages that have a file."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def read_texts(folder: Path, language: str) -> dict[str, str]:
    """Return one language's texts by dotted key.

    Raises ConfigError that names the file, and the line or the key.
    """
    path = folder / f"{language}.toml"
    try:
        document = parse_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"there is no sheet in the language {language!r}",
            hint=f"there are: {', '.join(languages(folder))}; docs/handout.md tells how to add one",
        ) from error
    except (TomlError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}", hint="mend that line") from error
    texts: dict[str, str] = {}
    _flatten(document, "", texts, path)
    return texts


def _flatten(value: Any, key: str, texts: dict[str, str], path: Path) -> None:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _flatten(inner, f"{key}.{name}" if key else name, texts, path)
    elif isinstance(value, str):
        texts[key] = value
    else:
        raise ConfigError(
            f"{path}: {key}: a text is wanted, between quotation marks",
            hint="docs/handout.md tells how a sheet is written",
        )
