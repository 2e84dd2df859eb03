"""A small HTTP server with ranges, stamps and planted faults."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """What the server has and what was asked of it.

    Attributes:
        files: path -> content.
        stamps: path -> ETag; without one the server cannot go on with a file.
        breaks: path -> after how many bytes each of the next answers breaks off.
        status: path -> status that is answered instead of the content.
        asked: path and Range header of every request.
        address: where the server is.
    """

    files: dict[str, bytes]
    stamps: dict[str, str] = field(default_factory=dict)
    breaks: dict[str, list[int]] = field(default_factory=dict)
    status: dict[str, list[int]] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    address: str = ""


@contextmanager
def served(files: dict[str, bytes]) -> Iterator[Served]:
    """Serve files on a free port of this machine."""
    state = Served(files)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, state)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(request: BaseHTTPRequestHandler, state: Served) -> None:
    path, asked = request.path, request.headers.get("Range")
    state.asked.append((path, asked))
    if state.status.get(path):
        request.send_error(state.status[path].pop(0))
        return
    if path not in state.files:
        request.send_error(404)
        return
    content, stamp = state.files[path], state.stamps.get(path)
    same = stamp is not None and request.headers.get("If-Range") == stamp
    start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and same else 0
    if start and start >= len(content):
        request.send_response(416)
        request.send_header("Content-Range", f"bytes */{len(content)}")
        request.end_headers()
        return
    request.send_response(206 if start else 200)
    request.send_header("Content-Length", str(len(content) - start))
    if start:
        request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    if stamp is not None:
        request.send_header("ETag", stamp)
    request.end_headers()
    breaks = state.breaks.get(path)
    request.wfile.write(content[start:][: breaks.pop(0)] if breaks else content[start:])
