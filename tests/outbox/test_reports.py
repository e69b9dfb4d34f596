"""Returned mail is read for what it testifies (what an enemy sends: test_reports_hostile.py)."""

from pathlib import Path

import pytest

from outbox.lifecycle import CODES, Status
from outbox.outcomes import DEFERRALS
from outbox.reports import (
    COMPLAINTS,
    FAMILIES,
    MAX_BYTES,
    Action,
    Family,
    Kind,
    Reading,
    Reason,
    Report,
    read,
)

SAMPLES = Path(__file__).parent / "samples"
TOKEN = "aaaabbbbccccddddeeeeffffgggghhhhiiiijjjjkkkkllll"


def sample(name: str) -> Reading:
    return read((SAMPLES / f"{name}.eml").read_bytes())


def notice(text: str, **header: str) -> Reading:
    """A report for people only, from a mail system."""
    fields = {"From": "MAILER-DAEMON@mx.example.net", "To": "b@rp.example.com", "Subject": "failure notice"}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in {**fields, **header}.items()]
    return read(("\n".join(lines) + "\n\n" + text).encode())


def status(diagnostic: str, code: str = "5.0.0", action: str = "failed") -> Report:
    """What a delivery report with one recipient says."""
    fields = f"Final-Recipient: rfc822; grace@example.org\nAction: {action}\nStatus: {code}\n"
    reading = read(
        b"From: MAILER-DAEMON@mx.example.net\nContent-Type: multipart/report; boundary=b\n\n"
        b"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.net\n\n"
        + f"{fields}Diagnostic-Code: {diagnostic}\n\n--b--\n".encode()
    )
    (report,) = reading.reports
    return report


# --- the kinds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "recipients"),
    [
        ("two_recipients", Kind.DSN, ["grace@example.org", "kim@example.net"]),
        ("notice", Kind.DSN, ["grace@example.org", "kim@example.com"]),
        ("labelled", Kind.DSN, ["grace@example.org"]),
        ("after_data", Kind.DSN, ["grace@example.org"]),
        ("warning", Kind.DSN, ["grace@example.org"]),
        ("sent_on", Kind.DSN, ["grace@example.com"]),  # a person forwarded the report
        ("ses", Kind.DSN, ["grace@example.org"]),
        ("abuse", Kind.ARF, ["grace@example.org", "kim@example.org"]),
        ("unsubscribe", Kind.UNSUBSCRIBE, ["grace@example.org"]),  # some mail programs call it automatic
        ("out_of_office", Kind.AUTO_REPLY, []),  # it names an account and testifies nothing about it
        ("person", Kind.OTHER, []),
    ],
)
def test_each_kind_is_told_by_its_signs(name, kind, recipients):
    reading = sample(name)
    assert (reading.kind, [report.recipient for report in reading.reports]) == (kind, recipients)


def test_a_delivery_report_says_what_became_of_each_recipient():
    grace, kim = sample("two_recipients").reports
    assert (grace.action, grace.reason, grace.hard) == (Action.FAILED, Reason.UNKNOWN_RECIPIENT, True)
    assert (grace.status, grace.reply_code, grace.code) == ("5.1.1", 550, "recipient_unknown")
    assert (grace.original_recipient, grace.remote_mta) == ("Grace@example.org", "mx.example.org")
    assert grace.text == "550 5.1.1 <grace@example.org>: no such user here"
    assert (kim.action, kim.reason, kim.hard) == (Action.DELAYED, Reason.MAILBOX_FULL, False)


def test_a_report_brings_back_the_tokens_and_the_header_of_what_was_sent():
    reading = sample("two_recipients")
    assert reading.tokens == (TOKEN,)  # from five places, in any case of letters, once
    assert (reading.reporting_mta, reading.envelope_id.lower()) == ("relay.example.net", TOKEN)
    original = reading.original
    assert original is not None
    assert (original.ref, original.message_id) == (TOKEN, "<01@agents.example.com>")
    assert original.signed == (("agents.example.com", ("from", "to", "subject", "message-id", "x-ao-ref")),)
    assert original.subject == "Your invoice ✓"


def test_a_notice_is_read_paragraph_by_paragraph_and_not_beyond_its_end():
    grace, kim = sample("notice").reports
    assert (grace.reason, grace.hard) == (Reason.UNKNOWN_RECIPIENT, True)
    assert (kim.reason, kim.hard) == (Reason.NETWORK, False)
    original = sample("notice").original
    assert original is not None
    assert original.ref == TOKEN


