"""Organisational domains by both rules, alignment, and DMARC records as people write them."""

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reputation.alignment import Aligned, Mode, Organisation, aligned, organisation, parse_dmarc, targets
from reputation.asking import Absent, Lookup, Temporary

NOBODY = "nobody answers"
PLAIN = "v=DMARC1; p=none"


def answering(zone: Mapping[str, str | tuple[str, ...]]) -> Lookup:
    """DMARC records by the name they are for."""

    def lookup(name: str, rdtype: str) -> tuple[str, ...]:
        assert rdtype == "TXT"
        values = zone.get(name.removeprefix("_dmarc."))
        if values == NOBODY:
            raise Temporary
        if values is None:
            raise Absent
        return (values,) if isinstance(values, str) else values

    return lookup


@pytest.mark.parametrize(
    ("name", "zone", "by_list", "by_walk"),
    [
        # nothing published: the walk ends where it began
        ("a.mail.example.com", {}, "example.com", "a.mail.example.com"),
        # the shortest name with a record
        ("a.mail.example.com", {"mail.example.com": PLAIN, "example.com": PLAIN}, "example.com", "example.com"),
        ("a.mail.example.com", {"a.mail.example.com": PLAIN}, "example.com", "a.mail.example.com"),
        # psd=n ends the walk, and is the organisation
        ("a.mail.example.com", {"mail.example.com": PLAIN + "; psd=n", "example.com": PLAIN}, "example.com",
         "mail.example.com"),
        # psd=y: one label below
        ("a.mail.example.com", {"com": PLAIN + "; psd=y"}, "example.com", "example.com"),
        ("a.mail.example.com", {"example.com": PLAIN + "; psd=y", "com": PLAIN}, "example.com", "mail.example.com"),
        # where the walk began, psd=y is no suffix of anything: its own organisation
        ("example.com", {"example.com": PLAIN + "; psd=y", "com": PLAIN}, "example.com", "example.com"),
        # psd=u says nothing
        ("a.example.com", {"a.example.com": PLAIN + "; psd=u", "example.com": PLAIN}, "example.com", "example.com"),
        # several records at a name are none
        ("a.example.com", {"a.example.com": PLAIN, "example.com": (PLAIN, PLAIN)}, "example.com", "a.example.com"),
        # other TXT values beside the record are nobody's business
        ("a.example.com", {"example.com": ("spam", PLAIN)}, "example.com", "example.com"),
        # suffixes of two labels, and those of hosters
        ("shop.example.co.uk", {}, "example.co.uk", "shop.example.co.uk"),
        ("bob.github.io", {}, "bob.github.io", "bob.github.io"),
        ("x.bob.github.io", {"github.io": PLAIN}, "bob.github.io", "github.io"),
        # a suffix is its own organisation
        ("co.uk", {}, "co.uk", "co.uk"),
        # no evidence
        ("a.example.com", {"example.com": NOBODY}, "example.com", None),
        # psd=n was seen before the question that nobody answered would have been asked
        ("a.example.com", {"a.example.com": PLAIN + "; psd=n", "example.com": NOBODY}, "example.com", "a.example.com"),
    ],
)  # fmt: skip
def test_the_organisation_by_both_rules(
    name: str, zone: Mapping[str, str], by_list: str, by_walk: str | None
) -> None:
    found = organisation(name, answering(zone))
    assert (found.by_list, found.by_walk) == (by_list, by_walk)
    assert found.differ is (by_walk not in {by_list, None})


def test_a_long_name_goes_on_with_seven_labels_and_is_asked_for_eight_times() -> None:
    asked = organisation("a.b.c.d.e.f.g.h.i.j.mail.example.com", answering({})).walked
    assert asked == (
        "a.b.c.d.e.f.g.h.i.j.mail.example.com",
        "g.h.i.j.mail.example.com",
        "h.i.j.mail.example.com",
        "i.j.mail.example.com",
        "j.mail.example.com",
        "mail.example.com",
        "example.com",
        "com",
    )


def test_the_name_is_taken_without_its_last_dot_and_in_small_letters() -> None:
    assert organisation("Mail.Example.COM.", answering({"example.com": PLAIN})) == Organisation(
        "mail.example.com", "example.com", "example.com", ("mail.example.com", "example.com", "com")
    )


