"""A browser and a web server for pages: Debian's chromium over the real middleware, static files included."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from django.core.servers.basehttp import ThreadedWSGIServer
from django.test import Client
from django.test.testcases import LiveServerThread, _StaticFilesHandler
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

SIZES = {"phone": (360, 780), "desktop": (1280, 900)}
SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")


class _Server(LiveServerThread):
    server_class = ThreadedWSGIServer


@dataclass
class Window:
    """A browser window in which somebody is logged in, and what it complained about."""

    context: BrowserContext
    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str, picture: str = "") -> Page:
        """Go there; with AO_PICTURES set to a folder, keep a picture of the whole page."""
        self.page.goto(self.base + path)
        self.keep(picture)
        return self.page

    def schemes(self, picture: str) -> Iterator[str]:
        """The page that is open, in light and in dark; a picture of each."""
        for scheme in SCHEMES:
            self.page.emulate_media(color_scheme=scheme)
            self.keep(f"{picture}-{scheme}")
            yield scheme

    def keep(self, picture: str) -> None:
        """A picture of the whole page, where AO_PICTURES says a folder."""
        folder = os.environ.get("AO_PICTURES")
        if folder and picture:
            self.page.screenshot(path=Path(folder) / f"{picture}.png", full_page=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    binary = shutil.which("chromium")
    if binary is None:
        pytest.skip("Debian's chromium is not installed")
    # Playwright's loop runs in the thread of the test, so it must be gone before a test wants a loop of its own.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=binary, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def server(live_db: Any) -> Iterator[str]:
    thread = _Server("127.0.0.1", _StaticFilesHandler, connections_override={})
    thread.daemon = True
    thread.start()
    thread.is_ready.wait()
    assert thread.error is None
    yield f"http://127.0.0.1:{thread.port}"
    thread.terminate()


@pytest.fixture
def window(browser: Browser, server: str) -> Iterator[Callable[..., Window]]:
    """Open a window: ``window(client, size, scheme, javascript=True, zone="UTC")``; its complaints fail the test."""
    opened: list[Window] = []

    def make(client: Client, size: str, scheme: Any, javascript: bool = True, zone: str = "UTC") -> Window:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            java_script_enabled=javascript,
            timezone_id=zone,
        )
        context.add_cookies(
            [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": server}]
        )
        made = Window(context, context.new_page(), server)
        made.page.on("console", lambda said: made.complaints.append(said.text))
        made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
        made.page.on("dialog", lambda dialog: (made.complaints.append(dialog.message), dialog.dismiss()))
        opened.append(made)
        return made

    yield make
    for each in opened:
        each.context.close()
    assert [complaint for each in opened for complaint in each.complaints] == []