def test_a_warning_is_a_delay_and_no_failure():
    (report,) = sample("warning").reports
    assert (report.action, report.family, report.hard) == (Action.DELAYED, Family.TRANSPORT, False)
    assert report.code in DEFERRALS


def test_feedback_is_a_complaint_for_each_recipient_it_names():
    reading = sample("abuse")
    assert all(report.complaint for report in reading.reports)
    feedback = reading.feedback
    assert feedback is not None
    assert (feedback.type, feedback.source_ip, feedback.incidents) == ("abuse", "192.0.2.25", 3)
    assert reading.tokens == (TOKEN,)


@pytest.mark.parametrize(
    ("kind", "reason", "complaint"),
    [
        ("abuse", Reason.ABUSE, True),
        ("fraud", Reason.FRAUD, True),
        ("Virus", Reason.VIRUS, True),
        ("not-spam", Reason.NOT_SPAM, False),  # praise
        ("auth-failure", Reason.AUTH_FAILURE, False),  # RFC 6591: about our signatures
        ("opt-out", Reason.OPT_OUT, False),
        ("other", Reason.OTHER_FEEDBACK, False),
        ("brand-new", Reason.OTHER_FEEDBACK, False),
    ],
)
def test_only_abuse_fraud_and_virus_are_complaints(kind, reason, complaint):
    raw = (SAMPLES / "abuse.eml").read_text().replace("Feedback-Type: abuse", f"Feedback-Type: {kind}")
    report = read(raw.encode()).reports[0]
    assert (report.reason, report.complaint, report.hard) == (reason, complaint, False)


# --- the judgement -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("diagnostic", "code", "reason", "hard"),
    [
        ("smtp; 550 5.1.1 User unknown", "5.1.1", Reason.UNKNOWN_RECIPIENT, True),
        ("smtp; 450 4.1.1 User unknown in virtual alias table", "4.1.1", Reason.UNKNOWN_RECIPIENT, True),
        ("smtp; 550 User unknown", "5.0.0", Reason.FILTERED, False),  # no status, no command: a filter's word
        ("smtp; 550 User unknown (in reply to RCPT TO command)", "5.0.0", Reason.UNKNOWN_RECIPIENT, True),
        ("smtp; 550 User unknown (in reply to end of DATA command)", "5.0.0", Reason.FILTERED, False),
        ("smtp; 550 5.1.1 unknown (in reply to MAIL FROM command)", "5.1.1", Reason.POLICY, False),  # our own
        ("smtp; 551 5.1.6 recipient no longer on server", "5.1.6", Reason.MOVED, True),
        ("smtp; 550 5.2.1 mailbox disabled", "5.2.1", Reason.INACTIVE, False),  # may be opened again
        ("x-postfix; Host or domain name not found", "5.4.4", Reason.UNKNOWN_DOMAIN, True),
        ("x-postfix; Host or domain name not found", "4.4.4", Reason.DNS, False),  # DNS may recover
        ("x-postfix; Host not found, try again", "5.4.4", Reason.DNS, False),
        ("smtp; 556 5.1.10 nullMX", "5.1.10", Reason.TAKES_NO_MAIL, True),
        ("smtp; domain has a null MX", "4.0.0", Reason.TAKES_NO_MAIL, False),
        ("smtp; 552 5.2.2 over quota", "5.1.1", Reason.MAILBOX_FULL, False),  # their words before the code
        ("smtp; 554 5.7.1 blocked using zen.spamhaus.org", "5.7.1", Reason.BLOCK_LIST, False),
        ("smtp; 550 5.7.26 unauthenticated", "5.7.26", Reason.AUTHENTICATION, False),
        ("smtp; 550 5.7.25 no PTR record", "5.7.25", Reason.PTR, False),
        ("smtp; 421 4.7.28 unusual rate", "4.7.28", Reason.RATE, False),
        ("smtp; 550 5.7.1 Access denied", "5.7.1", Reason.POLICY, False),
        ("smtp; 554 5.7.1 Relay access denied", "5.7.1", Reason.POLICY, False),
        ("smtp; 554 4.4.7 Message expired", "4.4.7", Reason.EXPIRED, False),
        ("x-unix; procmail: no such user", "5.1.1", Reason.SYSTEM, False),  # their program failed
        ("smtp; 550 ???", "5.0.0", Reason.UNKNOWN, False),
    ],
)
def test_a_late_report_is_judged_like_a_live_reply_but_believed_less(diagnostic, code, reason, hard):
    report = status(diagnostic, code)
    assert (report.reason, report.hard) == (reason, hard), report.why
    assert report.code in CODES[Status.BOUNCED]


