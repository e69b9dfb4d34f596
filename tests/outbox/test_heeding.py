"""Who is heard: the recipients' own servers, under the name of the host that spoke."""

import pytest

from outbox.heeding import Lost, accused, heard, listed, lost
from outbox.outcomes import Fault, Phase, Reply
from reputation.shaping import Place, Strike
from reputation.shaping_rows import Act

DOMAIN, SOURCE = "agents.acme.test", "192.0.2.7"
GMAIL = "gmail-smtp-in.l.google.com"
RATED = "Gmail has detected an unusual rate of mail originating from your IP address [192.0.2.7]."
OF_DOMAIN, OF_SOURCE = Place("domain", DOMAIN, "gmail"), Place("source", SOURCE, "gmail")


def reply(code: int | None = 421, text: str = f"4.7.28 {RATED}", host: str = GMAIL, **more) -> Reply:
    return Reply(more.pop("phase", Phase.RCPT), code, text, host=host, **more)


def listen(said: Reply, source: str = SOURCE, provider: str = "gmail", unsettled=None):
    return heard(DOMAIN, source, provider, said, unsettled or {})


def test_a_reply_strikes_the_ramp_it_names_with_its_own_words():
    [word] = listen(reply())
    assert isinstance(word, Strike)
    assert (word.place, word.reaction.act, word.reply) == (OF_SOURCE, Act.BACK_OFF, f"421 4.7.28 {RATED}")


def test_what_is_said_of_an_address_that_is_not_pinned_falls_on_the_domain():
    [word] = listen(reply(), source="")
    assert word.place == OF_DOMAIN


def test_what_is_said_of_the_domain_strikes_the_domain():
    [word] = listen(reply(550, "5.7.26 Unauthenticated email from acme.test is not accepted"))
    assert (word.place, word.reaction.trip) == (OF_DOMAIN, True)


@pytest.mark.parametrize(
    ("host", "provider", "family"),
    [
        (GMAIL, "other", "gmail"),  # a domain whose provider is not learned yet
        ("aspmx.l.google.com", "gmail", "google-workspace"),
        ("mx.example.org", "gmail", None),  # once Google's customer, now anybody
        ("", "gmail", None),  # nobody spoke
    ],
)
def test_the_host_that_spoke_says_whose_word_it_is(host, provider, family):
    words = listen(reply(host=host), provider=provider)
    assert [word.place.provider for word in words] == ([family] if family else [])


def test_a_complaint_about_our_rate_in_words_of_its_own_slows_a_family_of_one_operator():
    [word] = listen(reply(451, "too many messages from you", "mx00.gmx.net"), source="")
    assert (word.place, word.reaction.act) == (Place("domain", DOMAIN, "gmx"), Act.SLOW)


@pytest.mark.parametrize(
    "said",
    [
        reply(550, "5.1.1 The email account that you tried to reach does not exist."),
        reply(452, "4.2.2 The recipient's inbox is out of storage space."),
        reply(451, "4.7.1 Greylisted, come back in 5 minutes", "mx00.gmx.net"),
        reply(None, "no answer in time", fault=Fault.TIMEOUT),
        reply(None, "we hung up", fault=Fault.NOT_CLEARED),
        reply(250, "ok", phase=Phase.REPLIED),
    ],
)
def test_one_deliverys_own_trouble_or_luck_says_nothing(said):
    assert listen(said) == []


def test_a_refusal_read_before_the_hang_up_is_heard():
    assert len(listen(reply(fault=Fault.CLOSED))) == 1


@pytest.mark.parametrize(
    ("unsettled", "ids"),
    [
        ({OF_DOMAIN: 3, OF_SOURCE: 4}, [3, 4]),
        ({OF_SOURCE: 4}, [4]),
        ({Place("domain", DOMAIN, "yahoo"): 5, Place("domain", "other.acme.test", "gmail"): 6}, []),
    ],
)
def test_a_delivery_that_was_taken_is_told_to_its_ramps_that_are_not_open(unsettled, ids):
    assert listen(reply(250, "ok", phase=Phase.REPLIED, dot_written=True), unsettled=unsettled) == ids


@pytest.mark.parametrize(
    "said",
    [
        reply(250, "sender ok", phase=Phase.RCPT),  # taken is what the dot's reply says
        reply(250, "ok", phase=Phase.REPLIED, fault=Fault.LINE_TOO_LONG),
        reply(354, "go on", phase=Phase.DOT),
    ],
)
def test_half_a_success_is_none(said):
    assert listen(said, unsettled={OF_DOMAIN: 3, OF_SOURCE: 4}) == []


