"""Addresses: what is let in is one mailbox and nothing else."""

import pytest

from outbox.addresses import BadAddress, BadText, Mailbox, check_text, parse_mailbox

ACCEPTED = [
    # text, name, addr, why
    ("a@b.test", "", "a@b.test", "names under .test are the route's business"),
    ("  a@b.test ", "", "a@b.test", "outer spaces are a habit, not an attack"),
    ("<a@b.test>", "", "a@b.test", "brackets without a name"),
    ("Grace <grace@example.org>", "Grace", "grace@example.org", "a bare name"),
    ("Grace M. Hopper<grace@example.org>", "Grace M. Hopper", "grace@example.org", "the usual dot, no space"),
    ('"Name, X" <a@b.test>', "Name, X", "a@b.test", "a comma must be quoted"),
    ('"a \\"b\\" \\\\" <a@b.test>', 'a "b" \\', "a@b.test", "quoted pairs are undone"),
    ('"bob@x" <c@z.test>', "bob@x", "c@z.test", "quoted, an @ is only text"),
    ("Зоя <zoe@b.test>", "Зоя", "zoe@b.test", "names are in any script"),
    ("Zoe\u0308 <zoe@b.test>", "Zoë", "zoe@b.test", "names are NFC"),
    ("\u200dZoe <zoe@b.test>", "\u200dZoe", "zoe@b.test", "ZWJ stays"),
    ("Bob.Smith+x@EXAMPLE.Org", "", "Bob.Smith+x@example.org", "only the domain loses its case"),
    ("a@exämple.de", "", "a@xn--exmple-cua.de", "an IDN is stored as its A-label"),
    ("a@exa\u3002mple.com", "", "a@exa.mple.com", "the ideographic full stop is a dot"),
    ("ж@пример.рф", "", "ж@xn--e1afmkfd.xn--p1ai", "SMTPUTF8"),
    (f"{'a' * 64}@b.test", "", f"{'a' * 64}@b.test", "64 octets are allowed"),
    (f"a@{'b' * 63}.test", "", f"a@{'b' * 63}.test", "a label of 63 too"),
]

REFUSED = [
    # text, code, why
    ("", "bad_address", "nothing"),
    ("a", "bad_address", "no domain"),
    ("@b.test", "bad_address", "no local part"),
    ("b@y> SIZE=1", "bad_address", "a parameter of MAIL or RCPT"),
    ("b@y.test> SIZE=1", "bad_address", "the same at a good domain"),
    ("b@y,c@z", "bad_address", "two recipients"),
    ("b@y.test,c@z.test", "bad_address", "two recipients"),
    ("b@y.test, c@z.test", "bad_address", "two recipients"),
    ("X <b@y.test>, c@z.test", "bad_address", "two recipients"),
    ("X <b@y.test>, Y <c@z.test>", "bad_address", "two recipients"),
    ("bob@x <c@z>", "bad_address", "says one, means another"),
    ("bob@x.test <c@z.test>", "bad_address", "says one, means another"),
    ("Name, X <a@b.test>", "bad_address", "an unquoted comma"),
    ("b@y.test\r\nRCPT TO:<c@z.test>", "control_character", "a second command"),
    ("b@y.test\n", "control_character", "a line end"),
    ("b@y.test\0", "control_character", "a trailing NUL"),
    ("b\t@y.test", "control_character", "a tab"),
    ("a@evil@ok", "bad_address", "two @"),
    ("a@evil.test@ok.test", "bad_address", "two @"),
    ("a@[127.0.0.1]", "bad_address", "a domain literal"),
    ('"a b"@y.test', "bad_address", "a quoted local part"),
    ('"a"@y.test', "bad_address", "a quoted local part"),
    ("@relay.test:a@y.test", "bad_address", "a source route"),
    ("<@relay.test:a@y.test>", "bad_address", "a source route"),
    ("=?utf-8?q?a=0D=0A?=@ok.test", "encoded_word", "an encoded word as local part"),
    ("=?utf-8?q?Bcc?= <a@ok.test>", "encoded_word", "an encoded word as name"),
    ("a@x(<b@z>)", "bad_address", "a comment"),
    ("a(x)@y.test", "bad_address", "a comment"),
    ("(x) a@y.test", "bad_address", "a comment"),
    ("(x) <a@y.test>", "bad_address", "a comment"),
    ("a\u200b@y.test", "bad_address", "a zero-width space"),
    ("a@y\u00ad.test\u00ad\u200b", "bad_address", "soft hyphens"),
    ("a\u202e@y.test", "control_character", "an RTL override"),
    ("Bob\u202e <a@y.test>", "control_character", "an RTL override in the name"),
    ("a\ud800@y.test", "control_character", "a lone surrogate"),
    ("a@localhost", "bad_address", "no public domain"),
    ("a@10.0.0.1", "bad_address", "an address is no name"),
    ("a..b@y.test", "bad_address", "not a dot-atom"),
    (f"{'a' * 65}@y.test", "too_long", "65 octets"),
    (f"{'ж' * 33}@y.test", "too_long", "66 octets, though only 33 characters"),
    (f"a@{'b' * 64}.test", "too_long", "a label of 64"),
    (f"{'a' * 64}@{'.'.join(['b' * 60] * 4)}.test", "too_long", "more than 254 octets"),
    ("a" * 100_000, "too_long", "refused before any regular expression"),
    (f"<{'a' * 900}", "too_long", "half a name, long"),
]


