"""The server of a page: the files it knows and nothing else, with the right types, ranges and policy."""

import http.client
import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from edgeafri.apps.server import PageServer, open_server, part_of, policy
from edgeafri.errors import UsageError

TEN = b"0123456789"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PageServer]:
    (tmp_path / "index.html").write_text("<p>page", "utf-8")
    (tmp_path / "model.onnx").write_bytes(TEN)
    (tmp_path / "secret.txt").write_text("secret", "utf-8")
    files = {"index.html": tmp_path / "index.html", "bundle/model.onnx": tmp_path / "model.onnx"}
    kinds = {f"a{suffix}": tmp_path / f"a{suffix}" for suffix in (".mjs", ".wasm", ".json", ".css", ".jsonl", ".svg")}
    for path in kinds.values():
        path.write_bytes(TEN)
    with open_server({**files, **kinds}, "127.0.0.1", 0) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def asked(server: PageServer, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    connection.close()
    return found


def test_the_page_stands_at_the_root(server: PageServer):
    """
    With a policy that lets nothing in from elsewhere, and no guessing of types.
    """
    status, headers, body = asked(server, "/")

    assert (status, body) == (200, b"<p>page")
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'")
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/secret.txt",
        "/../secret.txt",
        "/bundle/../secret.txt",
        "/%2e%2e/secret.txt",
        "/bundle/..%2fsecret.txt",
        "//etc/passwd",
        "/bundle",
        "/bundle/",
        "/model.onnx",
        "/index.html/",
        "/index.html%00",
        "http://elsewhere/index.html",
    ],
)
def test_what_is_not_listed_is_not_there(server: PageServer, path: str):
    """
    Names are looked up in a table, never on the disk, so no path leads out of it.
    """
    status, _, body = asked(server, path)

    assert status == 404
    assert b"secret" not in body


def test_a_request_for_no_path_gets_an_answer(server: PageServer, capfd: pytest.CaptureFixture[str]):
    """
    A browser asks for paths alone; what else comes along is not there, and no traceback is printed.
    """
    with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=5) as connection:
        connection.sendall(b"GET http://[ HTTP/1.1\r\nConnection: close\r\n\r\n")
        answer = connection.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.1 404 ")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_reading_is_served(server: PageServer, method: str):
    """
    The page sends nothing, so nothing is taken.
    """
    assert asked(server, "/", method)[0] == 501


def test_head_says_how_long_a_file_is(server: PageServer):
    """
    And sends nothing of it.
    """
    status, headers, body = asked(server, "/bundle/model.onnx", "HEAD")

    assert (status, headers["content-length"], body) == (200, "10", b"")


@pytest.mark.parametrize(
    ("header", "expected", "span"),
    [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=5-99", b"56789", "bytes 5-9/10"),
    ],
)
def test_a_part_of_a_file_can_be_had(server: PageServer, header: str, expected: bytes, span: str):
    """
    From the start, to the end, the last bytes, and past the end.
    """
    status, headers, body = asked(server, "/bundle/model.onnx", Range=header)

    assert (status, body, headers["content-range"]) == (206, expected, span)


def test_a_part_that_is_not_there_is_refused(server: PageServer):
    """
    With the size, so that whoever asks knows better.
    """
    status, headers, body = asked(server, "/bundle/model.onnx", Range="bytes=10-")

    assert (status, headers["content-range"], body) == (416, "bytes */10", b"")


@pytest.mark.parametrize("header", ["bytes=0-1,3-4", "lines=1-2", "bytes=-", ""])
def test_other_ranges_get_the_whole(header: str):
    """
    As a server may answer.
    """
    assert part_of(header, 10) is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.wasm", "application/wasm"),
        ("a.json", "application/json; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.svg", "image/svg+xml"),
        ("bundle/model.onnx", "application/octet-stream"),
    ],
)
def test_types_are_what_browsers_insist_on(server: PageServer, name: str, kind: str):
    """
    A module of another type is not run, and WebAssembly of another type not compiled while it comes in.
    """
    assert asked(server, f"/{name}")[1]["content-type"] == kind


def test_the_page_learns_what_this_computer_is_called(server: PageServer):
    """
    For the measurements that it makes.
    """
    assert set(json.loads(asked(server, "/device.json")[2])) == {"name"}


def test_an_old_chromium_gets_the_policy_that_it_knows():
    """
    Before 97 there is no 'wasm-unsafe-eval', and WebAssembly needs 'unsafe-eval'; nobody else gets that.
    """
    old, new = "Mozilla/5.0 Chrome/92.0.4515.107 Safari", "Mozilla/5.0 Chrome/97.0.1 Safari"

    assert "'unsafe-eval'" in policy(old)
    assert "'unsafe-eval'" not in policy(new)
    assert "'unsafe-eval'" not in policy("Firefox/115.0")


def test_a_browser_that_goes_away_is_no_failure(server: PageServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """
    A tab that is closed while the model comes in prints nothing.
    """
    (tmp_path / "model.onnx").write_bytes(bytes(20_000_000))
    with socket.create_connection(server.server_address) as connection:
        connection.sendall(b"GET /bundle/model.onnx HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.recv(10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # ends with a reset

    assert asked(server, "/")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_port_that_is_taken_is_told(server: PageServer, tmp_path: Path):
    """
    With a way out.
    """
    with pytest.raises(UsageError, match=r"cannot listen on 127\.0\.0\.1, port \d+") as caught:
        open_server({}, "127.0.0.1", server.server_address[1])

    assert "0 for a free one" in caught.value.hint
