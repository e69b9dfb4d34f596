"""What comes back: a DSN (RFC 3464), an abuse report (RFC 5965). Pure: bytes from values."""

from dataclasses import dataclass
from typing import Final

BOUNDARY: Final = "=_small_internet_9f3a"
BOUNCED: Final = ("5.1.1", "550 5.1.1 User unknown")


@dataclass(frozen=True, slots=True)
class Subject:
    """The message reported on. `headers` ends in CRLF; `date` is written as in RFC 5322."""

    return_path: str
    rcpt: str
    headers: bytes
    reporter: str
    date: str


def headers_of(body: bytes) -> bytes:
    """The header block of a message, its last CRLF included."""
    end = body.find(b"\r\n\r\n")
    return body if end < 0 else body[: end + 2]


@dataclass(frozen=True, slots=True)
class _Form:
    """What tells one kind of report from another; `original` is the type of the last part."""

    sender: str
    subject: str
    kind: str
    text: str
    fields: str
    original: str


def dsn(about: Subject) -> bytes:
    """A failure report with the original headers (RFC 3464 §2, RFC 6522 §3)."""
    status, diagnostic = BOUNCED
    fields = (
        f"Reporting-MTA: dns; {about.reporter}\r\nArrival-Date: {about.date}\r\n\r\n"
        f"Final-Recipient: rfc822; {about.rcpt}\r\nAction: failed\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: smtp; {diagnostic}\r\n"
    )
    form = _Form(
        sender=f"MAILER-DAEMON@{about.reporter}",
        subject="Undelivered Mail Returned to Sender",
        kind="delivery-status",
        text=f"Your message could not be delivered to {about.rcpt}.\r\n",
        fields=fields,
        original="text/rfc822-headers",
    )
    return _report(about, form)


def arf(about: Subject) -> bytes:
    """An abuse report (RFC 5965 §3) with the original headers."""
    fields = (
        "Feedback-Type: abuse\r\nUser-Agent: SmallInternet/1.0\r\nVersion: 1\r\n"
        f"Original-Mail-From: <{about.return_path}>\r\nOriginal-Rcpt-To: <{about.rcpt}>\r\n"
        f"Arrival-Date: {about.date}\r\nSource-IP: 127.0.0.1\r\nReporting-MTA: dns; {about.reporter}\r\n"
    )
    form = _Form(
        sender=f"feedback@arf.{about.rcpt.rpartition('@')[2]}",
        subject="Abuse report",
        kind="feedback-report",
        text="This is an email abuse report.\r\n",
        fields=fields,
        original="message/rfc822",
    )
    return _report(about, form)


def _report(about: Subject, form: _Form) -> bytes:
    top = (
        f"From: <{form.sender}>\r\nTo: <{about.return_path}>\r\nSubject: {form.subject}\r\n"
        f"Date: {about.date}\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: multipart/report; report-type={form.kind};\r\n boundary="{BOUNDARY}"\r\n\r\n'
    )
    parts = (
        _part("text/plain; charset=utf-8", form.text.encode()),
        _part(f"message/{form.kind}", form.fields.encode()),
        _part(form.original, about.headers + b"\r\n"),
    )
    return top.encode() + b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def _part(content_type: str, content: bytes) -> bytes:
    return f"--{BOUNDARY}\r\nContent-Type: {content_type}\r\n\r\n".encode() + content + b"\r\n"
