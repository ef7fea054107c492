# SPDX-License-Identifier: Apache-2.0
"""The sheet's texts: the same keys and facts in every language, every key used, data escaped."""

import string
from collections.abc import Mapping
from pathlib import Path

import pytest

from testbed.analysis.reading.run import load_run
from testbed.handout import catalogue, page, render_sheet
from testbed.handout.catalogue import Catalogue, languages, read_texts
from testbed.handout.path import STAGES
from testbed.handout.sample import sample_of
from testbed.model.config import Config, MachinesConfig
from testbed.model.errors import ConfigError, ExitCode
from tests.unit.factories.handout_page import LANGUAGES, TEMPLATES, sheet
from tests.unit.factories.run_factory import make_run

FOLDER = TEMPLATES / "handout"
#: Texts for what may be and is not in this checkout: an arm with another hook, a verdict, a state.
WHEN_NEEDED = {
    *(f"stage.{stage.key}" for stage in STAGES if stage.is_hook), "stage.elsewhere",
    "verdict.lower", "verdict.higher", "verdict.inconclusive", "verdict.invalid", "verdict.same",
    "page.language",
}  # fmt: skip


def texts(language: str) -> dict[str, str]:
    return read_texts(FOLDER, language)


def test_the_languages() -> None:
    assert languages(FOLDER) == list(LANGUAGES)


def test_every_language_has_the_same_keys() -> None:
    for language in LANGUAGES:
        assert set(texts(language)) == set(texts("en")), language


def placeholders_of(text: str) -> set[str]:
    """Return the names of the facts that a text asks for."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_text_asks_for_the_same_facts_in_every_language() -> None:
    english = texts("en")
    for language in LANGUAGES:
        for key, text in texts(language).items():
            assert placeholders_of(text) == placeholders_of(english[key]), f"{language}: {key}"


def test_no_text_is_empty_and_none_was_left_untranslated() -> None:
    english, korean = texts("en"), texts("ko")
    for key, text in korean.items():
        assert text.strip(), key
        words = sum(letter.isascii() and letter.isalpha() for letter in english[key])
        if words > 40 and english[key].count(" ") > 6:
            hangul = sum("가" <= letter <= "힣" for letter in text)
            assert hangul > 10, f"{key} has hardly a Korean word"


class Listening(dict[str, str]):
    """Texts that remember which of them were asked for."""

    used: set[str]

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__(given)
        self.used = set()

    def __getitem__(self, key: str) -> str:
        self.used.add(key)
        return super().__getitem__(key)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_missing_and_none_is_unused(
    language: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    listening = Listening(texts(language))
    monkeypatch.setattr(page, "read_texts", lambda *_: listening)
    # A text in paragraphs is asked for as a whole.
    sample = sample_of(load_run(make_run(tmp_path)))
    virtio = Config(machines=MachinesConfig(nic_model="virtio"))
    for made in (sheet(), sheet(virtio), sheet(sample=sample)):
        for instructor in (False, True):
            render_sheet(made, language, instructor=instructor)
    assert set(listening) - listening.used - WHEN_NEEDED == set()


def test_every_verdict_has_a_word() -> None:
    from testbed.analysis.conclusions.comparison import verdict_on
    from testbed.analysis.statistics.intervals import Ratio

    ratios = (
        None,
        Ratio(ratio=1.0, low=0.5, high=2.0, block_count=5),
        Ratio(ratio=0.5, low=0.4, high=0.6, block_count=5),
        Ratio(ratio=2.0, low=1.9, high=2.1, block_count=5),
    )
    assert {f"verdict.{verdict_on(ratio)}" for ratio in ratios} <= set(texts("en"))


def test_marks_become_html_and_everything_else_is_data() -> None:
    made = Catalogue("xx", Path("xx.toml"), {
        "a": "Use `<b> & {name}` and **this**.\n\nThen <i>that</i>: {name}",
    }, {"name": "<script>`x`**y**"})  # fmt: skip
    first, second = made.paragraphs("a")
    assert first == ("Use <code>&lt;b&gt; &amp; &lt;script&gt;`x`**y**</code> and <b>this</b>.")
    assert second == "Then &lt;i&gt;that&lt;/i&gt;: &lt;script&gt;`x`**y**"


def test_facts_of_one_place_win() -> None:
    made = Catalogue("xx", Path("xx.toml"), {"a": "{name} {{literally}}"}, {"name": "all"})
    assert made("a", name="one") == "one {literally}"
    assert made.plain("a") == "all {literally}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{nobody}", "x.toml: a: {nobody} is no fact of the sheet"),
        ("{", "x.toml: a: "),
        ("{0}", "x.toml: a: "),
    ],
)
def test_an_unknown_fact_is_named_with_file_and_key(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Catalogue("x", Path("x.toml"), {"a": text}, {})("a")
    assert caught.value.message.startswith(said)
    assert "facts.py" in caught.value.hint


def test_a_missing_text_is_named_with_file_and_key() -> None:
    with pytest.raises(ConfigError) as caught:
        Catalogue("x", Path("x.toml"), {}, {})("a.b")
    assert caught.value.message == "x.toml: no text 'a.b'"


def test_a_text_that_is_missing_from_a_page_is_the_catalogues_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without = {key: text for key, text in texts("ko").items() if key != "answer.wrong"}
    monkeypatch.setattr(page, "read_texts", lambda *_: without)
    with pytest.raises(ConfigError) as caught:
        render_sheet(sheet(), "ko", instructor=True)
    assert caught.value.message == f"{FOLDER / 'ko.toml'}: no text 'answer.wrong'"


def test_a_catalogue_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_texts(FOLDER, "tlh")
    assert caught.value.message == "there is no sheet in the language 'tlh'"
    assert caught.value.hint.startswith("there are: en, ko;")
    assert caught.value.exit_code is ExitCode.USAGE
    (tmp_path / "xx.toml").write_text('[page]\ntitle = "a\n')
    with pytest.raises(ConfigError, match=r"xx\.toml is not TOML: .*line 2"):
        read_texts(tmp_path, "xx")
    (tmp_path / "xx.toml").write_text("[page]\ntitle = 3\n")
    with pytest.raises(ConfigError, match=r"xx\.toml: page\.title: a text is wanted"):
        read_texts(tmp_path, "xx")


def test_the_catalogues_are_under_the_licence_of_texts() -> None:
    for language in LANGUAGES:
        first = (FOLDER / f"{language}.toml").read_text().splitlines()[0]
        assert first == "# SPDX-License-Identifier: CC-BY-4.0"
    assert catalogue.__doc__