def test_a_delay_and_a_delivery_are_never_hard():
    assert status("smtp; 450 4.1.1 User unknown", "4.1.1", "delayed").hard is False
    delivered = status("smtp; 250 2.1.5 Ok", "2.1.5", "delivered")
    assert (delivered.action, delivered.reason, delivered.hard) == (Action.DELIVERED, Reason.DELIVERED, False)


@pytest.mark.parametrize(("action", "expected"), [("relayed (to x)", Action.RELAYED), ("", Action.FAILED)])
def test_actions_are_read_by_their_first_word_and_guessed_from_the_status(action, expected):
    assert status("smtp; 550 x", "5.0.0", action).action is expected


@pytest.mark.parametrize(
    ("text", "recipient"),
    [
        ("Could not be delivered to: <grace@example.org>\nAs their mailbox is full.", "grace@example.org"),
        ("The following address failed:\n\n  grace@example.org\n    user unknown", "grace@example.org"),
        ('"grace@example.org":\nMailbox full', "grace@example.org"),
        ("grace@example.org [User unknown]", "grace@example.org"),
        ("A message sent by <lin@example.com> to grace@example.org failed", "grace@example.org"),
        ("b@rp.example.com, your mail to grace@example.org failed", "grace@example.org"),  # ours comes first
        ("an undisclosed address\n (generated from grace@example.org)", "grace@example.org"),
        ("contact postmaster@example.org about grace@example.org", "grace@example.org"),
    ],
)
def test_the_recipient_is_found_in_words_for_people(text, recipient):
    (report,) = notice(text).reports
    assert report.recipient == recipient


@pytest.mark.parametrize(
    ("text", "reason", "hard"),
    [
        # the reply stands before the address it is about, or the command does
        ("Sent >>> RCPT TO: <grace@example.org>\nReceived <<< 550 No such user\n\nCould not deliver mail to\n"
         "grace@example.org\n*** end of it ***", Reason.UNKNOWN_RECIPIENT, True),
        ("Could not be delivered because of\n\n550 5.1.1 User unknown\n\nThe following recipients were affected:\n"
         "    grace@example.org\n\nAdditional Information\nOriginal Sender:    <b@rp.example.com>",
         Reason.UNKNOWN_RECIPIENT, True),
        ("-- server message\nR:550 5.1.1 <grace@example.org>: User unknown\n\n-- command\nRCPT TO:<grace@example.org>",
         Reason.UNKNOWN_RECIPIENT, True),
        # whom the message was addressed to first is not who did not get it
        ("Your message\n\n  To:      kim@example.com\n  Subject: hello\n\ndid not reach the following recipient(s):\n\n"
         "c=US;a= ;p=ORG;dda:SMTP=grace@example.org; on Mon\n    The recipient name is not recognized",
         Reason.UNKNOWN_RECIPIENT, True),
        # header fields quoted at the head, and "the original message", are not the end of the notice
        ("This report relates to a message with these header fields:\n\n  Message-id: <1@example.com>\n\n"
         "Your message cannot be delivered to the following recipients:\n\n  Recipient address: grace@example.org\n"
         "  Diagnostic code: smtp;550 5.2.2 over quota", Reason.MAILBOX_FULL, False),
        ("This is a notification of mx.example.net\nThe original message was received today\n\nIt failed for:\n\n"
         "<grace@example.org>:\n<<< 550 5.1.1 User unknown", Reason.UNKNOWN_RECIPIENT, True),
    ],
)  # fmt: skip
def test_a_notice_is_read_wherever_its_author_put_the_reply(text, reason, hard):
    (report,) = notice(text).reports
    assert (report.recipient, report.reason, report.hard) == ("grace@example.org", reason, hard), report.why


@pytest.mark.parametrize(
    "said",
    [
        "<grace@example.org>: host mx.example.org[192.0.2.9] refused to talk to me: 550 unknown host",
        "  grace@example.org\n    SMTP error from remote mail server after initial connection:\n    554 Not allowed",
        "<grace@example.org>:\nConnected to 192.0.2.9 but greeting failed.\nRemote host said: 554 Message refused",
    ],
)
def test_what_is_said_at_the_greeting_is_said_of_our_host(said):
    (report,) = notice(f"It could not be delivered:\n\n{said}").reports
    assert (report.recipient, report.reason, report.hard) == ("grace@example.org", Reason.BLOCK_LIST, False)