@pytest.mark.parametrize(
    ("code", "text", "phase", "how"),
    [
        (550, "5.1.1 The email account that you tried to reach does not exist.", Phase.RCPT, Lost.GONE),
        (550, "5.1.1 No such user", Phase.REPLIED, Lost.GONE),
        (552, "5.2.2 The recipient's mailbox is full", Phase.RCPT, Lost.FULL),
        (452, "4.2.2 The recipient's mailbox is full", Phase.RCPT, None),  # tried again
        (450, "4.1.1 No such user", Phase.RCPT, None),
        (550, "5.7.1 Service unavailable, client host blocked using Spamhaus", Phase.RCPT, None),  # about us
        (550, "5.7.26 Unauthenticated email is not accepted", Phase.REPLIED, None),
        (550, "5.1.1 No such user", Phase.MAIL, None),  # about our address
    ],
)
def test_only_a_final_word_about_the_mailbox_loses_it(code, text, phase, how):
    assert lost(reply(code, text, phase=phase, enhanced=text.split()[0])) is how


GOOGLE_SAYS = "5.7.26 Your email has been blocked because the sender is unauthenticated."
UNUSUAL = "5.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your"


@pytest.mark.parametrize(
    ("code", "text", "host", "scope", "rule", "whose"),
    [
        (550, GOOGLE_SAYS, GMAIL, "domain_provider:agents.acme.test/gmail", "authentication", "gmail"),
        (550, f"{UNUSUAL} IP address [192.0.2.7].", GMAIL, "source:192.0.2.7", "unsolicited", "gmail"),
        (550, f"{UNUSUAL} DKIM domain [x].", GMAIL, "domain_provider:agents.acme.test/gmail", "unsolicited", "gmail"),
        (550, "5.7.515 Access denied, sending domain", "a.olc.protection.outlook.com",
         "domain_provider:agents.acme.test/microsoft-consumer", "authentication", "microsoft-consumer"),
        # anybody else is a witness
        (550, "5.7.26 no SPF", "mx.corp.example", "domain:agents.acme.test", "authentication", "corp.example"),
        (554, "5.7.28 spam from 192.0.2.7", "mx.corp.example", "source:192.0.2.7", "unsolicited", "corp.example"),
        # for now, of another thing, or a customer's own rule
        (450, GOOGLE_SAYS.replace("5.7", "4.7"), GMAIL, None, None, None),
        (550, "5.1.1 no such user", "mx.corp.example", None, None, None),
        (550, "5.7.1 blocked", "mx.corp.example", None, None, None),
        (550, "5.7.26 refused by gcdp rule", GMAIL, None, None, None),
        (250, "ok", GMAIL, None, None, None),
        (None, "", GMAIL, None, None, None),
    ],
)  # fmt: skip
def test_what_is_said_against_us_names_a_scope_and_somebody_who_says_it(code, text, host, scope, rule, whose):
    said = accused(DOMAIN, SOURCE, "grace@mail.corp.example", reply(code, text, host))
    if scope is None:
        assert said is None
        return
    assert (said.scope, said.rule) == (scope, rule)
    assert (said.organisation or said.family) == whose


def test_an_address_that_is_not_pinned_is_not_closed():
    said = accused(DOMAIN, "", "grace@corp.example", reply(550, f"{UNUSUAL} IP address [192.0.2.7]."))
    assert said.scope == "domain_provider:agents.acme.test/gmail"


BLOCKED = "5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org"


@pytest.mark.parametrize(
    ("text", "source", "found"),
    [
        (BLOCKED, SOURCE, [(SOURCE, f"source:{SOURCE}")]),
        (BLOCKED, "", [(SOURCE, f"domain:{DOMAIN}")]),  # which of ours it means stands in the text
        (
            "5.7.1 blocked using bl.spamcop.net",
            "",
            [("192.0.2.6", f"domain:{DOMAIN}"), (SOURCE, f"domain:{DOMAIN}")],
        ),
        ("5.7.1 sender domain listed by dbl.spamhaus.org", SOURCE, [(DOMAIN, f"domain:{DOMAIN}")]),
        ("5.7.1 Client host blocked using zen.spamhaus.org; Error: open resolver", SOURCE, []),
        ("5.7.1 zen.spamhaus.org: excessive queries, see 127.255.255.255", SOURCE, []),
        ("5.7.1 zen.spamhaus.org returned 127.255.255.254", SOURCE, []),
        ("5.1.1 user unknown", SOURCE, []),
    ],
)
def test_a_block_list_that_is_named_is_suspected_of_listing_what_is_ours(text, source, found):
    suspicions = listed(DOMAIN, source, ["192.0.2.6", SOURCE], reply(550, text, "mx.example.org"))
    assert [(one.subject, one.scope) for one in suspicions] == found


def test_nobody_is_suspected_for_what_was_taken_or_said_by_nobody():
    assert not listed(DOMAIN, SOURCE, [], reply(250, BLOCKED))
    assert not listed(DOMAIN, SOURCE, [], reply(None, BLOCKED))
    assert not listed(DOMAIN, SOURCE, [], reply(550, BLOCKED, host=""))
    assert listed(DOMAIN, SOURCE, [], reply(450, BLOCKED))
