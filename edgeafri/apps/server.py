"""server: serves the files of one page and nothing else, to this computer alone unless told otherwise."""

import json
import re
import sys
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket
from typing import BinaryIO
from urllib.parse import unquote

from edgeafri.benchmark.machine import device_name
from edgeafri.errors import UsageError

# The page may load from its own origin and run WebAssembly: nothing inline, nothing from elsewhere.
# 'unsafe-eval' is how Chromium before 97 spells 'wasm-unsafe-eval'; newer ones do not get it.
POLICY = (
    "default-src 'none'; script-src 'self' {eval}; worker-src 'self'; connect-src 'self'; style-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_OLD = 97
MIME_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".jsonl": "application/json; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}
_BYTES = "application/octet-stream"
_CHUNK = 1 << 18
LOOPBACK = ("127.0.0.1", "localhost")


class PageServer(ThreadingHTTPServer):
    """Serves `files`, paths by name, and to this computer alone `known`, JSON texts about it by name."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], files: Mapping[str, Path], known: Mapping[str, str]) -> None:
        self.files = dict(files)
        self.known = dict(known)
        super().__init__(address, _Handler)

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: tuple[str, int]) -> None:
        """Report an error, but not that a browser went away in the middle of a file."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        host, port = str(self.server_address[0]), self.server_address[1]
        return f"http://{host}:{port}/"


def open_server(files: Mapping[str, Path], host: str, port: int) -> PageServer:
    """A server that listens on that address, and knows the name of this computer. UsageError when it cannot listen."""
    device = json.dumps({"name": device_name()}, ensure_ascii=False)
    try:
        return PageServer((host, port), files, {"device.json": device})
    except (OSError, OverflowError) as error:
        hint = "Choose another --port, or 0 for a free one; --host 127.0.0.1 is this computer."
        raise UsageError(f"cannot listen on {host}, port {port} ({error})", hint) from None


def policy(user_agent: str) -> str:
    """The content security policy for a browser."""
    version = re.search(r"Chrome/(\d+)", user_agent)
    old = version is not None and int(version[1]) < _OLD
    return POLICY.format(eval="'unsafe-eval'" if old else "'wasm-unsafe-eval'")


def part_of(header: str | None, size: int) -> tuple[int, int] | None:
    """The first and last byte that a Range header asks for; None for the whole file. ValueError: not a part of it."""
    if not header:
        return None
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if asked is None or not any(asked.groups()):
        return None  # for several ranges or another unit, the whole file is a valid answer
    first, last = asked.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last), size - 1) if first and last else size - 1
    if start > end or start >= size:
        raise ValueError(f"bytes {start}-{end} of {size}")
    return start, end


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version = "edgeafri"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is http.server's
        """Log nothing: what the user asks for is private."""

    def _answer(self, body: bool) -> None:
        name = unquote(re.split("[?#]", self.path, maxsplit=1)[0]).removeprefix("/") or "index.html"
        if (
            name in self.server.known and self.client_address[0] in LOOPBACK
        ):  # not this computer: another device has another name
            return self._text(HTTPStatus.OK, self.server.known[name], MIME_TYPES[".json"], body)
        path = self.server.files.get(name)
        if path is None or not path.is_file():
            return self._text(HTTPStatus.NOT_FOUND, "no such file\n", MIME_TYPES[".txt"], body)
        return self._file(path, body)

    def _file(self, path: Path, body: bool) -> None:
        size = path.stat().st_size
        try:
            part = part_of(self.headers.get("Range"), size)
        except ValueError:
            self._head(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, _BYTES, f"bytes */{size}")
            return
        start, end = part or (0, size - 1)
        status = HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK
        kind = MIME_TYPES.get(path.suffix, _BYTES)
        self._head(status, end - start + 1, kind, f"bytes {start}-{end}/{size}" if part else None)
        if body:
            with path.open("rb") as file:
                file.seek(start)
                self._send(file, end - start + 1)

    def _send(self, file: BinaryIO, count: int) -> None:
        while count and (chunk := file.read(min(_CHUNK, count))):
            self.wfile.write(chunk)
            count -= len(chunk)

    def _text(self, status: HTTPStatus, text: str, kind: str, body: bool) -> None:
        data = text.encode()
        self._head(status, len(data), kind)
        if body:
            self.wfile.write(data)

    def _head(self, status: HTTPStatus, length: int, kind: str, content_range: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        if content_range:
            self.send_header("Content-Range", content_range)
        self.send_header("Content-Security-Policy", policy(self.headers.get("User-Agent", "")))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-cache")
        self.end_headers()
