"""What carries a report on its way back: other character sets, renamed parts, people who send it on."""

import base64

import pytest

from outbox.reasons import Family, Reason
from outbox.reports import Kind, read

HEAD = "From: MAILER-DAEMON@relay.example\nTo: bounce@rp.example.com\n"
EXIM = f"""{HEAD}Subject: Mail delivery failed: returning message to sender
X-Failed-Recipients: kim@example.org

This message was created automatically by mail delivery software.
The following address(es) failed:

  kim@example.org
    SMTP error from remote mail server after RCPT TO:<kim@example.org>:
    550 User unknown
"""
QMAIL = f"""{HEAD}Subject: failure notice

Hi. This is the qmail-send program at relay.example.
I'm afraid I wasn't able to deliver your message to the following addresses.

<kim@example.org>:
192.0.2.25 does not like recipient.
Remote host said: 550 No such user
"""
STATUS = """Reporting-MTA: dns; relay.example

Final-Recipient: rfc822; kim@example.org
Action: failed
Status: 5.2.2
Diagnostic-Code: smtp; 552 Mailbox full
"""


def the_report(raw: str | bytes):
    reading = read(raw if isinstance(raw, bytes) else raw.encode())
    assert (reading.kind, [each.recipient for each in reading.reports]) == (Kind.DSN, ["kim@example.org"])
    return reading.reports[0]


@pytest.mark.parametrize("notice", [EXIM, QMAIL], ids=["Exim", "qmail"])
@pytest.mark.parametrize("boundary", ["f", "a long one"])
def test_a_notice_for_people_that_somebody_sends_on_as_an_attachment(notice, boundary):
    report = the_report(
        "From: Grace <grace@example.com>\nTo: bounce@rp.example.com\nSubject: FW: failure notice\n"
        f'Content-Type: multipart/mixed; boundary="{boundary}"\n\n--{boundary}\nContent-Type: text/plain\n\n'
        "See below. Grace <grace@example.com>\n"
        f"--{boundary}\nContent-Type: message/rfc822\n\n{notice}\n--{boundary}--\n"
    )
    assert (report.reason, report.hard) == (Reason.UNKNOWN_RECIPIENT, True)


def test_the_sender_is_not_among_the_recipients_where_the_notice_names_both():
    report = the_report(
        f"{HEAD}Subject: Undeliverable Mail\n\nYour message:\n   From:    grace@example.com\n\nCould not be delivered "
        "because of\n\n550 5.1.1 User unknown\n\nThe following recipients were affected:\n     kim@example.org\n\n"
        "Original Sender:    <grace@example.com>\n"
    )
    assert report.reason is Reason.UNKNOWN_RECIPIENT


def test_a_bounced_bounce_speaks_of_the_bounce():
    reading = read(
        f"{HEAD}Subject: failure notice\nContent-Type: multipart/mixed; boundary=f\n\n--f\n\n"
        "<postmaster@example.net>:\nRemote host said: 552 mailbox full\n"
        f"--f\nContent-Type: message/rfc822\n\n{EXIM}\n--f--\n".encode()
    )
    assert [each.reason for each in reading.reports] == [Reason.MAILBOX_FULL]


@pytest.mark.parametrize("media_type", ["text/plain", "application/octet-stream"])
def test_a_report_whose_part_was_renamed_on_the_way(media_type):
    report = the_report(
        f"{HEAD}Subject: failure notice\nContent-Type: multipart/mixed; boundary=f\n\n--f\n\nIt failed.\n"
        f'--f\nContent-Type: {media_type}; name="details.txt"\nContent-Transfer-Encoding: base64\n\n'
        f"{base64.encodebytes(STATUS.encode()).decode()}\n--f--\n"
    )
    assert (report.reason, report.status) == (Reason.MAILBOX_FULL, "5.2.2")


@pytest.mark.parametrize(
    ("content_type", "encoded", "family"),
    [
        (
            'text/plain; charset="unicode-1-1-utf-7"',
            b"The following recipient(s) could not be reached:\n\n  kim+AEA-example.org on 1/6/2026\n"
            b"    The recipient name is not recognized\n",
            Family.RECIPIENT,
        ),
        (
            "text/plain; charset=utf-16",
            "<kim@example.org>: 552 Mailbox full\n".encode("utf-16"),
            Family.MAILBOX,
        ),
        (
            "text/plain; charset=ks_c_5601-1987",
            "<kim@example.org>:\n552 메일함 용량이 초과되었습니다\n".encode("cp949"),
            Family.MAILBOX,
        ),
        (
            "text/plain",
            "<kim@example.org>: 550 Empfänger unbekannt (5.1.1)\n".encode("latin-1"),
            Family.RECIPIENT,
        ),
        ("text/plain", "<kim@example.org>: 552 Ящик переполнен\n".encode(), Family.MAILBOX),
    ],
)
def test_character_sets_of_old_servers(content_type, encoded, family):
    head = (
        f"{HEAD}Subject: Undeliverable\nContent-Type: {content_type}\nContent-Transfer-Encoding: base64\n\n"
    )
    assert the_report(head.encode() + base64.encodebytes(encoded)).family is family


@pytest.mark.parametrize(
    "subject",
    [
        "Odpowiedź automatyczna: Witam",
        "Automatická odpověď: Ahoj",
        "Automatikus válasz: Szia",
        "Автоматический ответ: Привет",
        "自动答复: 你好",
        "자동 회신: 안녕",
    ],
)
def test_automatic_replies_in_many_tongues_testify_nothing(subject):
    raw = f"From: Kim <kim@example.org>\nTo: bounce@rp.example.com\nSubject: {subject}\n\n...\n".encode()
    assert (read(raw).kind, read(raw).reports) == (Kind.AUTO_REPLY, ())


@pytest.mark.parametrize(
    ("transcript", "reason"),
    [
        ("--> RCPT To:<kim@example.org>\n <-- 550 Unknown user", Reason.UNKNOWN_RECIPIENT),
        ("hMailServer sent: RCPT TO:<kim@example.org>\n replied: 550 Unknown user", Reason.UNKNOWN_RECIPIENT),
        (">>> DATA\n<<< 550 Unknown user", Reason.FILTERED),
        ("refused to talk to me: 554 5.0.0 sorry", Reason.BLOCK_LIST),  # they had heard of nothing but us
        (
            "said: 554 5.0.0 sorry (in reply to end of DATA command)",
            Reason.POLICY,
        ),  # nor is the address to blame
        ("said: 554 5.0.0 sorry (in reply to RCPT TO command)", Reason.UNKNOWN),
    ],
)
def test_what_was_answered_tells_whom_it_is_about(transcript, reason):
    report = the_report(f"{HEAD}Subject: Delivery failure\n\nkim@example.org\n\n {transcript}\n")
    assert report.reason is reason
