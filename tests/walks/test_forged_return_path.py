"""Reports that nobody but a forger sent: refused at RCPT, by the listener of a running installation."""

import secrets
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
    with smtplib.SMTP(host, int(port)) as client:
        codes = refusals(client, FORGED)
        before = psutil.Process(listening.pid).memory_info().rss
    with smtplib.SMTP(host, int(port)) as client:
        codes |= refusals(client, FORGED)
        grown = psutil.Process(listening.pid).memory_info().rss - before
        # what names the delivery inside and comes to the feedback address is signed by nobody
        client.rset()
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


def refusals(client: smtplib.SMTP, count: int) -> set[int]:
    client.ehlo("mx.evil.test")
    client.mail("")
    return {client.rcpt(forged())[0] for _ in range(count)}
