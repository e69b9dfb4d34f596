"""What a domain must publish, and what is said of what it published."""

import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reputation.alignment import Aligned, Organisation
from reputation.records import (
    Evidence,
    Facts,
    Found,
    Key,
    KeyState,
    Kind,
    Means,
    Outcome,
    Route,
    Verdict,
    Wanted,
    compare,
    expected,
)
from reputation.records import zone_text as as_in_zone_files
from reputation.signing import Algorithm, generate
from reputation.spf import Result, SpfReport, SpfResult

RIGHT, ADVICE, MISSING, WRONG, UNKNOWN = Verdict

RSA_RECORD = generate(Algorithm.RSA).public_record
P = RSA_RECORD.partition("p=")[2]
KEY = Key("ao1", "rsa-sha256", RSA_RECORD, KeyState.ACTIVE)
SECOND = Key("ao2", "ed25519-sha256", generate(Algorithm.ED25519).public_record, KeyState.CREATED)
FACTS = Facts(
    name="agents.example.com",
    organisation="example.com",
    keys=(KEY, SECOND),
    route=Route(Means.DIRECT, "mail.example.com", ("192.0.2.1", "2001:db8::1")),
    returns_host="returns.example.com",
    replies_host="mx.example.com",
    rua="dmarc@example.com",
    unsubscribe_host="www.example.com",
)


def wanted(kind: Kind, facts: Facts = FACTS) -> Wanted:
    """The first record of a kind."""
    return next(each for each in expected(facts) if each.kind is kind)


def kinds(facts: Facts) -> set[Kind]:
    return {each.kind for each in expected(facts)}


def answered(*values: str, ttl: float | None = None) -> Found:
    return Found(values, Outcome.ANSWERED, ttl)


ABSENT = Found((), Outcome.ABSENT)
FAILED = Found((), Outcome.FAILED)