def test_what_is_said_before_several_recipients_is_said_of_each():
    text = "Not delivered within 2 days.\n\nThe recipients:\n\n<grace@example.org>\n\n<kim@example.com>\n"
    assert [(each.recipient, each.reason) for each in notice(text).reports] == [
        ("grace@example.org", Reason.EXPIRED),
        ("kim@example.com", Reason.EXPIRED),
    ]


def test_the_owner_of_a_list_is_not_who_did_not_get_it():
    assert notice("Your posting was rejected. Ask list-owner@example.org").reports == ()


FAILED = (
    "Unzustellbare Mail|Non remis|Mancata consegna|Niedostarczona poczta|配信エラー|系统退信|[메일 발송 실패]"
)
AWAY = "Automatyczna odpowiedź|Automatická odpověď|Automatisch antwoord|Automaattinen vastaus|Otomatik yanıt"


@pytest.mark.parametrize("subject", FAILED.split("|"))
def test_a_failure_is_called_so_in_many_tongues(subject):
    text = "<grace@example.org>: mailbox full"
    assert notice(text, Subject=subject, From="x@example.org").kind is Kind.DSN


@pytest.mark.parametrize("subject", AWAY.split("|"))
def test_an_automatic_reply_is_called_so_in_many_tongues(subject):
    assert notice("Back on Monday.", Subject=f"[{subject}]", From="x@example.org").kind is Kind.AUTO_REPLY


def test_a_mail_system_needs_no_subject_to_be_believed_a_mail_system():
    assert notice("<grace@example.org>: mailbox full", Subject="hello").kind is Kind.DSN
    assert (
        notice("<grace@example.org>: mailbox full", Subject="hello", From="lin@example.org").kind
        is Kind.OTHER
    )


def test_x_failed_recipients_names_whom_the_text_does_not():
    (report,) = notice("grace\n  550 5.1.1 user unknown", X_Failed_Recipients="grace@example.org").reports
    assert (report.recipient, report.hard) == ("grace@example.org", True)


def test_a_group_whose_recipient_is_a_program_takes_the_person_from_the_text():
    raw = (SAMPLES / "two_recipients.eml").read_text()
    raw = raw.replace("Final-Recipient: rfc822; kim@example.net", "Final-Recipient: x; |/bin/vacation kim")
    assert [report.recipient for report in read(raw.encode()).reports] == [
        "grace@example.org",
        "kim@example.net",
    ]


def test_a_report_wrapped_in_a_message_is_unwrapped_once():
    inner = (SAMPLES / "two_recipients.eml").read_text()
    head = "From: scanner@example.net\nContent-Type: multipart/mixed; boundary=out\n\n"
    raw = f"{head}--out\nContent-Type: message/rfc822\n\n{inner}\n--out--\n"
    assert [report.recipient for report in read(raw.encode()).reports] == [
        "grace@example.org",
        "kim@example.net",
    ]


def test_every_reason_has_a_family_and_only_recipient_reasons_can_be_hard():
    assert set(FAMILIES) == set(Reason)
    assert {FAMILIES[reason] for reason in COMPLAINTS} == {Family.FEEDBACK}


# --- tokens, cuts and failures ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        f"b+{TOKEN}@rp.agents.example.com",
        f"B+{TOKEN.upper()}@RP.agents.example.com",
        f"SRS0=ab12=CD=rp.agents.example.com=b+{TOKEN}@forwarder.example",  # a forwarder's rewriting
    ],
)
def test_a_token_is_found_wherever_a_return_path_stands(address):
    assert notice("<grace@example.org>: user unknown", X_Envelope_To=address).tokens == (TOKEN,)


def test_more_than_is_read_is_said_to_be_cut():
    assert sample("notice").truncated is False
    assert read(b"From: MAILER-DAEMON@x.example\n\n" + b"a" * MAX_BYTES).truncated is True


def test_a_bug_in_a_parser_is_quarantined_and_not_raised(monkeypatch):
    monkeypatch.setattr("outbox.reports.opened", lambda raw: 1 / 0)
    assert read(b"From: a@b.example\n\n").why == "ZeroDivisionError while reading it"


@pytest.mark.parametrize("cut", range(0, 2200, 37))
def test_a_report_cut_anywhere_is_still_read(cut):
    read((SAMPLES / "two_recipients.eml").read_bytes()[:cut])


def test_a_report_with_crlf_line_ends_reads_the_same():
    raw = (SAMPLES / "two_recipients.eml").read_bytes()
    assert read(raw.replace(b"\n", b"\r\n")).reports == read(raw).reports
