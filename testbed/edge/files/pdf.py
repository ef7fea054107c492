# SPDX-License-Identifier: Apache-2.0
"""A page becomes a PDF: WeasyPrint, an extra of this project, on this computer's own fonts.

The same page gives the same bytes on a computer with the same fonts and libraries. Nothing is
fetched from elsewhere: a picture lies below the page's folder or inside the page, and a link to a
file stays as relative as the page has it, so no path of this computer gets into the PDF.
"""

import contextlib
import io
import mimetypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from testbed.edge.files import fonts
from testbed.model.errors import HostError, UsageError

EXTRA = "`./lab setup pdf` installs it; with pip it is the extra `pdf`: pip install -e '.[pdf]'"
LIBRARIES = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
RELATIVE = "page:///"
"""The page's address for WeasyPrint. Of a scheme that nobody knows, so that urljoin() gives back
relative links as they are."""


def write_pdf(html: str, base: Path) -> bytes:
    """The page as a PDF; `base` is the folder that its relative pictures lie in.

    Raises HostError naming the extra when WeasyPrint or a library of its is missing, and one
    naming the package when no installed font has a character of the page; UsageError when the
    page wants a picture that is not below `base`.
    """
    weasyprint = _weasyprint()
    fonts.require(html)
    from weasyprint.urls import FatalURLFetchingError, URLFetcher, URLFetcherResponse

    inside_the_page = URLFetcher(allowed_protocols={"data"})

    def fetch(url: str) -> Any:
        if url.startswith("data:"):
            return inside_the_page.fetch(url)
        try:
            path = _below(base, url)
            return URLFetcherResponse(url, path.read_bytes(), {"Content-Type": _kind(path)})
        except (OSError, ValueError) as error:
            raise FatalURLFetchingError(f"{url[:80]}: {error}") from error

    try:
        with _no_time_of_day():
            page = weasyprint.HTML(string=html, base_url=RELATIVE, url_fetcher=fetch)
            return bytes(page.write_pdf(pdf_tags=True))
    except FatalURLFetchingError as error:
        raise UsageError(
            f"the page wants what is not in its folder {base}: {error}",
            hint="correct the template: a PDF is made of the page and the files beside it",
        ) from error


def _weasyprint() -> Any:
    """The library, loaded only when a PDF is made; what it prints about itself is kept."""
    words = io.StringIO()
    try:
        with contextlib.redirect_stdout(words):
            import weasyprint
    except ImportError as error:
        raise HostError(
            f"a PDF needs the extra `pdf`: the Python library {error.name or 'weasyprint'} is "
            "not installed",
            hint=EXTRA,
        ) from error
    except OSError as error:
        raise HostError(
            "a PDF needs the extra `pdf`: WeasyPrint does not find the system library Pango",
            hint=f"`./lab setup pdf` installs it; on Debian: apt-get install {LIBRARIES}",
            detail=str(error),
        ) from error
    return weasyprint


def _below(base: Path, url: str) -> Path:
    """The file that a relative address means; ValueError for one that leads out of `base`."""
    parts = urlsplit(url)
    path = (base / unquote(parts.path)).resolve()
    if parts.scheme or parts.netloc or not path.is_relative_to(base.resolve()):
        raise ValueError("not below the page's folder")
    return path


def _kind(path: Path) -> str:
    return mimetypes.guess_type(path.name)[0] or "application/octet-stream"


@contextlib.contextmanager
def _no_time_of_day() -> Iterator[None]:
    """A font that is cut down to the letters in use would else get the time as its date."""
    name = "SOURCE_DATE_EPOCH"
    before = os.environ.get(name)
    os.environ[name] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