PUBLISHED = [
    ("ehlo-1", "mail.example.com", "A", "192.0.2.1", True),
    ("ptr-1", "1.2.0.192.in-addr.arpa", "PTR", "mail.example.com.", True),
    ("ehlo-2", "mail.example.com", "AAAA", "2001:db8::1", True),
    ("returns-mx", "rp.agents.example.com", "MX", "10 returns.example.com.", True),
    ("returns-spf", "rp.agents.example.com", "TXT", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all", True),
    ("dkim-ao1", "ao1._domainkey.agents.example.com", "TXT", RSA_RECORD, True),
    ("dkim-ao2", "ao2._domainkey.agents.example.com", "TXT", SECOND.public_record, False),
    ("dmarc", "_dmarc.agents.example.com", "TXT", "v=DMARC1; p=none; adkim=s; rua=mailto:dmarc@example.com", True),
    ("mx", "agents.example.com", "MX", "10 mx.example.com.", True),
    ("spf", "agents.example.com", "TXT", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all", False),
    ("unsubscribe", "u.agents.example.com", "CNAME", "www.example.com.", False),
    ("tlsrpt", "_smtp._tls.agents.example.com", "TXT", "v=TLSRPTv1; rua=mailto:dmarc@example.com", False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("purpose", "name", "rdtype", "value", "needed"), PUBLISHED, ids=[row[0] for row in PUBLISHED]
)
def test_a_direct_domain_publishes(purpose: str, name: str, rdtype: str, value: str, needed: bool) -> None:
    found = {each.purpose: each for each in expected(FACTS)}[purpose]
    assert (found.name, found.type, found.values, found.needed) == (name, rdtype, (value,), needed)


def test_nobody_is_asked_for_what_does_not_apply() -> None:
    bare = Facts("a.example.com", "example.com", (), Route(Means.RELAY), "returns.example.com")
    assert kinds(bare) == {Kind.SOA, Kind.RETURNS_MX, Kind.RETURNS_SPF, Kind.DMARC, Kind.MX, Kind.SPF}
    # of a relay that says nothing of itself there is nothing to copy, and nothing to insist on
    assert (wanted(Kind.RETURNS_SPF, bare).text, wanted(Kind.RETURNS_SPF, bare).needed) == ("", False)
    assert wanted(Kind.DMARC, bare).values == ("v=DMARC1; p=none; adkim=s",)


def test_a_relay_is_authorised_by_its_own_name_and_says_its_own_ehlo() -> None:
    relayed = replace(
        FACTS, route=Route(Means.RELAY, "mail.example.com", ("192.0.2.1",), "spf.relay.example")
    )
    assert not {Kind.EHLO, Kind.PTR} & kinds(relayed)
    value = "v=spf1 ip4:192.0.2.1 include:spf.relay.example -all"
    assert wanted(Kind.RETURNS_SPF, relayed).values == (value,)


@pytest.mark.parametrize(
    ("states", "needed"),
    [
        (["created"], [True]),  # nothing signs yet: it must be published first
        (["active", "created"], [True, False]),  # the next key is no condition for sending with this one
        (["retiring", "active"], [False, True]),
        (["retiring", "published"], [False, True]),
    ],
)
def test_needs_the_key_that_signs_or_will(states: list[str], needed: list[bool]) -> None:
    keys = tuple(replace(KEY, selector=f"s{n}", state=KeyState(state)) for n, state in enumerate(states))
    found = [each for each in expected(replace(FACTS, keys=keys)) if each.kind is Kind.DKIM]
    assert [each.needed for each in found] == needed
    assert {each.ttl for each in found} == {300}


def test_a_revoked_key_is_to_vanish() -> None:
    gone = wanted(Kind.DKIM_REVOKED, replace(FACTS, keys=(replace(KEY, state=KeyState.REVOKED),)))
    assert gone.values == ("v=DKIM1; k=rsa; p=",)
    assert compare(gone, ABSENT).verdict is RIGHT
    assert compare(gone, answered(*gone.values)).verdict is RIGHT
    assert compare(gone, answered(RSA_RECORD)).verdict is WRONG


def test_the_subdomain_is_no_weaker_than_its_parent_and_reports_abroad_are_permitted() -> None:
    facts = replace(FACTS, parent_dmarc="v=DMARC1; p=reject; sp=quarantine", rua="x@reports.example.net")
    assert wanted(Kind.DMARC, facts).values[0].startswith("v=DMARC1; p=quarantine;")
    permission = wanted(Kind.DMARC_REPORTS, facts)
    assert permission.name == "agents.example.com._report._dmarc.reports.example.net"
    assert compare(permission, answered("v=DMARC1")).verdict is RIGHT
    assert compare(permission, answered("spam")).verdict is MISSING


def test_strictness_of_the_parent_is_offered_only_where_nobody_relies_on_less() -> None:
    assert Kind.DMARC_PARENT not in kinds(FACTS)
    parent = wanted(
        Kind.DMARC_PARENT, replace(FACTS, strict_is_safe=True, parent_dmarc="v=DMARC1; p=none; aspf=s")
    )
    assert parent.values == ("v=DMARC1; p=none; aspf=s; psd=n; adkim=s",)
    assert "psd=n, adkim=s." in compare(parent, answered("v=DMARC1; p=none; aspf=s")).words
    assert compare(parent, answered(*parent.values)).verdict is RIGHT
    assert compare(parent, ABSENT).verdict is ADVICE
    # the domain that is its own organisation would break its own SPF alignment
    assert Kind.DMARC_PARENT not in kinds(replace(FACTS, strict_is_safe=True, organisation=FACTS.name))


def test_purposes_are_slugs_and_differ_even_where_selectors_are_long() -> None:
    keys = tuple(replace(KEY, selector=f"{'s' * 50}.{n}") for n in range(3))
    facts = replace(
        FACTS, keys=keys, unsubscribe_host="", unsubscribe_addresses=("192.0.2.7",), mta_sts_id="1"
    )
    purposes = [each.purpose for each in expected(facts)]
    assert len(set(purposes)) == len(purposes)
    assert all(re.fullmatch(r"[a-z0-9_-]{1,40}", purpose) for purpose in purposes)


@given(st.text(max_size=700))
@example("x" * 256)
def test_zone_text_holds_the_value_in_strings_of_255_octets(value: str) -> None:
    strings = re.findall(r'"((?:[^"\\]|\\.)*)"', text := as_in_zone_files("TXT", value), re.DOTALL)
    octets = [
        re.sub(r"\\(\d{3}|.)", lambda one: chr(int(one[1])) if one[1].isdigit() else one[1], string).encode(
            "latin-1"
        )
        for string in strings
    ]
    assert b"".join(octets) == value.encode()
    assert all(len(each) <= 255 for each in octets)
    assert text.isascii()


@pytest.mark.parametrize(
    "each", expected(replace(FACTS, mta_sts_id="20261123")), ids=lambda each: each.purpose
)
def test_what_is_published_as_asked_for_is_right_and_silence_is_no_evidence(each: Wanted) -> None:
    found = answered(*(each.values or ("ns1.example.com. hostmaster.example.com. 1 2 3 4 5",)))
    finding = compare(each, found)
    assert (finding.purpose, finding.verdict, finding.words) == (each.purpose, RIGHT, "")
    assert compare(each, FAILED).verdict is UNKNOWN
    assert compare(each, ABSENT).verdict is MISSING
    assert compare(each, ABSENT).words


def other_key(at: int) -> str:
    return RSA_RECORD.replace(P, P[:at] + ("A" if P[at] != "A" else "B") + P[at + 1 :])


@pytest.mark.parametrize(
    ("kind", "values", "verdict", "words"),
    [
        # SPF
        (Kind.RETURNS_SPF, ["v=spf1 mx -all", "v=spf1 -all"], WRONG, "There are 2 SPF records"),
        (Kind.RETURNS_SPF, ["google-site-verification=x"], MISSING, "none that begins with v=spf1"),
        (Kind.RETURNS_SPF, ["v=spf1 ip4:192.0.2.1"], ADVICE, "forbids nobody. Add -all"),
        (Kind.RETURNS_SPF, ["v=spf1 ip4:192.0.2.1 ?all"], ADVICE, "forbids nobody"),
        (Kind.RETURNS_SPF, ["v=spf1 +all"], WRONG, "everybody on earth"),
        (Kind.RETURNS_SPF, ["v=spf1 ip4:192.0.2.1 ~all", "unrelated"], RIGHT, ""),
        (Kind.RETURNS_SPF, ["v=spf1 ip4:192.0.2 -all"], WRONG, "“ip4:192.0.2”"),
        # MX
        (Kind.MX, ["0 ."], WRONG, "null MX"),
        (Kind.MX, ["10 aspmx.l.google.com."], ADVICE, "and not to mx.example.com"),
        (Kind.MX, ["5 Other.example.com.", "10 MX.example.com."], RIGHT, ""),
        (Kind.RETURNS_MX, ["10 aspmx.l.google.com."], WRONG, "where we do not see them"),
        (Kind.RETURNS_MX, ["10 returns.example.com.", "5 aspmx.l.google.com."], WRONG, "go first to aspmx"),
        (Kind.RETURNS_MX, ["10 returns.example.com.", "20 backup.example.com."], ADVICE, "lost to us"),
        # DKIM
        (Kind.DKIM, [RSA_RECORD, RSA_RECORD], WRONG, "There are 2 TXT records"),
        (Kind.DKIM, [RSA_RECORD.replace("; ", " ;\t").replace(P, P[:90] + " " + P[90:])], RIGHT, ""),
        (Kind.DKIM, [f"p={P}"], RIGHT, ""),
        (Kind.DKIM, ["v=DKIM1; k=rsa; p="], WRONG, "revoked"),
        (Kind.DKIM, ["v=DKIM1; k=rsa"], WRONG, "no p="),
        (Kind.DKIM, [f"v=DKIM1; k=rsa; p={P[:237]}"], WRONG, "cut off after 237 of 392 characters"),
        (Kind.DKIM, [other_key(200)], WRONG, "from character 201 "),
        (Kind.DKIM, [RSA_RECORD.replace("k=rsa", "k=ed25519")], WRONG, "k=ed25519 should be k=rsa"),
        (Kind.DKIM, [RSA_RECORD + "; h=sha1"], WRONG, "leaves out sha256"),
        (Kind.DKIM, [RSA_RECORD + "; s=tlsrpt"], WRONG, "leaves out mail"),
        (Kind.DKIM, [RSA_RECORD + "; t=y:s"], WRONG, "testing"),
        (Kind.DKIM, [RSA_RECORD + "; t=s; n=note"], RIGHT, ""),
        (Kind.DKIM, [RSA_RECORD.replace("DKIM1", "DKIM2")], WRONG, "v=DKIM2"),
        # DMARC
        (Kind.DMARC, ["v=DMARC1; p=none", "v=DMARC1; p=none"], WRONG, "counts as none"),
        (Kind.DMARC, ["v=spf1 -all"], MISSING, "none that begins with v=DMARC1"),
        (Kind.DMARC, ["v=DMARC1; p=reject"], ADVICE, "Without rua="),
        (Kind.DMARC, ["v=DMARC1; p=reject; rua=mailto:dmarc@example.com,mailto:x@example.net"], RIGHT, ""),
        (Kind.DMARC, ["v=DMARC1; p=none; rua=mailto:x@example.net"], ADVICE, "not to mailto:dmarc@example.com"),
        (Kind.DMARC, ["v=DMARC1; rua=mailto:dmarc@example.com"], WRONG, "p= is missing"),
        (Kind.DMARC, ["v=DMARC1; p=none; aspf=s; rua=mailto:dmarc@example.com"], ADVICE, "DKIM alone"),
        # addresses and names
        (Kind.EHLO, ["192.0.2.7", "192.0.2.1"], RIGHT, ""),
        (Kind.EHLO, ["192.0.2.7"], WRONG, "leads to 192.0.2.7 and not to 192.0.2.1"),
        (Kind.PTR, ["Mail.example.com."], RIGHT, ""),
        (Kind.PTR, ["static-1.isp.example."], WRONG, "static-1.isp.example and not to mail.example.com"),
        (Kind.PTR, ["mail.example.com.", "www.example.com."], ADVICE, "several names"),
        (Kind.UNSUBSCRIBE, ["192.0.2.9"], RIGHT, ""),
        (Kind.TLSRPT, ["v=TLSRPTv1; rua=mailto:other@example.com"], ADVICE, "mailto:other@example.com is not"),
        (Kind.TLSRPT, ["v=TLSRPTv1; rua=mailto:a@b", "v=TLSRPTv1; rua=mailto:a@b"], WRONG, "counts as none"),
        (Kind.TLSRPT, ["v=spf1 -all"], MISSING, "begins with v=TLSRPTv1"),
    ],
)  # fmt: skip
def test_says_what_is_wrong_and_what_to_do(
    kind: Kind, values: list[str], verdict: Verdict, words: str
) -> None:
    finding = compare(wanted(kind), answered(*values))
    assert finding.verdict is verdict, finding.words
    assert words in finding.words
    assert finding.found == "\n".join(values)


def test_a_selector_that_caches_keep_too_long_is_advised_against() -> None:
    assert compare(wanted(Kind.DKIM), answered(RSA_RECORD, ttl=300)).verdict is RIGHT
    finding = compare(wanted(Kind.DKIM), answered(RSA_RECORD, ttl=3600))
    assert (finding.verdict, "3600 s" in finding.words) == (ADVICE, True)


REPORT = SpfReport("rp.agents.example.com", "v=spf1 -all", ending="-all", names=("rp.agents.example.com",))
PASSES = SpfResult(Result.PASS)


@pytest.mark.parametrize(
    ("report", "checked", "verdict", "words"),
    [
        (REPORT, {"192.0.2.1": PASSES}, RIGHT, ""),
        (REPORT, {"192.0.2.1": PASSES, "2001:db8::1": SpfResult(Result.FAIL)}, WRONG, "Put ip6:2001:db8::1 before"),
        (REPORT, {"192.0.2.1": SpfResult(Result.TEMPERROR, "nobody answered")}, UNKNOWN, "cannot be told"),
        (replace(REPORT, problems=("11 terms ask the DNS",)), {}, WRONG, "11 terms ask the DNS."),
        (replace(REPORT, unanswered=("x.example",)), {}, UNKNOWN, "Nobody answered for x.example"),
        (replace(REPORT, advice=("“ptr” is slow",)), {"192.0.2.1": PASSES}, ADVICE, "“ptr” is slow"),
        # what mail ends at is the redirect's all, not the absence of one here
        (replace(REPORT, ending="~all"), {"192.0.2.1": PASSES}, RIGHT, ""),
        (replace(REPORT, ending=""), {"192.0.2.1": PASSES}, ADVICE, "Add -all"),
        # the worst comes first
        (replace(REPORT, ending="", problems=("broken",)), {}, WRONG, "Broken. The record does not end"),
    ],
)  # fmt: skip
def test_spf_is_judged_by_what_receivers_conclude(
    report: SpfReport, checked: Mapping[str, SpfResult], verdict: Verdict, words: str
) -> None:
    found = answered("v=spf1 -all" if report.ending == "-all" else "v=spf1 redirect=x.example")
    finding = compare(wanted(Kind.RETURNS_SPF), found, Evidence(spf=report, checked=checked))
    assert finding.verdict is verdict, finding.words
    assert words in finding.words


def test_a_relay_counts_as_authorised_wherever_in_the_tree_its_name_stands() -> None:
    record = wanted(
        Kind.RETURNS_SPF, replace(FACTS, route=Route(Means.RELAY, spf_include="spf.relay.example"))
    )
    found = answered("v=spf1 include:all.example.com -all")
    finding = compare(record, found, Evidence(spf=REPORT))
    assert (finding.verdict, "include:spf.relay.example" in finding.words) == (WRONG, True)
    deeper = replace(REPORT, names=(*REPORT.names, "all.example.com", "SPF.relay.example"))
    assert compare(record, found, Evidence(spf=deeper)).verdict is RIGHT
    assert compare(record, answered("v=spf1 +include:SPF.relay.example -all")).verdict is RIGHT


AGREED = Organisation("agents.example.com", "example.com", "example.com", ())


@pytest.mark.parametrize(
    ("evidence", "verdict", "words"),
    [
        (Evidence(from_and_returns=Aligned(True, True), organisation=AGREED), RIGHT, ""),
        (Evidence(from_and_returns=Aligned(True, None), organisation=replace(AGREED, by_walk=None)), RIGHT, ""),
        (Evidence(organisation=replace(AGREED, by_walk="agents.example.com")), ADVICE, "psd=n at example.com"),
        (Evidence(from_and_returns=Aligned(True, False)), ADVICE, "Some receivers do not take"),
        (Evidence(from_and_returns=Aligned(False, False)), ADVICE, "All receivers do not take"),
    ],
)  # fmt: skip
def test_says_where_the_two_rules_of_alignment_differ(
    evidence: Evidence, verdict: Verdict, words: str
) -> None:
    finding = compare(wanted(Kind.DMARC), answered(*wanted(Kind.DMARC).values), evidence)
    assert (finding.verdict, words in finding.words) == (verdict, True)


def test_a_policy_weaker_than_the_parents_is_advised_against() -> None:
    facts = replace(FACTS, parent_dmarc="v=DMARC1; p=reject")
    finding = compare(wanted(Kind.DMARC, facts), answered("v=DMARC1; p=none; rua=mailto:dmarc@example.com"))
    assert (finding.verdict, "weaker" in finding.words) == (ADVICE, True)


@given(st.lists(st.text(max_size=60), min_size=1, max_size=3))
def test_no_text_at_a_name_is_beyond_judgement(values: list[str]) -> None:
    for each in expected(FACTS):
        if each.type == "TXT":
            assert compare(each, answered(*values)).verdict in Verdict
