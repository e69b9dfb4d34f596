"""The pager's edge: one HTTP request to an address of the operator's, one command of theirs. Never our own streams.

The address is this installation's own setting, so it may be internal, and http; no redirect is followed, no proxy
asked, and every call ends within its time and size. A command is run without a shell and without our secrets, and reads
JSON. Refuses to retry or to remember: that is for ``alarms``.
"""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

STEP_SECONDS: Final = 5.0
TOTAL_SECONDS: Final = 10.0
SIZE: Final = 64 * 1024  # octets of an answer, which nobody reads
SAID: Final = 300  # characters of a failure that are kept
AGENT: Final = "AgentOutbox"
INHERITED: Final = ("PATH", "HOME", "LANG", "TZ")


class NotTold(Exception):
    """The pager did not take it; the message says why, for people, and never the address."""


def call(url: str, body: bytes | None = None) -> None:
    """POST a JSON body; or GET, without one.

    Raises:
        NotTold: no answer in time, or one that is not 2xx.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"User-Agent": AGENT} | ({"Content-Type": "application/json"} if body else {})
    line = kind(parts.hostname or "", parts.port, timeout=STEP_SECONDS)
    try:
        with _within(line, TOTAL_SECONDS):
            line.request("POST" if body else "GET", target, body, headers)
            answer = line.getresponse()
            answer.read(SIZE)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotTold(f"{type(error).__name__}: {error}"[:SAID]) from error
    finally:
        line.close()
    if not 200 <= answer.status < 300:
        raise NotTold(f"it answered {answer.status}")


def run(command: Sequence[str], body: bytes) -> None:
    """Run a command with the body on its standard input.

    Raises:
        NotTold: it could not be run, ended with an error, or not in time.
    """
    env = {name: os.environ[name] for name in INHERITED if name in os.environ}
    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own words, and no shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=env,
            start_new_session=True,
        )
    except OSError as error:
        raise NotTold(f"it could not be run: {error}"[:SAID]) from error
    with process:
        try:
            _, said = process.communicate(body, timeout=TOTAL_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise NotTold(f"the command did not end within {TOTAL_SECONDS:g} s") from None
    if process.returncode:
        words = said.decode("utf-8", "replace").strip()[-SAID:]
        raise NotTold(f"the command ended with {process.returncode}: {words}")


@contextlib.contextmanager
def _within(line: http.client.HTTPConnection, seconds: float) -> Iterator[None]:
    """Connect, and end the connection after so many seconds, however slowly it drips."""
    line.connect()
    with socket.socket(fileno=os.dup(line.sock.fileno())) as handle:
        timer = threading.Timer(seconds, _shut, [handle])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _shut(handle: socket.socket) -> None:
    with contextlib.suppress(OSError):
        handle.shutdown(socket.SHUT_RDWR)
