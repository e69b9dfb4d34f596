"""Reports that nobody but a forger sent: refused at RCPT, by the listener of a running installation."""

import secrets
import signal
import smtplib
from base64 import b32encode

import psutil

from outbox import verp
from simulator.reports import Subject, arf, dsn
from tests.walks.harness.installation import Installation

FORGED = 900  # a connection may ask a thousand times


def forged() -> str:
    return f"b+{b32encode(secrets.token_bytes(30)).decode().lower()}@rp.sales.acme.test"


def test_forged_reports_are_refused_and_cost_nothing(here: Installation) -> None:
    listening = here.returns()
    here.worker()
    [one] = here.post("ok.x@corp.test")
    here.until_status([one], "delivered")
    [sent] = here.oracle()
    inside = f"X-AO-Ref: {verp.token_in(sent.mail_from)}\r\n".encode()
    about = Subject(sent.mail_from, sent.rcpt, inside, "mx.corp.test", "Mon, 23 Nov 2026 09:00:00 +0000")
    host, _, port = here.env["AO_RETURNS"].partition(":")
    listened = psutil.Process(listening.pid).memory_info
    codes = {code for _ in range(2) for code in refusals(host, int(port), FORGED)}
    before = listened().rss
    codes |= {code for _ in range(3) for code in refusals(host, int(port), FORGED)}
    grown = listened().rss - before
    with smtplib.SMTP(host, int(port)) as client:
        # what names the delivery inside and comes to the feedback address is signed by nobody
        client.sendmail("", ["fbl@rp.sales.acme.test"], arf(about))
        client.mail("")
        assert client.rcpt(forged())[0] == 550
    assert codes == {550}
    assert grown < 4 * 1024 * 1024
    assert here.status(one) == ("delivered", "accepted_by_server")
    assert here.ask("SELECT FROM outbox_signal UNION ALL SELECT FROM reputation_suppression") == []

    # the one genuine return-path of the same delivery is heard
    with smtplib.SMTP(host, int(port)) as client:
        client.sendmail("", [sent.mail_from], dsn(about))
    assert here.status(one) == ("bounced", "recipient_unknown")
    listening.send(signal.SIGTERM)
    assert listening.wait(20) == 0


def refusals(host: str, port: int, count: int) -> set[int]:
    with smtplib.SMTP(host, port) as client:
        client.ehlo("mx.evil.test")
        client.mail("")
        return {client.rcpt(forged())[0] for _ in range(count)}
