"""Replies become outcomes: the class by code and dot, the reason by the rows, the time by the schedule."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from outbox.lifecycle import CODES, Status
from outbox.outcomes import (
    BULK,
    DEFERRALS,
    GIVEN_BACK,
    GREYLISTED,
    MAILBOX_FULL,
    TRANSACTIONAL,
    Fault,
    Outcome,
    Phase,
    Reply,
    Schedule,
    interpret,
    next_attempt,
)
from outbox.refusal_causes import Cause
from outbox.refusal_rows import STAGES
from outbox.refusals import classify

REPLIED, RCPT = Phase.REPLIED, Phase.RCPT


def outcome(phase: Phase, code: int | None = None, text: str = "", relay: bool = False, **more) -> Outcome:
    return interpret(Reply(phase, code, text, **more), relay)


# --- the class ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [200, 250, 251, 252, 299])
def test_every_2yz_after_the_dot_is_success(code):
    assert outcome(REPLIED, code, dot_written=True) == Outcome(Status.DELIVERED, "accepted_by_server")
    assert outcome(REPLIED, code, relay=True, dot_written=True) == Outcome(
        Status.RELAYED, "accepted_by_relay"
    )


def test_the_class_comes_from_the_reply_code_and_not_from_the_enhanced_one():
    assert outcome(REPLIED, 250, enhanced="5.1.1", dot_written=True).status is Status.DELIVERED
    assert outcome(RCPT, 450, "user unknown", enhanced="5.1.1").status is Status.DEFERRED
    assert outcome(RCPT, 550, "user unknown", enhanced="4.1.1").status is Status.BOUNCED


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in (Phase.DOT, Phase.RESOLVE)])
def test_421_is_a_deferral_wherever_it_comes(phase):
    written = phase is REPLIED
    assert outcome(phase, 421, "closing transmission channel", dot_written=written).status is Status.DEFERRED


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(Phase.DOT, None, "", fault=Fault.TIMEOUT, dot_written=True), "no_reply_after_dot"),
        (Reply(Phase.DOT, None, "", fault=Fault.CLOSED, dot_written=True), "no_reply_after_dot"),
        (Reply(Phase.DOT, None, "", fault=Fault.RESET, dot_written=True), "no_reply_after_dot"),
        (Reply(Phase.DOT, 250, "half a li", fault=Fault.CLOSED, dot_written=True), "no_reply_after_dot"),
        (Reply(Phase.DOT, None, ""), "no_reply_after_dot"),  # the phase alone is doubt enough
        (Reply(Phase.DOT, None, "", fault=Fault.SEND_QUEUE_STUCK, dot_written=True), "send_queue_stuck"),
        (Reply(REPLIED, None, "ehm", fault=Fault.MALFORMED, dot_written=True), "no_reply_after_dot"),
        (Reply(REPLIED, 250, "...", fault=Fault.LINE_TOO_LONG, dot_written=True), "no_reply_after_dot"),
        (
            Reply(REPLIED, 354, "go ahead", dot_written=True),
            "no_reply_after_dot",
        ),  # an answer to something else
        (Reply(REPLIED, 999, "", dot_written=True), "no_reply_after_dot"),
        # contradictions never become a second dot
        (Reply(Phase.READY, None, "", fault=Fault.NOT_CLEARED, dot_written=True), "no_reply_after_dot"),
        (Reply(RCPT, None, "", fault=Fault.TIMEOUT, dot_written=True), "no_reply_after_dot"),
        (Reply(RCPT, 550, "", fault=Fault.CLOSED, dot_written=True), "no_reply_after_dot"),
    ],
)
def test_a_written_dot_without_a_verdict_is_uncertain(reply, code):
    got = interpret(reply, relay=False)
    assert (got.status, got.code) == (Status.UNCERTAIN, code)


def test_a_refusal_after_the_dot_is_a_verdict():
    assert outcome(REPLIED, 554, "spam", dot_written=True).status is Status.BOUNCED
    assert outcome(REPLIED, 451, "try later", dot_written=True).status is Status.DEFERRED


@pytest.mark.parametrize("fault", sorted(GIVEN_BACK))
def test_what_we_gave_up_ourselves_goes_back_to_the_queue(fault):
    assert outcome(Phase.READY, fault=fault) == Outcome(Status.QUEUED, fault.value)


@pytest.mark.parametrize("fault", [f for f in Fault if f not in GIVEN_BACK])
def test_every_fault_before_the_dot_has_an_outcome_from_the_closed_lists(fault):
    got = outcome(Phase.MAIL, fault=fault)
    assert got.code in (DEFERRALS if got.status is Status.DEFERRED else CODES[got.status])
    assert got.why


@pytest.mark.parametrize(
    ("fault", "code", "about"),
    [
        (Fault.NULL_MX, "null_mx", "recipient"),
        (Fault.NO_SUCH_DOMAIN, "dns_failed", "recipient"),
        (Fault.NO_ADDRESS, "dns_failed", "recipient"),
        (Fault.NO_ROUTE, "dns_failed", "recipient"),
        (Fault.SMTPUTF8_MISSING, "protocol_error", ""),
        (Fault.TOO_BIG, "message_too_big", ""),
    ],
)
def test_what_time_cannot_mend_bounces_without_a_conversation(fault, code, about):
    got = outcome(Phase.RESOLVE, fault=fault)
    assert (got.status, got.code, got.about) == (Status.BOUNCED, code, about)


@pytest.mark.parametrize("fault", [Fault.NULL_MX, Fault.NO_SUCH_DOMAIN, Fault.NO_ADDRESS, Fault.NO_ROUTE])
def test_a_relay_that_does_not_resolve_is_not_the_recipients_fault(fault):
    got = outcome(Phase.RESOLVE, fault=fault, relay=True)
    assert (got.status, got.code, got.about) == (Status.DEFERRED, "host_unreachable", "")


@pytest.mark.parametrize("phase", [Phase.CONNECT, Phase.GREETING, Phase.EHLO, Phase.STARTTLS, Phase.AUTH])
def test_a_5yz_to_the_connection_or_our_login_is_not_a_verdict_on_the_message(phase):
    assert outcome(phase, 554, "No SMTP service here").status is Status.DEFERRED
    assert outcome(Phase.MAIL, 554, "No SMTP service here").status is Status.BOUNCED


def test_a_refusal_read_before_the_hang_up_is_the_better_testimony():
    got = outcome(RCPT, 550, "5.1.1 user unknown", enhanced="5.1.1", fault=Fault.CLOSED)
    assert (got.status, got.code) == (Status.BOUNCED, "recipient_unknown")


@pytest.mark.parametrize("code", [None, 0, 199, 250, 354, 600, 9999])
def test_a_reply_that_fits_nothing_before_the_dot_is_a_deferral(code):
    assert outcome(Phase.BODY, code).status is Status.DEFERRED


def test_every_cause_ends_in_the_closed_lists():
    for cause in Cause:
        bounce, deferral, about, _reason = cause.value
        assert bounce in CODES[Status.BOUNCED]
        assert deferral in DEFERRALS
        assert about in ("recipient", "infrastructure", "")


# --- the reason --------------------------------------------------------------------------------------------

REFUSALS = [
    # (code, enhanced, text) -> (code, about)
    # Google
    (550, "5.1.1", "The email account that you tried to reach does not exist. Please try double-checking",
     "recipient_unknown", "recipient"),
    (550, "5.1.1", "https://support.google.com/mail/?p=NoSuchUser ad1si1997204pbd.83 - gsmtp",
     "recipient_unknown", "recipient"),  # nothing but a link: the code decides
    (550, "5.2.1", "The email account that you tried to reach is inactive. For more information",
     "recipient_inactive", "recipient"),
    (550, "5.2.1", "The user you are trying to contact is receiving mail at a rate that prevents additional "
     "messages from being delivered.", "refused_unclassified", ""),  # busy is not dead
    (450, "4.2.1", "The user you are trying to contact is receiving mail too quickly. Please resend your "
     "message at a later time.", "recipient_busy", ""),
    (452, "4.2.2", "The recipient's inbox is out of storage space and inactive.",
     "mailbox_full", "recipient"),
    (552, "5.2.2", "The email account that you tried to reach is over quota.", "mailbox_full", "recipient"),
    (552, "5.3.4", "Your message exceeded Google's message size limits.", "message_too_big", ""),
    (421, "4.7.28", "Gmail has detected an unusual rate of unsolicited mail originating from your "
     "IP address.",
     "rate_limited", "infrastructure"),
    (421, "4.7.28", "Gmail has detected an unusual rate of mail originating from your DKIM domain "
     "[example.com].",
     "rate_limited", "infrastructure"),  # names DKIM and is no authentication failure
    (421, "4.7.28", "Gmail has detected an unusual rate of mail originating from your SPF domain "
     "[example.com].",
     "rate_limited", "infrastructure"),
    (550, "5.7.28", "Gmail has detected an unusual rate of unsolicited mail",
     "reputation_refused", "infrastructure"),
    (550, "5.7.26", "This mail has been blocked because the sender is unauthenticated. Gmail requires all "
     "senders to authenticate with either SPF or DKIM.", "authentication_refused", "infrastructure"),
    (421, "4.7.26", "Your email has been rate limited because it's unauthenticated.",
     "authentication_temporary", "infrastructure"),
    (550, "5.7.25", "The IP address sending this message does not have a PTR record setup",
     "authentication_refused", "infrastructure"),
    (550, "5.7.32", "Your email has been blocked because the From: header isn't aligned with SPF or DKIM",
     "authentication_refused", "infrastructure"),
    (550, "5.7.29", "Your email has been blocked because this message wasn't sent over a TLS connection.",
     "tls_required", "infrastructure"),
    (550, "5.7.1", "Our system has detected that this message is likely unsolicited mail. To reduce "
     "the amount "
     "of spam sent to Gmail, this message has been blocked.", "content_refused_by_server", "infrastructure"),
    (550, "5.7.1", "Our system has detected that this message is likely suspicious due to the very low "
     "reputation of the sending IP address.", "reputation_refused", "infrastructure"),
    (552, "5.7.0", "This message was blocked because its content presents a potential security issue.",
     "content_refused_by_server", "infrastructure"),
    (550, "5.7.1", "Messages with multiple addresses in From: header are not accepted.",
     "protocol_error", "infrastructure"),
    (550, "5.7.0", "Mail relay denied [192.0.2.7]. Please visit", "refused_unclassified", ""),
    (530, "5.7.0", "Must issue a STARTTLS command first.", "tls_required", "infrastructure"),
    (421, "4.7.0", "IP not in whitelist for RCPT domain, closing connection.",
     "blocked_temporarily", "infrastructure"),
    (553, "5.1.2", "We weren't able to find the recipient domain. Please check for any spelling errors",
     "dns_failed", "recipient"),
    (554, "5.4.6", "Message exceeded 50 hops, this may indicate a mail loop.", "dns_failed", ""),
    (451, "4.3.0", "Mail server temporarily rejected message.", "server_busy", ""),
    # Microsoft
    (550, "5.7.1", "Unfortunately, messages from [192.0.2.7] weren't sent. Please contact your "
     "Internet service "
     "provider since part of their network is on our block list (S3140).",
     "reputation_refused", "infrastructure"),
    (550, "5.7.1", "Unfortunately, messages from [192.0.2.7] weren't sent. (S3150)",
     "reputation_refused", "infrastructure"),
    (550, None, "SC-001 (COL004-MC1F1) Unfortunately, messages from 192.0.2.7 weren't sent.",
     "reputation_refused", "infrastructure"),
    (550, None, "SC-002 (BAY004-MC1F1) Unfortunately, messages weren't sent. namespace mining",
     "reputation_refused", "infrastructure"),
    (550, None, "OU-001 (SNT004-MC1F1) Unfortunately, messages weren't sent.",
     "reputation_refused", "infrastructure"),
    (421, None, "RP-001 (COL004-MC1F1) Unfortunately, some messages from 192.0.2.7 weren't sent. "
     "Please try again.",
     "rate_limited", "infrastructure"),
    (451, "4.7.650", "The mail server [192.0.2.7] has been temporarily rate limited due to IP reputation.",
     "rate_limited", "infrastructure"),
    (550, "5.7.515", "Access denied, sending domain example.com does not meet the required "
     "authentication level.",
     "authentication_refused", "infrastructure"),
    (550, "5.7.606", "Access denied, banned sending IP [192.0.2.7].", "reputation_refused", "infrastructure"),
    (550, "5.7.708", "Service unavailable. Access denied, traffic not accepted from this IP.",
     "reputation_refused", "infrastructure"),
    (550, "5.4.1", "[kim@example.com]: Recipient address rejected: Access denied "
     "[X.prod.protection.outlook.com]",
     "recipient_unknown", "recipient"),  # directory-based edge blocking
    (550, "5.1.10", "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
     "recipient_unknown", "recipient"),  # and not the null MX of RFC 7505
    (550, "5.5.0", "Requested action not taken: mailbox unavailable (-2147467259:2010)",
     "recipient_unknown", "recipient"),
    (550, "5.7.124", "Sender not in allowed-senders list", "content_refused_by_server", "infrastructure"),
    (550, "5.2.122", "The recipient has exceeded their limit for the number of messages they can "
     "receive per hour",
     "refused_unclassified", ""),
    # Yahoo
    (421, "4.7.0", "[TSS04] Messages from 192.0.2.7 temporarily deferred due to unexpected volume or user "
     "complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes",
     "rate_limited", "infrastructure"),
    (553, "5.7.1", "[BL21] Connections will not be accepted from 192.0.2.7, because the ip is in "
     "Spamhaus's list",
     "reputation_refused", "infrastructure"),
    (554, "5.7.9", "Message not accepted for policy reasons. See https://senders.yahooinc.com/error-codes",
     "content_refused_by_server", "infrastructure"),
    (554, None, "Message not allowed - [PH01] Email not accepted for policy reasons.",
     "content_refused_by_server", "infrastructure"),
    (554, None, "delivery error: dd This user doesn't have a yahoo.com account (kim@yahoo.com) [0]",
     "recipient_unknown", "recipient"),
    (554, None, "delivery error: dd Sorry your message to kim@yahoo.com cannot be delivered. This "
     "account has been "
     "disabled or discontinued [#102].", "recipient_inactive", "recipient"),
    # Apple, gateways and everybody
    (554, "5.7.1", "Your message was rejected due to example.com's DMARC policy.",
     "authentication_refused", "infrastructure"),
    (554, "5.7.1", "[CS01] Message rejected due to local policy.",
     "content_refused_by_server", "infrastructure"),
    (554, None, "Your access to this mail system has been rejected due to the sending MTA's poor reputation.",
     "reputation_refused", "infrastructure"),
    (550, None, "Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550",
     "recipient_unknown", "recipient"),
    (554, "5.7.1", "Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org",
     "reputation_refused", "infrastructure"),
    (550, "5.1.1", "Mail from 192.0.2.7 rejected: listed at bl.spamcop.net",
     "reputation_refused", "infrastructure"),
    (554, "5.7.1", "Client host blocked using zen.spamhaus.org; Error: open resolver",
     "refused_unclassified", ""),
    (450, "4.2.0", "<kim@example.com>: Recipient address rejected: Greylisted", "greylisted", ""),
    (451, "4.7.1", "Greylisting in action, please come back in 00:05:00", "greylisted", ""),
    (550, "5.7.1", "User unknown", "recipient_unknown", "recipient"),  # the words, whatever the code
    (550, "5.0.0", "<kim@example.com>... User unknown", "recipient_unknown", "recipient"),
    (550, None, "unknown user <kim@example.com>", "recipient_unknown", "recipient"),
    (550, None, "Unknown user kim@example.com. (#5.5.0)", "recipient_unknown", "recipient"),
    (553, "5.3.0", "<kim@example.com>... No such user here", "recipient_unknown", "recipient"),
    (550, "5.7.1", "", "content_refused_by_server", "infrastructure"),  # alone it says nothing of a person
    (550, "5.7.1", "Access denied", "reputation_refused", "infrastructure"),
    (550, None, "Sender verify failed", "protocol_error", "infrastructure"),  # about ours, not theirs
    (550, "5.1.8", "<b@rp.example.com>: Sender address rejected: Domain not found",
     "protocol_error", "infrastructure"),
    (450, "4.1.1", "<kim@example.com>: Recipient address rejected: User unknown in virtual alias table",
     "recipient_unclear", "recipient"),
    (551, "5.1.6", "recipient no longer on server: kim@example.com", "recipient_moved", "recipient"),
    (551, None, "User not local; please try <kim@example.org>", "recipient_unknown", "recipient"),
    (552, None, "Requested mail action aborted: exceeded storage allocation", "mailbox_full", "recipient"),
    (550, None, "Mailbox full", "mailbox_full", "recipient"),
    (452, "4.3.1", "Insufficient system storage", "server_busy", ""),  # their disk, not the mailbox
    (550, "5.4.4", "unable to route", "dns_failed", ""),  # often passing: suppresses nobody
    (550, "5.1.2", "Host unknown (Name server: example.com: host not found)", "dns_failed", "recipient"),
    (556, None, "domain does not accept mail", "null_mx", "recipient"),
    (550, "5.1.10", "Domain example.com does not accept mail (nullMX)", "null_mx", "recipient"),
    (552, None, "message size exceeds fixed maximum message size", "message_too_big", ""),
    (535, "5.7.8", "Username and Password not accepted", "authentication_refused", "infrastructure"),
    (503, "5.5.1", "Bad sequence of commands", "protocol_error", "infrastructure"),
    (550, None, "Blacklisted URL in message. (example.com) in [black]. See http://lookup.uribl.com.",
     "content_refused_by_server", "infrastructure"),
    (421, "4.7.0", "too many connections from your host", "rate_limited", "infrastructure"),
    (451, "4.4.3", "DNS lookup failure", "host_unreachable", ""),
    (454, None, "TLS not available due to temporary reason", "tls_failed", "infrastructure"),
    (550, None, "No", "refused_unclassified", ""),
    (450, None, "", "refused_temporarily", ""),
    # what an address is called was not said of it
    (550, "5.2.2", "<spamhaus-blocked@spf.example.com>: mailbox full", "mailbox_full", "recipient"),
    # a sentence cut into the lines of a long reply
    (550, "5.1.1", "The email account that you tried to\n5.1.1 reach does not exist",
     "recipient_unknown", "recipient"),
    (550, None, "550-5.7.26 Unauthenticated email from example.com is not\n550-5.7.26 accepted due "
     "to DMARC policy",
     "authentication_refused", "infrastructure"),
    (450, "4.7.1", "Client host rejected: cannot find your hostname, [192.0.2.7]",
     "authentication_temporary", "infrastructure"),
    (550, "5.4.4", "Host or domain name not found. Name service error for name=example.com: Host not found",
     "dns_failed", "recipient"),
    (450, "4.4.3", "Host or domain name not found. Name service error: Host not found, try again",
     "host_unreachable", ""),  # a look-up that failed says nothing of the domain
    (550, None, "User kim not listed in public Name & Address Book", "recipient_unknown", "recipient"),
    (550, None, "Mail quota violation for kim", "mailbox_full", "recipient"),
    (550, None, "command died with status 17: procmail: no such user", "refused_unclassified", ""),  # their program
    (550, None, "Message filtered. The recipient only accepts mail from a whitelist",
     "content_refused_by_server", "infrastructure"),
    (550, None, "Utilisateur inconnu", "recipient_unknown", "recipient"),
    (554, None, "Rejected", "refused_unclassified", ""),
    # a DSN that has only a status
    (0, "4.0.0", "", "refused_temporarily", ""),
    (0, "5.1.1", "", "recipient_unknown", "recipient"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "enhanced", "text", "expected", "about"), REFUSALS)
def test_a_refusal_is_read_for_its_reason(code, enhanced, text, expected, about):
    got = classify(code, enhanced, text)
    assert (got.code, got.about) == (expected, about), got.why


def test_no_row_speaks_of_silence():
    assert not [row.why for rows in STAGES for row in rows if row.speaks_of(None, "")]


def test_every_row_of_texts_gives_its_reason_in_words():
    assert all(row.why and not row.why.endswith(".") for rows in STAGES for row in rows)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "a@" * 50_000,
        "<" * 100_000,
        "user " * 20_000,
        "1.1.1." * 20_000,
        "exceed quot " * 9_000,
    ],
)
def test_hostile_texts_cost_no_more_than_long_ones(text):
    # a backtracking pattern takes minutes here, a linear one microseconds: the bound only tells the two apart
    started = time.process_time()
    classify(550, None, text)
    assert time.process_time() - started < 2


# --- the time ----------------------------------------------------------------------------------------------

NOW = datetime(2026, 3, 1, 4, 0, tzinfo=UTC)
FAR = NOW + timedelta(days=30)


@pytest.mark.parametrize(
    ("schedule", "minutes"),
    [
        (BULK, [15, 30, 60, 120, 240, 240]),
        (TRANSACTIONAL, [1, 3, 5, 10, 20, 30, 30]),
        (GREYLISTED, [5, 10, 20, 60]),
        (MAILBOX_FULL, [60, 120, 240, 360]),
    ],
)
def test_the_pauses_grow_as_the_preset_says(schedule, minutes):
    due = [next_attempt(schedule, tries, NOW, FAR, 0.0) for tries in range(1, len(minutes) + 1)]
    assert due == [NOW + timedelta(minutes=pause) for pause in minutes]


@pytest.mark.parametrize(("schedule", "hours"), [(BULK, 120), (GREYLISTED, 120), (MAILBOX_FULL, 48)])
def test_a_preset_ends_within_its_promise(schedule: Schedule, hours):
    lasted = sum((schedule.wait_after(tries) for tries in range(1, schedule.most)), timedelta())
    assert timedelta(hours=hours - 5) <= lasted <= timedelta(hours=hours)
    assert next_attempt(schedule, schedule.most - 1, NOW, FAR, 0.0) is not None
    assert next_attempt(schedule, schedule.most, NOW, FAR, 0.0) is None


def test_jitter_only_comes_later_and_by_a_fifth_at_most():
    assert next_attempt(GREYLISTED, 1, NOW, FAR, 0.0) == NOW + timedelta(minutes=5)
    assert next_attempt(GREYLISTED, 1, NOW, FAR, 0.5) == NOW + timedelta(minutes=5.5)
    assert next_attempt(GREYLISTED, 1, NOW, FAR, 0.999) < NOW + timedelta(minutes=6)


def test_an_attempt_at_the_hour_of_expiry_is_not_made():
    pause = timedelta(minutes=15)
    assert next_attempt(BULK, 1, NOW, NOW + pause, 0.0) is None
    assert next_attempt(BULK, 1, NOW, NOW + pause + timedelta(seconds=1), 0.0) == NOW + pause


def test_a_greylist_and_a_full_mailbox_have_schedules_of_their_own():
    assert BULK.for_code("greylisted") is GREYLISTED
    assert TRANSACTIONAL.for_code("greylisted") is GREYLISTED
    assert BULK.for_code("mailbox_full") is MAILBOX_FULL
    assert TRANSACTIONAL.for_code("mailbox_full") is TRANSACTIONAL
    assert BULK.for_code("server_busy") is BULK


def test_a_login_that_our_relay_refuses_is_called_that() -> None:
    reply = Reply(Phase.AUTH, 535, "5.7.8 credentials invalid", "5.7.8", None)
    outcome = interpret(reply, relay=True)
    assert (outcome.status, outcome.code) == (Status.DEFERRED, "relay_login_refused")
