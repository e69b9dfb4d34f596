"""What never becomes an envelope, and replies from bytes."""

import pytest

from outbox.grammar import MAX_REPLY, Ended, ReplyReader, dot_stuffed, xtext
from tests.outbox.scripted import (
    envelope,
)


@pytest.mark.parametrize(
    "address",
    [
        "b@y> SIZE=1",
        "bob@x <c@z>",
        "b@y\r\nRCPT TO:<c@z>",
        "b@y\0",
        "b@y\n",
        "b y@z",
        "\x85@z",
        "<b@y>",
        "b@\u2028z",
        "",
    ],
)
def test_an_address_that_is_more_than_an_address_is_no_recipient(address: str) -> None:
    with pytest.raises(ValueError, match=r"address|recipient"):
        envelope(address, needs_smtputf8=True)


def test_a_comma_is_not_a_second_recipient() -> None:
    assert envelope("b@y,c@z").rcpt_to == "b@y,c@z"


def test_a_unicode_address_needs_smtputf8() -> None:
    with pytest.raises(ValueError, match="address"):
        envelope("grüße@one.test")


@pytest.mark.parametrize(
    "content",
    [
        b"a\nb\r\n",
        b"a\rb\r\n",
        b"a\r\r\n",
        b"a\n.\n\r\n",
        b"a\r\n.\r\r\n",
        b"a\0\r\n",
        b"no end",
        b"",
        b"\xc3\xbc\r\n",
    ],
)
def test_content_that_could_end_elsewhere_is_no_content(content: bytes) -> None:
    with pytest.raises(ValueError, match="content"):
        envelope(content=content)


@pytest.mark.parametrize(
    ("content", "stuffed"),
    [
        (b".\r\n", b"..\r\n"),
        (b"a\r\n.\r\n.\r\n", b"a\r\n..\r\n..\r\n"),
        (b"..a\r\n", b"...a\r\n"),
        (b"a.b\r\n", b"a.b\r\n"),
    ],
)
def test_dots_are_stuffed(content: bytes, stuffed: bytes) -> None:
    assert dot_stuffed(content) == stuffed


def test_xtext_leaves_only_what_rfc_3461_allows() -> None:
    assert xtext("a+b=c d\u00fc~!") == "a+2Bb+3Dc+20d+C3+BC~!"


def test_an_unfinished_reply_never_holds_more_than_its_limit() -> None:
    reader = ReplyReader()
    with pytest.raises(Ended, match="longer"):
        list(reader.feed(b"250-\r\n" * MAX_REPLY))


def test_several_replies_in_one_piece_come_one_by_one() -> None:
    assert list(ReplyReader().feed(b"250 a\r\n250-b\r\n250 c\r\n354 d\r\n2")) == [
        (250, "a"),
        (250, "b c"),
        (354, "d"),
    ]
