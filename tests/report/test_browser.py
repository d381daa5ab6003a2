"""The page in a real browser: it fits a phone, asks for nothing, and is there in light, dark and print.

EDGEAFRI_SHOTS names a folder for the screenshots.
"""

import os
import re
import shutil
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edgeafri.documents.build import BuildResult
from edgeafri.documents.profile import Profile
from edgeafri.report import from_documents
from edgeafri.report.entry import Entry, merged
from edgeafri.report.page import to_html


def of_build(document: dict[str, Any]) -> Entry:
    return from_documents.of_build(BuildResult.from_json(document))


def of_profile(document: dict[str, Any]) -> Entry:
    return from_documents.of_profile(Profile.from_json(document))


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# What the browser asks by itself, whatever it shows: it does not go through the proxy, and finds no address.
_ITS_OWN = "update.googleapis.com;clients2.google.com;accounts.google.com"
PHONE, DESKTOP = 360, 1100
# A window of Chromium is at least 500 wide: the page stands in a frame, whose width the page takes for the screen's.
FRAME = """<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<style>body {{ margin: 0 }} iframe {{ border: 0; width: {width}px; height: {height}px }}</style>
<iframe src="page.html"></iframe>
<script>
const frame = document.querySelector("iframe")
frame.onload = () => {{
  const page = frame.contentDocument, width = frame.clientWidth
  const out = [...page.querySelectorAll("body *")].filter(
    (part) => part.getBoundingClientRect().right > width + 1 && !part.closest(".wide"))
  const text = getComputedStyle(page.body).color
  document.title = [page.documentElement.scrollWidth, out.length, text].join("|")
}}
</script>
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; apt-get install chromium"),
]


class Site(ThreadingHTTPServer):
    """A web server and a proxy in one: it knows the files that it is given, and remembers all that it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, str] = {}
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body = self.server.files.get(self.path.removeprefix("/"))
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        with suppress(BrokenPipeError):  # the browser has printed the page and gone
            self.wfile.write((body or "").encode())

    def do_CONNECT(self) -> None:
        self.server.asked.append(self.path)
        self.send_error(502)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def browser(tmp_path: Path, site: Site) -> Callable[..., str]:
    """
    A function: arguments to what Chromium prints. What is not on this machine it asks of the site, as its proxy.
    """

    def run(*arguments: str) -> str:
        command = [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"),
            *(f"--proxy-bypass-list={_ITS_OWN}", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
            *("--hide-scrollbars", f"--user-data-dir={tmp_path / 'browser'}", f"--proxy-server={site.address}"),
        ]
        home = {**os.environ, "HOME": str(tmp_path)}
        done = subprocess.run([*command, *arguments], env=home, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(params=["one", "several"])
def page(
    request: pytest.FixtureRequest,
    document: dict[str, Any],
    several: list[dict[str, Any]],
    profile: dict[str, Any],
    outliers: dict[str, Any],
) -> tuple[str, str]:
    """
    The page of one bundle with all tiers, or of three, with names as long as people make them; and which it is.
    """
    document["bundle"] = f"/home/someone/{'a-long-name-' * 12}/work/bundle-3f2a"
    document["host"]["device"] = "Raspberry_Pi_Compute_Module_4_with_a_name_that_has_no_place_to_break_a_line_at_all"
    parity = {"on": "dev", "sentences": dict.fromkeys(document["languages"], 64), "int8_arithmetic": "exact"}
    gap = {"largest": 0.14, "mean": 0.013, "flips": 1, "flips_percent": 0.02}
    row = {"stage": "export-onnx", "f1": dict.fromkeys(document["languages"], 79.75), "step": gap, "reference": gap}
    document["steps"][2]["facts"] = {"outliers": outliers}
    document["parity"] = {**parity, "rows": [row] * 6}
    if request.param == "one":
        return "one", to_html(merged([of_build(document), of_profile(profile)]))
    profiles = [of_profile({**profile, "bundle_id": build["artifact_id"]}) for build in several]
    return "several", to_html(merged([*map(of_build, several), *profiles]))


@pytest.mark.parametrize("width", [320, PHONE, DESKTOP])
def test_no_page_is_wider_than_its_screen(width: int, page: tuple[str, str], site: Site, browser: Callable[..., str]):
    """
    Nothing sticks out to the right, and only wide tables scroll, in a frame of their own.
    """
    site.files = {"page.html": page[1], "frame.html": FRAME.format(width=width, height=2000)}
    printed = browser(f"--window-size={max(width, 500)},2000", "--dump-dom", f"{site.address}/frame.html")
    scroll, sticking_out, _ = _measured(printed)

    assert scroll == str(width)
    assert sticking_out == "0"


@pytest.mark.parametrize(("scheme", "ink"), [("light", "rgb(29, 37, 33)"), ("dark", "rgb(230, 235, 232)")])
def test_the_page_follows_the_system_into_the_dark(
    scheme: str, ink: str, page: tuple[str, str], site: Site, browser: Callable[..., str], shots: Path
):
    """
    Screenshots of a phone and of a desktop, each with something on it.
    """
    blink = "--blink-settings=preferredColorScheme=" + ("0" if scheme == "dark" else "1")
    for width in (PHONE, DESKTOP):
        site.files = {"page.html": page[1], "frame.html": FRAME.format(width=width, height=6000)}
        file = shots / f"{page[0]}-{scheme}-{width}.png"
        frame = f"{site.address}/frame.html"
        browser(blink, f"--window-size={max(width, 500)},6000", f"--screenshot={file}", frame)

        assert struct.unpack(">I", file.read_bytes()[16:20])[0] == max(width, 500)
        assert file.stat().st_size > 50_000
    assert _measured(browser(blink, "--dump-dom", frame))[2] == ink


def test_the_page_asks_for_nothing(page: tuple[str, str], site: Site, browser: Callable[..., str]):
    """
    All that leaves the browser goes through the proxy, and the page alone is asked for.
    """
    site.files = {"page.html": page[1]}
    browser("--dump-dom", f"{site.address}/page.html")

    assert _of_pages(site.asked) == ["/page.html"]


def test_a_page_that_asks_would_be_seen(site: Site, browser: Callable[..., str]):
    """
    A counter that counts nothing would pass as well; and the page's own rule stops what slipped in.
    """
    picture = '<img src="http://example.invalid/picture.png">'
    rule = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', to_html([Entry("1")]))
    assert rule is not None
    site.files = {"open.html": picture, "ruled.html": rule[0] + picture}
    browser("--dump-dom", f"{site.address}/open.html")
    browser("--dump-dom", f"{site.address}/ruled.html")

    assert _of_pages(site.asked) == ["/open.html", "http://example.invalid/picture.png", "/ruled.html"]


def test_the_page_prints(page: tuple[str, str], site: Site, browser: Callable[..., str], shots: Path):
    """
    As several sheets.
    """
    site.files = {"page.html": page[1]}
    file = shots / f"{page[0]}.pdf"
    browser("--no-pdf-header-footer", f"--print-to-pdf={file}", f"{site.address}/page.html")

    assert file.read_bytes().startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", file.read_bytes())) >= 2


def _measured(printed: str) -> list[str]:
    """What the frame's script found: width of the page, how many parts stick out, colour of the text."""
    title = re.search(r"<title>(.*?)</title>", printed)
    assert title is not None, printed[:500]
    return title[1].split("|")


def _of_pages(asked: list[str]) -> list[str]:
    """Requests of pages, without the browser's own for an icon."""
    return [path for path in asked if not path.endswith("/favicon.ico")]
