"""The first thing anybody writes: smtplib, one message after the other, unsigned, no queue, no record.

`python -m bench.rivals.smtplib_tool PORT N` prints the seconds it took.
"""

from __future__ import annotations

import smtplib
import sys
import time
from dataclasses import dataclass
from email.message import EmailMessage

from bench.backlog import recipient_of, text_of
from bench.installation import SENDER
from bench.rivals.rival import Rate, output_of
from bench.stand import Stand


@dataclass(frozen=True, slots=True)
class SmtplibTool:
    """One connection, kept open."""

    name: str = "smtplib tool, unsigned"

    def run(self, stand: Stand, n: int) -> Rate:
        """See the module."""
        command = [sys.executable, "-m", "bench.rivals.smtplib_tool", str(stand.sink.ports.smtp), str(n)]
        return Rate(n / float(output_of(command)))


def main(port: int, n: int) -> None:
    """Send `n` messages."""
    began = time.monotonic()
    with smtplib.SMTP("127.0.0.1", port) as server:
        for i in range(n):
            message = EmailMessage()
            message["From"], message["To"] = SENDER, recipient_of(i)
            message["Subject"] = f"Your night shift, reader {i}"
            message.set_content(text_of(i))
            server.send_message(message)
    print(time.monotonic() - began)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