@given(st.lists(st.from_regex(r"[a-z]{1,3}", fullmatch=True), min_size=1, max_size=20))
def test_a_walk_never_asks_more_than_eight_times_and_always_reaches_the_top(labels: list[str]) -> None:
    asked = list(targets(".".join(labels)))
    assert len(asked) <= 8
    assert asked[0] == ".".join(labels)
    assert asked[-1] == labels[-1]
    assert all(longer.endswith(shorter) for longer, shorter in itertools.pairwise(asked))


FROM = Organisation("m.example.com", "example.com", "example.com", ())


@pytest.mark.parametrize(
    ("other", "mode", "answer"),
    [
        (Organisation("m.example.com", "example.com", None, ()), Mode.STRICT, Aligned(True, True)),
        (Organisation("m.example.com", "example.com", None, ()), Mode.RELAXED, Aligned(True, True)),
        (Organisation("rp.m.example.com", "example.com", "example.com", ()), Mode.STRICT, Aligned(False, False)),
        (Organisation("rp.m.example.com", "example.com", "example.com", ()), Mode.RELAXED, Aligned(True, True)),
        (Organisation("rp.m.example.com", "example.com", "rp.m.example.com", ()), Mode.RELAXED, Aligned(True, False)),
        (Organisation("rp.m.example.com", "example.com", None, ()), Mode.RELAXED, Aligned(True, None)),
        (Organisation("example.net", "example.net", "example.net", ()), Mode.RELAXED, Aligned(False, False)),
    ],
)  # fmt: skip
def test_alignment_by_both_rules(other: Organisation, mode: Mode, answer: Aligned) -> None:
    assert aligned(FROM, other, mode) == answer
    assert aligned(other, FROM, mode) == answer
    assert answer.differ is (answer.by_walk is not None and answer.by_walk != answer.by_list)


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("v=DMARC1; p=none", []),
        ("v=DMARC1;p=Reject;;rua=mailto:a@example.com,mailto:b@example.net!10m;", []),
        ("v = DMARC1 ; p = none ; future=what; pct=50", []),
        ("v=DMARC1", ["p= is missing"]),
        ("v=DMARC1; p=block", ["p=block is none of none, quarantine, reject"]),
        ("v=DMARC1; p=none; sp=; psd=x", ["sp= is none of", "psd=x is none of u, y, n"]),
        ("v=DMARC1; p=none; adkim=strict", ["adkim=strict"]),
        ("v=DMARC1; p=none; p=reject", ["p= stands there twice"]),
        ("v=DMARC1; p=none; rua", ["“rua” is not a tag"]),
        ("v=DMARC1; p=none; rua=dmarc@example.com", ["“dmarc@example.com” in rua= is not a mailto: address"]),
        ("v=DMARC1; p=none rua=mailto:a@example.com", ["p=none rua=mailto"]),
    ],
)
def test_says_what_is_wrong_with_a_record(text: str, errors: list[str]) -> None:
    record = parse_dmarc(text)
    assert record is not None
    assert len(record.errors) == len(errors)
    assert all(part in error for part, error in zip(errors, record.errors, strict=True))


@pytest.mark.parametrize(
    "text", ["", "p=none; v=DMARC1", "v=dmarc1; p=none", "v=DMARC10; p=none", "v=spf1 -all"]
)
def test_what_does_not_begin_with_the_version_is_no_record(text: str) -> None:
    assert parse_dmarc(text) is None


def test_fills_in_what_is_not_said() -> None:
    record = parse_dmarc("v=DMARC1; p=quarantine; sp=reject; rua=mailto:a@example.com; t=y; X=1")
    assert record is not None
    assert (record.policy, record.subdomains, record.absent) == ("quarantine", "reject", "reject")
    assert (record.adkim, record.aspf, record.psd, record.testing) == (Mode.RELAXED, Mode.RELAXED, "u", True)
    assert record.rua == ("mailto:a@example.com",)
    assert record.tags["x"] == "1"


@given(st.text(max_size=80).map("v=DMARC1;".__add__))
def test_any_text_after_the_version_is_read_to_the_end(text: str) -> None:
    record = parse_dmarc(text)
    assert record is not None
    assert record.policy in {"none", "quarantine", "reject"}
