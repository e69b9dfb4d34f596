"""A real local HTTP server that remembers what it was told and answers as it is bidden."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest


@dataclass
class Ear:
    """``heard`` holds (method, path, body); ``answers`` are the statuses to come, then 200 for ever."""

    url: str = ""
    heard: list[tuple[str, str, Any]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    hangs: threading.Event | None = None
    location: str = ""


@pytest.fixture
def ear() -> Iterator[Ear]:
    mine = Ear()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if mine.hangs:
                mine.hangs.wait(20)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            mine.heard.append((self.command, self.path, orjson.loads(body) if body else None))
            self.send_response(mine.answers.pop(0) if mine.answers else 200)
            if mine.location:
                self.send_header("Location", mine.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        mine.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
        thread.start()
        yield mine
        if mine.hangs:
            mine.hangs.set()
        server.shutdown()
