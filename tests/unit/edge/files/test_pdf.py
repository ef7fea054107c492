# SPDX-License-Identifier: Apache-2.0
"""The PDF: the same bytes twice, nothing from elsewhere, and a clear word for what is missing."""

import os
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.edge.files import fonts
from testbed.edge.files.pdf import write_pdf
from testbed.model.errors import HostError, UsageError

PAGE = (
    "<!DOCTYPE html><html lang='en'><title>A page</title><h1>A page</h1>"
    "<p><a href='raw/01-xdp/'>its files</a> and text</p>{more}</html>"
)
DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY"
    "42YAAAAASUVORK5CYII="
)
Tool = Callable[[str, str], Path]


def inside(pdf: bytes) -> bytes:
    """The PDF with its streams unpacked."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.S)
    unpacked = [pdf]
    for stream in streams:
        try:
            unpacked.append(zlib.decompress(stream))
        except zlib.error:
            continue
    return b"\n".join(unpacked)


def test_another_process_gives_the_same_bytes(tmp_path: Path) -> None:
    html = PAGE.format(more="<svg width='9' height='9'><text y='9'>svg</text></svg>")
    (tmp_path / "page.html").write_text(html)
    code = (
        "import sys; from pathlib import Path; from testbed.edge.files.pdf import write_pdf\n"
        "sys.stdout.buffer.write(write_pdf(Path('page.html').read_text(), Path('.')))"
    )
    made = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Seoul"))
    ]  # fmt: skip
    assert made[0].startswith(b"%PDF-")
    assert made[0] == made[1]


def test_a_link_stays_relative_and_no_path_of_this_computer_gets_in(tmp_path: Path) -> None:
    text = inside(write_pdf(PAGE.format(more=""), tmp_path))
    assert b"(raw/01-xdp/)" in text
    assert str(tmp_path).encode() not in text
    assert b"file:" not in text


def test_a_picture_beside_the_page_and_one_inside_it(tmp_path: Path) -> None:
    import base64

    (tmp_path / "plots").mkdir()
    (tmp_path / "plots/dot.png").write_bytes(base64.b64decode(DOT.partition(",")[2]))
    more = f"<img alt='' src='plots/dot.png'><img alt='' src='{DOT}'>"
    without, with_both = (write_pdf(PAGE.format(more=m), tmp_path) for m in ("", more))
    assert b"/Image" not in inside(without)
    assert b"/Image" in inside(with_both)


@pytest.mark.parametrize(
    "address",
    ["https://example.org/x.png", "../x.png", "/etc/hostname", "file:///etc/hostname", "no.png"],
)
def test_a_picture_from_elsewhere_is_refused(tmp_path: Path, address: str) -> None:
    (tmp_path.parent / "x.png").write_bytes(b"")
    with pytest.raises(UsageError) as caught:
        write_pdf(PAGE.format(more=f"<img alt='' src='{address}'>"), tmp_path)
    assert str(tmp_path) in caught.value.message
    assert "correct the template" in caught.value.hint


def test_without_the_extra_its_name_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(HostError) as caught:
        write_pdf(PAGE, tmp_path)
    assert caught.value.exit_code == 3
    assert "a PDF needs the extra `pdf`" in caught.value.message
    assert "./lab setup pdf" in caught.value.hint


def test_without_pango_its_package_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "weasyprint"
    package.mkdir()
    (package / "__init__.py").write_text(
        "print('lines of its own')\nraise OSError(\"cannot load library 'libpango-1.0-0'\")\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "weasyprint", raising=False)
    with pytest.raises(HostError) as caught:
        write_pdf(PAGE, tmp_path)
    assert "libpango-1.0-0 libpangoft2-1.0-0" in caught.value.hint
    assert "cannot load library" in caught.value.detail
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("text", "said", "package"),
    [
        ("한국어", "“국” (U+AD6D), “어” (U+C5B4), “한” (U+D55C), which", "fonts-nanum"),
        ("日本語カ", "and 1 more", "fonts-noto-cjk"),
        ("Ж", "“Ж” (U+0416), which", "fonts-dejavu-core"),
    ],
)
def test_letters_without_a_font_are_named_with_a_package_that_has_them(
    tmp_path: Path, tool: Tool, text: str, said: str, package: str
) -> None:
    tool("fc-list", "printf '20-7e a0-17f\\n20-7e\\n'")
    with pytest.raises(HostError) as caught:
        write_pdf(PAGE.format(more=f"<p>{text}</p>"), tmp_path)
    assert said in caught.value.message
    assert package in caught.value.hint
    assert caught.value.exit_code == 3


def test_what_is_not_drawn_needs_no_font(tool: Tool) -> None:
    tool("fc-list", "echo 20-7e")
    fonts.require("<style>p::before { content: '한' }</style><p>a\u00a0b\u200b \u202e\u0007\n</p>")


def test_without_any_font_the_first_letter_is_missing(tool: Tool) -> None:
    tool("fc-list", "true")
    with pytest.raises(HostError, match="no installed font has “a”"):
        fonts.require("<p>a</p>")


def test_korean_is_drawn_with_the_fonts_that_the_tests_install(tmp_path: Path) -> None:
    assert write_pdf(PAGE.format(more="<p lang='ko'>넷필터와 XDP</p>"), tmp_path)
