"""`package` and `serve`: what they print, and what they say when they cannot."""

import json
import threading
import urllib.request
from pathlib import Path

import pytest

from edgeafri.apps import server, web
from edgeafri.cli import execute


@pytest.fixture(autouse=True)
def vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries that need no network."""
    library = tmp_path / "library.mjs"
    library.write_text("lib\n", "utf-8")
    monkeypatch.setattr(web, "libraries", lambda lock, step: {"library.mjs": library})


def test_package_writes_a_page_and_says_where(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    How many files, how large, and the folder.
    """
    code = execute(["package", str(bundle), "--format", "web", "--out", str(tmp_path / "page")])

    assert code == 0
    assert capsys.readouterr().out.endswith(f"{tmp_path / 'page'}\n")
    assert (tmp_path / "page" / "index.html").is_file()


def test_package_says_the_same_as_json(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    One document on stdout.
    """
    code = execute(["package", str(bundle), "--format", "zip", "--out", str(tmp_path / "page.zip"), "--json"])
    answer = json.loads(capsys.readouterr().out)

    assert code == 0
    assert (answer["format"], answer["warnings"]) == ("zip", [])
    assert answer["out"] == str(tmp_path / "page.zip")
    assert (tmp_path / "page.zip").is_file()


def test_package_of_what_is_no_bundle_names_the_next_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    Exit code 4, and no traceback.
    """
    code = execute(["package", str(tmp_path), "--format", "web", "--out", str(tmp_path / "page")])
    told = capsys.readouterr().err

    assert code == 4
    assert "not an EdgeAfri artifact" in told
    assert "next:" in told


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("0.0.0.0", True)])  # noqa: S104  # asked for
def test_serve_listens_here_and_warns_before_it_listens_elsewhere(
    bundle: Path, host: str, warned: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """
    The address is printed; a browser would find the page there.
    """
    seen = {}

    def visited(self: server.PageServer, *args: object) -> None:
        thread = threading.Thread(target=server.ThreadingHTTPServer.serve_forever, args=(self,), daemon=True)
        thread.start()
        port = self.server_address[1]
        seen["page"] = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read()
        self.shutdown()

    monkeypatch.setattr(server.PageServer, "serve_forever", visited)
    code = execute(["serve", str(bundle), "--port", "0", "--host", host])
    said = capsys.readouterr()

    assert code == 0
    assert b"<title>EdgeAfri" in seen["page"]
    assert said.out.startswith(f"http://{host}:")
    assert ("warning: listening on" in said.err) == warned


def test_serve_says_when_a_port_cannot_be_had(bundle: Path, capsys: pytest.CaptureFixture[str]):
    """
    Exit code 2, with a way out.
    """
    with server.open_server({}, "127.0.0.1", 0) as taken:
        code = execute(["serve", str(bundle), "--port", str(taken.server_address[1])])

    assert code == 2
    assert "cannot listen on 127.0.0.1" in capsys.readouterr().err


def test_serve_ends_well_with_ctrl_c(bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """
    That is how a person ends it; nothing was interrupted.
    """

    def interrupted(self: server.PageServer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(server.PageServer, "serve_forever", interrupted)

    assert execute(["serve", str(bundle), "--port", "0"]) == 0
    assert "interrupted" not in capsys.readouterr().err
