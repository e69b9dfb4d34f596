"""Sends reports to the product's bounce listener, out of the way of the event loop.

Guarantees: the null return-path (RFC 5321 §4.5.5), at most 10,000 reports waiting, and that nothing raised
here reaches a connection: a report that cannot be sent is printed and lost, as on the real internet. Never
reports on a message that had a null return-path itself.
"""

import asyncio
import smtplib
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import Final

from simulator.received import Message
from simulator.reports import Subject, arf, dsn, headers_of

MAX_WAITING: Final = 10_000
TIMEOUT_SECONDS: Final = 10.0


class Returns:
    """Reports to `target` (host, port); dropped if None. `feedback` overrides where abuse reports go."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, target: tuple[str, int] | None, feedback: str | None = None
    ) -> None:
        self._loop = loop
        self._target = target
        self._feedback = feedback
        self._threads = ThreadPoolExecutor(2, "returns")
        self._waiting = 0
        self.sent = 0

    def bounce(self, message: Message, rcpt: str, reporter: str, *, delay: float = 0.0) -> None:
        """A DSN to the return-path, `delay` seconds from now."""
        self._later(delay, dsn, _subject(message, rcpt, reporter), message.mail_from)

    def complain(self, message: Message, rcpt: str, reporter: str, *, delay: float = 0.0) -> None:
        """An abuse report to the feedback address, else the return-path."""
        self._later(delay, arf, _subject(message, rcpt, reporter), self._feedback or message.mail_from)

    def _later(self, delay: float, write: Callable[[Subject], bytes], about: Subject, to: str) -> None:
        if self._target is None or not about.return_path or self._waiting >= MAX_WAITING:
            return
        self._waiting += 1
        self._loop.call_later(delay, self._hand_over, write, about, to)

    def _hand_over(self, write: Callable[[Subject], bytes], about: Subject, to: str) -> None:
        self._waiting -= 1
        try:
            self._threads.submit(self._send, write, about, to)
        except RuntimeError:
            return  # closed meanwhile

    def _send(self, write: Callable[[Subject], bytes], about: Subject, to: str) -> None:
        assert self._target is not None
        try:
            with smtplib.SMTP(
                *self._target, local_hostname=about.reporter, timeout=TIMEOUT_SECONDS
            ) as client:
                client.sendmail("", [to], write(about))
            self.sent += 1
        except (OSError, smtplib.SMTPException) as error:
            print(f"simulator: report to <{to}> not sent: {error}", file=sys.stderr)

    def close(self) -> None:
        """Drop what waits."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def _subject(message: Message, rcpt: str, reporter: str) -> Subject:
    return Subject(message.mail_from, rcpt, headers_of(message.body), reporter, formatdate(message.t_dot))
