# SPDX-License-Identifier: Apache-2.0
"""A browser to look at the pages with: the distribution's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.conftest import need
from tests.pages.gallery import gallery
from tests.pages.tab import Tab


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium without a window; root has no sandbox to give it."""
    path = shutil.which("chromium-browser") or need("chromium", "chromium")
    with sync_playwright() as play:
        chromium = play.chromium.launch(
            executable_path=path, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def tab(browser: Browser) -> Tab:
    """Return the tab that shows all pages, one after the other."""
    return Tab(browser)


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that gives a page of the gallery by its name; each is made once."""
    folder: Path = tmp_path_factory.mktemp("pages")
    pages, done = gallery(folder), dict[str, Path]()

    def make(name: str) -> Path:
        if name not in done:
            done[name] = pages[name]()
        return done[name]

    return make
