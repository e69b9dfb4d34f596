"""MTA-STS policies, served over HTTPS for `mta-sts.<domain>` (RFC 8461 3.3); the TXT records are in `names`.

Each domain asks for something else, and its mail host (`hosts`) keeps it or does not. One request a connection; a
name without a policy gets 404.
"""

import asyncio
from contextlib import suppress
from typing import Final

PATIENCE: Final = 10.0  # seconds for a request
PATH: Final = b"GET /.well-known/mta-sts.txt "


def _policy(mode: str, host: str) -> str:
    return f"version: STSv1\r\nmode: {mode}\r\nmx: {host}\r\nmax_age: 86400\r\n"


POLICIES: Final[dict[str, str]] = {
    "sts.test": _policy("enforce", "mx.sts.test"),
    "sts-testing.test": _policy("testing", "mx.sts-testing.test"),
    "sts-badcert.test": _policy("enforce", "*.sts-badcert.test"),
    "sts-selfsigned.test": _policy("enforce", "mx.sts-selfsigned.test"),
    "sts-nomatch.test": _policy("enforce", "mx.elsewhere.test"),
    "sts-notls.test": _policy("enforce", "mx.sts-notls.test"),
    "sts-nopolicy.test": "",  # the record is there, the file is not
}
"""What each domain publishes; nothing is 404."""


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request and close."""
    with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(PATIENCE):
            writer.write(answer(await reader.readuntil(b"\r\n\r\n")))
            await writer.drain()
    writer.close()


def answer(request: bytes) -> bytes:
    """The response to one request."""
    named = (
        line.partition(b":")[2].strip() for line in request.split(b"\r\n") if line[:5].lower() == b"host:"
    )
    domain = next(named, b"").decode("latin-1").partition(":")[0].removeprefix("mta-sts.")
    found = POLICIES.get(domain, "") if request.startswith(PATH) else ""
    status = "200 OK" if found else "404 Not Found"
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(found)}\r\nConnection: close\r\n"
    return f"{head}\r\n{found}".encode()
