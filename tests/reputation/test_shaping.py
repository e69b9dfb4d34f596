"""What providers' replies ask of us, by their own words; and how a valve closes and comes back."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reputation import wording
from reputation.shaping import (
    LEAST_PER_MINUTE,
    LONGEST,
    MOST_STRIKES,
    QUIET,
    UNDER_WAY,
    Place,
    Reaction,
    State,
    Strike,
    Valve,
    after_success,
    next_valve,
    react,
    tended,
    worse,
)
from reputation.shaping_rows import ROWS, Act, Scope

SLOW, BACK_OFF, CLOSE = Act.SLOW, Act.BACK_OFF, Act.CLOSE
DOMAIN, SOURCE = Scope.DOMAIN, Scope.SOURCE

# --- replies -----------------------------------------------------------------------------------------------

_LIMITED = (
    "To protect our users from spam, mail sent from your IP address has been temporarily rate limited. "
    "For more information, go to https://support.google.com/mail/?p=UnsolicitedRateLimitError - gsmtp"
)
_BULK = "For more information, go to Email sender guidelines. https://support.google.com/mail/answer/81126"
_WEREN_T = "Unfortunately, messages from 192.0.2.7 weren't sent."

REPLIES = [
    # (family, code, text with its enhanced code) -> (act, scope)
    # Google: the seven texts of 4.7.28
    ("gmail", 421, "4.7.28 Gmail has detected an unusual rate of mail originating from your IP address "
     f"[192.0.2.7]. {_LIMITED}", BACK_OFF, SOURCE),
    ("gmail", 421, "4.7.28 Gmail has detected an unusual rate of mail originating from your IP Netblock "
     f"[192.0.2.0/24]. {_LIMITED}", SLOW, SOURCE),
    ("gmail", 421, "4.7.28 Gmail has detected an unusual rate of mail originating from your SPF\n421-4.7.28 domain "
     "[rp.agents.acme.test      35]. To protect our users from\n421-4.7.28 spam, mail sent from your domain has been "
     "temporarily rate limited.", BACK_OFF, DOMAIN),
    ("google-workspace", 421, "4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your "
     "DKIM domain [agents.acme.test 35]. To protect our users from spam, mail sent from your domain has been "
     "temporarily rate limited.", BACK_OFF, DOMAIN),
    ("gmail", 421, "4.7.28 Gmail has detected an unusual rate of unsolicited mail containing one of your URL domains. "
     "To protect our users from spam, mail with the URL has been temporarily limited.", BACK_OFF, DOMAIN),
    ("gmail", 421, "4.7.28 Gmail has detected this message exceeded its quota for sending messages with the same "
     "Message-ID:. To best protect our users, the message has been temporarily rejected.", SLOW, DOMAIN),
    ("gmail", 421, "4.7.28 Gmail has detected an unusual rate of mail . To protect our users from spam, mail has been "
     "temporarily rate limited.", BACK_OFF, DOMAIN),
    ("gmail", 421, "4.7.28 Something they have not said before.", BACK_OFF, DOMAIN),
    ("gmail", 421, "4.7.0 Our system has detected an unusual rate of unsolicited mail originating from your IP "
     "address. To protect our users from spam, mail sent from your IP address has been temporarily blocked.",
     BACK_OFF, SOURCE),
    ("gmail", 550, "5.7.28 There is an unusual rate of unsolicited mail originating from your IP address. To protect "
     "our users from spam, mail sent from your IP address has been blocked.", CLOSE, SOURCE),
    ("gmail", 550, "5.7.1 Our system has detected an unusual rate of unsolicited mail originating from your IP "
     "address.", CLOSE, SOURCE),
    # Google: what it requires
    ("gmail", 421, "4.7.23 The sending IP address for this message doesn't have a PTR record, or the PTR record's "
     "forward DNS entry doesn't match the sending IP address.", BACK_OFF, SOURCE),
    ("gmail", 550, "5.7.25 The IP address sending this message does not have a PTR record setup, or the corresponding "
     "forward DNS entry does not point to the sending IP.", CLOSE, SOURCE),
    ("gmail", 421, "4.7.0 The IP address sending this message does not have a PTR record, or the corresponding forward "
     "DNS entry does not point to the sending IP.", BACK_OFF, SOURCE),
    ("gmail", 451, "4.7.24 The SPF record of the sending domain has one or more suspicious entries.", SLOW, DOMAIN),
    ("gmail", 550, "5.7.24 The SPF record of the sending domain has one or more suspicious entries.",
     BACK_OFF, DOMAIN),
    ("gmail", 421, "4.7.26 This mail has been rate limited because it is unauthenticated. Gmail requires all senders "
     f"to authenticate with either SPF or DKIM. {_BULK}", CLOSE, DOMAIN),
    ("gmail", 550, "5.7.26 Unauthenticated email from acme.test is not accepted due to domain's DMARC policy.",
     CLOSE, DOMAIN),
    ("gmail", 451, "4.7.26 Unauthenticated email from acme.test is not accepted due to domain's DMARC policy, but "
     "temporary DNS failures prevent authentication.", BACK_OFF, DOMAIN),
    ("gmail", 421, "4.7.27 Your email has been rate limited because SPF authentication didn't pass for this message.",
     CLOSE, DOMAIN),
    ("gmail", 550, "5.7.29 Your email has been blocked because this message wasn't sent over a TLS connection.",
     CLOSE, DOMAIN),
    ("gmail", 550, "5.7.30 This mail has been blocked because DKIM does not pass. Gmail requires all large senders to "
     "authenticate with DKIM.", CLOSE, DOMAIN),
    ("gmail", 421, "4.7.31 Your email has been rate limited because there is no DMARC record.", CLOSE, DOMAIN),
    ("gmail", 421, "4.7.32 Your email has been rate limited because the From: header (RFC5322) in this message isn't "
     "aligned with either the authenticated SPF or DKIM organizational domain.", CLOSE, DOMAIN),
    ("gmail", 550, "5.7.40 Your email has been blocked because the sender has no DMARC record.", CLOSE, DOMAIN),
    # Google: standing
    ("gmail", 421, "4.7.0 This message is suspicious due to the very low reputation of the sending IP address.",
     BACK_OFF, SOURCE),
    ("gmail", 550, "5.7.1 Our system has detected that this message is likely suspicious due to the very low "
     "reputation of the sending domain. To best protect our users from spam, the message has been blocked.",
     CLOSE, DOMAIN),
    ("gmail", 550, "5.7.1 The IP you're using to send mail is not authorized to send email directly to our servers. "
     "Use the SMTP relay at your service provider instead.", CLOSE, SOURCE),
    # Microsoft, both
    ("microsoft-consumer", 451, "4.7.650 The mail server [192.0.2.7] has been temporarily rate limited due to IP "
     "reputation. For e-mail delivery information, see https://aka.ms/postmaster (S775)", SLOW, SOURCE),
    ("microsoft-consumer", 451, "4.7.651 The mail server [192.0.2.7] has been temporarily rate limited due to IP "
     "reputation. (S3114)", SLOW, SOURCE),
    ("microsoft-consumer", 550, "5.7.515 Access denied, sending domain agents.acme.test does not meet the required "
     "authentication level.", CLOSE, DOMAIN),
    ("microsoft-365", 550, "5.7.509 Access denied, sending domain agents.acme.test does not pass DMARC verification "
     "and has a DMARC policy of reject.", BACK_OFF, DOMAIN),
    ("microsoft-365", 550, "5.7.501 Access denied, spam abuse detected.", BACK_OFF, DOMAIN),
    ("microsoft-365", 550, "5.7.511 Access denied, banned sender[192.0.2.7].", CLOSE, SOURCE),
    ("microsoft-365", 550, "5.7.606 Access denied, banned sending IP [192.0.2.7]. To request removal from this list "
     "please visit https://sender.office.com/ and follow the directions. (AS16012609)", CLOSE, SOURCE),
    ("microsoft-365", 550, "5.7.708 Service unavailable. Access denied, traffic not accepted from this IP.",
     CLOSE, SOURCE),
    ("microsoft-365", 451, "4.7.500 Server busy. Please try again later from [192.0.2.7]. (AS77712344)", SLOW, SOURCE),
    ("microsoft-365", 451, "4.7.850 Access denied, please try again later", SLOW, SOURCE),
    ("microsoft-365", 421, "4.3.2 The maximum number of concurrent connections per resource forest has exceeded a "
     "limit, closing transmission channel.", SLOW, SOURCE),
    # Outlook.com
    ("microsoft-consumer", 421, "RP-001 (COL004-MC1F1) Unfortunately, some messages from 192.0.2.7 weren't sent. "
     "Please try again. We have limits for how many messages can be sent per hour and per day.", SLOW, SOURCE),
    ("microsoft-consumer", 421, "RP-003 (BAY004-MC1F1) Unfortunately, some messages from 192.0.2.7 weren't sent.",
     SLOW, SOURCE),
    ("microsoft-consumer", 550, "5.7.1 Unfortunately, messages from [192.0.2.7] weren't sent. Please contact your "
     "Internet service provider since part of their network is on our block list (S3140).", CLOSE, SOURCE),
    ("microsoft-consumer", 550, "5.7.1 Unfortunately, messages from [192.0.2.7] weren't sent. Please contact your "
     "Internet service provider since part of their network is on our block list (S3150).", CLOSE, SOURCE),
    ("microsoft-consumer", 550, f"SC-001 (COL004-MC1F1) {_WEREN_T}", BACK_OFF, SOURCE),
    ("microsoft-consumer", 550, f"SC-002 (BAY004-MC1F1) {_WEREN_T}", CLOSE, SOURCE),
    ("microsoft-consumer", 550, f"SC-003 (BAY004-MC1F1) {_WEREN_T}", CLOSE, SOURCE),
    ("microsoft-consumer", 550, f"SC-004 (BAY004-MC1F1) {_WEREN_T}", CLOSE, SOURCE),
    ("microsoft-consumer", 550, f"DY-001 (BAY004-MC1F1) {_WEREN_T} We generally do not accept email from dynamic "
     "IP's.", CLOSE, SOURCE),
    ("microsoft-consumer", 550, f"OU-001 (SNT004-MC1F1) {_WEREN_T}", BACK_OFF, SOURCE),
    ("microsoft-consumer", 550, f"OU-002 (SNT004-MC1F1) {_WEREN_T}", BACK_OFF, SOURCE),
    # Yahoo
    ("yahoo", 421, "4.7.0 [TSS04] Messages from 192.0.2.7 temporarily deferred due to unexpected volume or user "
     "complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes", SLOW, SOURCE),
    ("yahoo", 421, "4.7.0 [TS02] Temporarily deferred", SLOW, SOURCE),
    ("yahoo", 421, "4.7.1 [TS03] All messages from 192.0.2.7 permanently deferred", BACK_OFF, SOURCE),
    ("yahoo", 553, "5.7.2 [TSS09] All messages from 192.0.2.7 will be permanently deferred; Retrying will NOT succeed. "
     "See https://postmaster.yahooinc.com/error-codes", CLOSE, SOURCE),
    ("yahoo", 553, "5.7.1 [BL21] Connections will not be accepted from 192.0.2.7, because the ip is in Spamhaus's "
     "list; see http://postmaster.yahoo.com/550-bl23.html", BACK_OFF, SOURCE),
    ("yahoo", 550, "5.7.9 This mail has been blocked because the sender is unauthenticated. Yahoo requires all senders "
     "to authenticate with either SPF or DKIM.", CLOSE, DOMAIN),
    ("yahoo", 451, "Message temporarily deferred due to unresolvable RFC.5321 from domain. See "
     "https://senders.yahooinc.com/error-codes#unresolvable-from-domain", BACK_OFF, DOMAIN),
    ("yahoo", 554, "Message not allowed - [PH01] Email not accepted for policy reasons. Please visit "
     "https://postmaster.yahooinc.com/error-codes", SLOW, DOMAIN),
    ("yahoo", 554, "5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes",
     SLOW, DOMAIN),
    # Apple
    ("icloud", 554, "5.7.1 [HME1] This message was blocked for failing both SPF and DKIM authentication checks.",
     CLOSE, DOMAIN),
    ("icloud", 554, "5.7.1 Your message was rejected due to acme.test's DMARC policy.", CLOSE, DOMAIN),
    ("icloud", 550, "5.7.1 Your email was rejected due to having a domain present in the Spamhaus DBL -- see "
     "https://www.spamhaus.org/dbl/", BACK_OFF, DOMAIN),
    ("icloud", 550, "5.7.1 Mail from IP 192.0.2.7 was rejected due to listing in Spamhaus SBL.", BACK_OFF, SOURCE),
    ("icloud", 550, "5.7.0 Blocked - see https://support.proofpoint.com/dnsbl-lookup.cgi?ip=192.0.2.7",
     BACK_OFF, SOURCE),
    ("icloud", 550, "5.7.1 [CS01] Message rejected due to local policy. Please visit "
     "https://support.apple.com/en-us/HT204137", SLOW, DOMAIN),
    ("icloud", 421, "4.7.0 me.com Error: too many errors", SLOW, SOURCE),
    ("icloud", 451, "4.7.1 Service unavailable - try again later", SLOW, SOURCE),
    # gateways and others
    ("proofpoint", 554, "Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.7", BACK_OFF, SOURCE),
    ("mimecast", 451, "IP temporarily blacklisted - https://community.mimecast.com/docs/DOC-1369#451", SLOW, SOURCE),
    ("mimecast", 550, "Rejected by header based Anti-Spoofing policy: local CT IP reputation policies - Rejected",
     BACK_OFF, SOURCE),
    ("cisco", 554, "Your access to this mail system has been rejected due to the sending MTA's poor reputation. If you "
     "believe that this failure is in error, please contact the intended recipient via alternate means.",
     BACK_OFF, SOURCE),
    ("barracuda", 550, "permanent failure for one or more recipients (blocked) "
     "http://www.barracudanetworks.com/reputation/?r=1&ip=192.0.2.7", BACK_OFF, SOURCE),
    ("gmx", 421, "web.de (mxweb113) Nemesis ESMTP Service not available\nService unavailable\nReject due to policy "
     "restrictions\nPlease try again later. Too many messages have been received in a short period of time.",
     SLOW, SOURCE),
    ("ionos", 421, "Rate limit reached. Please try again later", SLOW, SOURCE),
    ("gmx", 554, "gmx.net (mxgmx016) Nemesis ESMTP Service not available\nNo SMTP service\nBad DNS PTR resource "
     "record.", CLOSE, SOURCE),
    ("gmx", 550, "<kim@gmx.test>: Reject due to SPF policy. The originating IP of the message is not permitted by the "
     "domain owner", CLOSE, DOMAIN),
    ("t-online", 554, "IP=192.0.2.7 - A problem occurred. Ask your postmaster for help or to contact "
     "tosa@rx.t-online.de to clarify.", CLOSE, SOURCE),
    ("comcast", 421, "RL000010 Throttled - try again later", SLOW, SOURCE),
    ("comcast", 554, "resimta-po-01v.sys.comcast.net 192.0.2.7 found on one or more DNSBLs, see BL000010",
     CLOSE, SOURCE),
    ("rackspace", 421, "Too many concurrent connections from this client (G2)", SLOW, SOURCE),
    ("rackspace", 451, "4.7.1 Received too many messages from a new or untrusted IP (G28)", SLOW, SOURCE),
    ("orange", 421, "mwinf5c04 ME Service refuse. Veuillez essayer plus tard. OFR004_104 [104]", SLOW, SOURCE),
]  # fmt: skip

PLAIN = [
    # (family, code, text): one delivery's own trouble
    ("gmail", 250, "2.0.0 OK 1767225600 a640c23a62f3a - gsmtp"),
    ("gmail", 421, "4.3.0 Temporary System Problem. Try again later"),
    ("gmail", 450, "4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional "
     "messages from being delivered."),  # popular, not us
    ("gmail", 452, "4.2.2 The recipient's inbox is out of storage space."),
    ("gmail", 550, "5.1.1 The email account that you tried to reach does not exist."),
    ("gmail", 550, "5.2.1 The email account that you tried to reach is inactive."),
    ("gmail", 550, "5.7.1 Our system has detected that this message is likely unsolicited mail."),  # this message
    ("google-workspace", 550, "5.7.26 We do not like you: unusual rate of mail . - gcdp x - gsmtp"),  # a customer
    ("microsoft-365", 550, "5.7.1 Go away (S3140) RP-001"),  # a tenant's own rule may say anything
    ("microsoft-365", 550, "5.7.950 banned sending IP"),
    ("microsoft-365", 550, "5.4.1 [kim@example.com]: Recipient address rejected: Access denied"),
    ("microsoft-365", 451, "4.7.1 Please try again later (greylisted) (S77719)"),
    ("yahoo", 451, "4.7.1 Message temporarily deferred - [160]"),
    ("yahoo", 421, "Max message per connection reached, closing transmission channel"),
    ("icloud", 552, "5.2.2 <kim@icloud.com>: user is over quota"),
    ("mimecast", 451, "Internal resources are temporarily unavailable - "
     "https://community.mimecast.com/docs/DOC-1369#451"),  # their greylisting
    ("gmx", 450, "4.2.0 Recipient address rejected: Greylisted"),
    ("orange", 552, "5.1.1 mailbox full"),
    # a host of nobody we know: its owner could close us
    ("other", 421, "4.7.28 Gmail has detected an unusual rate of mail originating from your IP address"),
    ("other", 550, "5.7.26 unauthenticated"),
    ("other", 451, "4.7.650 rate limited"),
]  # fmt: skip


@pytest.mark.parametrize(("family", "code", "text", "act", "scope"), REPLIES)
def test_a_reply_asks_for_what_its_provider_means(family, code, text, act, scope):
    got = react(code, None, text, family)
    assert got is not None
    assert (got.act, got.scope) == (act, scope)


@pytest.mark.parametrize(("family", "code", "text"), PLAIN)
def test_what_concerns_one_delivery_asks_for_nothing(family, code, text):
    assert react(code, None, text, family) is None


def test_no_row_is_without_a_reply_that_finds_it():
    found = {_first_row(family, text) for family, _, text, _, _ in REPLIES}
    assert [row for row in ROWS if row not in found] == []


def _first_row(family, text):
    status = wording.status(None, text)
    security = status[2] if status and status[1] == 7 else None
    return next(row for row in ROWS if row.speaks_of(family, security, wording.words(text)))


def test_the_enhanced_code_may_come_apart_from_the_text():
    assert react(421, "4.7.28", "no words", "gmail") == react(421, None, "4.7.28 no words", "gmail")


@pytest.mark.parametrize(
    ("code", "text", "trip"),
    [
        (550, "5.7.26 Unauthenticated email", True),
        (550, "5.7.27 SPF", True),
        (550, "5.7.30 DKIM", True),
        (550, "5.7.32 alignment", True),
        (550, "5.7.28 unsolicited", True),
        (421, "4.7.26 Unauthenticated email", False),  # for now: they may think again
        (421, "4.7.28 rate", False),
        (550, "5.7.25 PTR", False),
        (550, "5.7.29 TLS", False),
        (550, "5.7.40 DMARC", False),
    ],
)
def test_only_some_refusals_for_good_are_evidence_for_the_switch(code, text, trip):
    got = react(code, None, text, "gmail")
    assert got is not None
    assert got.trip is trip


def test_a_family_of_one_operator_may_complain_of_our_rate_in_any_words():
    assert react(451, None, "Ruhig, Brauner", "gmx", of_rate=True) == Reaction(SLOW, SOURCE)
    assert react(451, None, "Ruhig, Brauner", "gmx") is None
    for family in (
        "other",
        "proofpoint",
        "microsoft-365",
        "google-workspace",
    ):  # a customer of theirs may speak
        assert react(451, None, "too many messages", family, of_rate=True) is None


def test_the_worse_of_two_strikes_counts_and_the_first_of_equals():
    place = Place("domain", "agents.acme.test", "gmail")
    mild, bad = (
        Strike(place, Reaction(SLOW, DOMAIN), "slow down"),
        Strike(place, Reaction(CLOSE, DOMAIN), "go away"),
    )
    again = Strike(place, Reaction(CLOSE, DOMAIN), "go away again")
    assert worse(mild, bad) is bad
    assert worse(bad, mild) is bad
    assert worse(bad, again) is bad


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "[ts" * 33_000,
        "unusual rate of " * 6_000,
        "4.7." * 25_000,
        "<" * 100_000,
        "ofr" + "w" * 100_000,
    ],
)
def test_hostile_texts_cost_no_more_than_long_ones(text):
    # a backtracking pattern takes minutes here, a linear one microseconds: the bound only tells the two apart
    started = time.process_time()
    for family in {name for row in ROWS for name in row.families}:
        react(421, None, text, family)
    assert time.process_time() - started < 2


# --- the valve ---------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
OPEN = Valve()
SLOWER, BACKED, CLOSED = Reaction(SLOW, DOMAIN), Reaction(BACK_OFF, DOMAIN), Reaction(CLOSE, SOURCE)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def struck(valve: Valve, reaction: Reaction, at: datetime = NOW, pace: int = 64) -> Valve:
    return next_valve(valve, reaction, at, pace, "421 slow down")


def test_a_first_slow_down_halves_the_present_pace():
    assert struck(OPEN, SLOWER) == Valve(State.SLOW, NOW + QUIET, 32, 1, "421 slow down")


def test_each_further_one_halves_it_again():
    valve, paces = OPEN, []
    for step in range(6):
        valve = struck(valve, SLOWER, NOW + minutes(step))
        paces.append(valve.per_minute)
    assert paces == [32, 16, 8, 4, 2, 1]
    assert (valve.state, valve.strikes) == (State.SLOW, 6)


@pytest.mark.parametrize("pace", [0, 1])
def test_what_cannot_go_slower_closes(pace):
    got = struck(OPEN, SLOWER, pace=pace)
    assert (got.state, got.until, got.per_minute) == (State.CLOSED, NOW + minutes(10), LEAST_PER_MINUTE)


def test_a_slow_valve_at_the_least_pace_closes_for_as_long_as_its_strikes_say():
    valve = Valve(State.SLOW, NOW + QUIET - UNDER_WAY, LEAST_PER_MINUTE, 3)
    assert struck(valve, SLOWER).until == NOW + minutes(80)


@pytest.mark.parametrize(
    ("reaction", "strikes", "closed_for"),
    [
        (BACKED, 0, minutes(10)),
        (BACKED, 1, minutes(20)),
        (BACKED, 4, minutes(160)),
        (BACKED, 8, LONGEST),
        (CLOSED, 0, timedelta(hours=4)),
        (CLOSED, 1, timedelta(hours=8)),
        (CLOSED, 3, LONGEST),
    ],
)
def test_a_closure_doubles_with_the_strikes_before_it_up_to_a_day(reaction, strikes, closed_for):
    valve = Valve(State.SLOW, NOW + QUIET, 8, strikes) if strikes else OPEN
    assert struck(valve, reaction).until == NOW + closed_for


def test_strikes_stop_counting_somewhere():
    assert struck(Valve(State.TRIAL, None, 1, MOST_STRIKES), BACKED).strikes == MOST_STRIKES


def test_what_was_under_way_when_the_pace_changed_does_not_count_again():
    once = struck(OPEN, SLOWER)
    assert struck(once, SLOWER, NOW + UNDER_WAY - minutes(0.01)) is once
    assert struck(once, SLOWER, NOW + UNDER_WAY).strikes == 2


def test_what_was_under_way_and_says_worse_counts_at_once():
    assert struck(struck(OPEN, SLOWER), BACKED).state is State.CLOSED


def test_a_closed_valve_is_not_struck_by_what_was_under_way():
    closed = struck(OPEN, BACKED)
    assert struck(closed, CLOSED, NOW + minutes(9)) is closed


def test_a_closed_valve_goes_on_trial_when_its_time_has_come_and_not_before():
    closed = struck(OPEN, BACKED)
    assert tended(closed, NOW + minutes(9.99)) is closed
    trial = tended(closed, NOW + minutes(10))
    assert (trial.state, trial.until, trial.strikes) == (State.TRIAL, None, 1)


def test_a_closed_valve_whose_time_has_come_is_on_trial_before_anybody_tends_it():
    closed = struck(OPEN, BACKED)
    assert struck(closed, SLOWER, NOW + minutes(11)).until == NOW + minutes(31)
    assert after_success(closed, NOW + minutes(11)).state is State.SLOW


def test_time_alone_never_ends_a_trial():
    trial = Valve(State.TRIAL, None, 4, 2)
    assert tended(trial, NOW + timedelta(days=30)) is trial


@pytest.mark.parametrize("reaction", [SLOWER, BACKED])
def test_a_trial_that_fails_closes_longer(reaction):
    assert struck(Valve(State.TRIAL, None, 4, 1), reaction).until == NOW + minutes(20)


def test_a_trial_that_succeeds_is_slow_and_other_valves_do_not_care():
    trial = Valve(State.TRIAL, None, 4, 2)
    assert after_success(trial, NOW) == Valve(State.SLOW, NOW + QUIET, 4, 2)
    for valve in (OPEN, struck(OPEN, SLOWER), struck(OPEN, BACKED)):
        assert after_success(valve, NOW) is valve


def test_quiet_intervals_bring_it_back_by_the_steps_it_went():
    valve = OPEN
    for step in range(3):
        valve = struck(valve, SLOWER, NOW + minutes(step))
    paces, now = [], NOW + minutes(2)
    while valve.state is State.SLOW:
        paces.append(valve.per_minute)
        assert tended(valve, now + QUIET - minutes(0.01)) is valve
        now += QUIET
        valve = tended(valve, now)
    assert paces == [8, 16, 32]
    assert valve == OPEN


def test_nothing_is_due_on_an_open_valve():
    assert tended(OPEN, NOW) is OPEN
    assert replace(OPEN, why="x") != OPEN