@pytest.mark.parametrize(("text", "name", "addr", "why"), ACCEPTED)
def test_one_mailbox_is_read(text, name, addr, why):
    mailbox = parse_mailbox(text)
    assert (mailbox.name, mailbox.addr) == (name, addr), why


@pytest.mark.parametrize(("text", "code", "why"), REFUSED)
def test_anything_else_is_refused(text, code, why):
    with pytest.raises(BadAddress) as refused:
        parse_mailbox(text)
    assert refused.value.code == code, why
    assert refused.value.detail.isprintable()


@pytest.mark.parametrize("text", ["a@b.test", "a@exämple.de", "ж@b.test"])
def test_only_a_local_part_needs_smtputf8(text):
    assert parse_mailbox(text).needs_smtputf8 == text.startswith("ж")


@pytest.mark.parametrize(
    ("one", "other", "same_folded", "same_canonical"),
    [
        ("bob@b.test", "BOB@B.TEST", True, True),  # case
        ("zoe\u0308@b.test", "zoë@b.test", True, True),  # normal form
        ("bob@b.test", "bob+news@b.test", False, True),  # plus tag
        ("b.ob@gmail.com", "bob@gmail.com", False, True),  # dots at Gmail
        ("bob@googlemail.com", "b.o.b+x@gmail.com", False, True),  # its other name
        ("b.ob@b.test", "bob@b.test", False, False),  # dots elsewhere are two people
        ("bob@b.test", "bob@c.test", False, False),
        ("+x@b.test", "+y@b.test", False, False),  # nothing left of a lone tag: keep it
    ],
)
def test_spellings_of_one_recipient_share_a_key(one, other, same_folded, same_canonical):
    left, right = parse_mailbox(one), parse_mailbox(other)
    assert (left.folded == right.folded) is same_folded
    assert (left.canonical == right.canonical) is same_canonical


def test_the_key_of_an_all_dots_gmail_name_is_not_empty():
    assert Mailbox("", "..", "gmail.com").canonical == "..@gmail.com"


@pytest.mark.parametrize(
    "value", ["", "Hello", "a=?b", "why =?", "?= =?", "=?=", "ا\u200cب 👩\u200d💻", "naïve – “x”"]
)
def test_ordinary_text_may_stand_in_a_header(value):
    check_text(value, "The subject")


CONTROLS = "\0\t\n\x0b\x0c\r\x1b\x1f\x7f\x80\x85\x9f\u2028\u2029"
BIDI = "\u061c\u200e\u200f\u202a\u202e\u2066\u2069"


@pytest.mark.parametrize("char", [*CONTROLS, *BIDI, "\ud800"], ids=ascii)
def test_controls_may_not(char):
    with pytest.raises(BadText) as refused:
        check_text(f"a{char}b", "The subject")
    assert refused.value.code == "control_character"
    assert refused.value.detail == f"The subject holds the control character U+{ord(char):04X}."


@pytest.mark.parametrize("value", ["=?utf-8?q?a=0D=0ABcc:_x?=", "x =?utf-8?b?QQ==?= y", "=?x?=", "=? ?="])
def test_encoded_words_may_not(value):
    with pytest.raises(BadText) as refused:
        check_text(value, "The subject")
    assert refused.value.code == "encoded_word"
