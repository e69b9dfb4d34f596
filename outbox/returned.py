"""A returned message opened: what is written for people, what came back inside, and whose addresses are ours.

Pure; bounded by `mailparts`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from outbox import dsn, notices
from outbox.mailparts import Header, Part, split, take_apart, unquoted, words
from outbox.testimony import Original

_MESSAGES: Final = frozenset({"message/rfc822", "message/global", "message/partial"})
_HEADERS: Final = frozenset({"text/rfc822-headers", "message/global-headers", "message/rfc822-headers"})
_INSIDE: Final = _MESSAGES | _HEADERS
_A_HEADER: Final = re.compile(r"^(?:Received|Return-Path|From|Message-ID|Date|DKIM-Signature):", re.M | re.I)
_REFERENCE: Final = re.compile(r"\b[a-z2-7]{48}\b", re.IGNORECASE)
MAX_SIGNATURES: Final = 8


@dataclass(frozen=True, slots=True)
class Returned:
    """`notice` is the text for people without what it returns; `inner` the header of what came back."""

    header: Header
    leaves: Sequence[Part]
    inner: Header
    inside: bytes  # the whole message that came back, where it is a part of its own
    notice: str
    subject: str
    sender: str  # From as words, name and address
    named: tuple[str, ...]  # X-Failed-Recipients

    def ours(self) -> frozenset[str]:
        """Whose address in the notice is the sender's or the reporter's, in lower case."""
        fields = [self.header.get(name) for name in ("to", "from", "return-path", "delivered-to")]
        fields += [self.inner.get(name) for name in ("from", "return-path", "sender", "reply-to")]
        mine = {each.lower() for each in dsn.addresses(" ".join(fields))}
        return frozenset(mine - {each.lower() for each in self.named})

    def addressed(self) -> list[str]:
        """To whom the message that came back was addressed."""
        return dsn.addresses(self.inner.get("to"))[: dsn.MAX_RECIPIENTS]


def opened(raw: bytes) -> Returned:
    """Raises `mailparts.Unreadable`."""
    header, leaves = take_apart(raw)
    inside = next((leaf for leaf in leaves if leaf.media_type in _INSIDE), None)
    return Returned(
        header=header,
        leaves=leaves,
        inner=split(inside.body.lstrip(b"\n"))[0] if inside else _at_the_end(leaves),
        inside=inside.body.lstrip(b"\n") if inside and inside.media_type in _MESSAGES else b"",
        notice=notices.cut(unquoted(_text(leaves))),
        subject=words(header.get("subject")),
        sender=words(header.get("from")),
        named=tuple(dsn.addresses(" ".join(header.all("x-failed-recipients")))),
    )


def original(returned: Returned) -> Original | None:
    """What the header inside says, nothing of it verified; None if there is none."""
    inner = returned.inner
    if not inner.fields:
        return None
    reference = _REFERENCE.search(inner.get("x-ao-ref"))
    return Original(
        message_id=inner.get("message-id")[:998],
        ref=reference[0].lower() if reference else "",
        sender=first_address(inner.get("from")),
        recipients=tuple(returned.addressed()),
        subject=words(inner.get("subject")),
        signed=tuple(_signature(value) for value in inner.all("dkim-signature")[:MAX_SIGNATURES]),
        return_path=first_address(inner.get("return-path")),
    )


def first_address(value: str) -> str:
    """The first address in a field, or ""."""
    return next(iter(dsn.addresses(words(value))), "")


def _text(leaves: Sequence[Part]) -> str:
    """What is written before the message that came back; HTML only if there is nothing else."""
    plain: list[str] = []
    for leaf in leaves:
        if leaf.media_type in _INSIDE:
            break
        if leaf.media_type == "text/plain":
            plain.append(leaf.text())
    if any(text.strip() for text in plain):
        return "\n\n".join(plain)
    return next((leaf.text() for leaf in leaves if leaf.media_type == "text/html"), "")


def _at_the_end(leaves: Sequence[Part]) -> Header:
    """A header quoted in the text."""
    for leaf in reversed(leaves):
        text = leaf.text() if leaf.media_type == "text/plain" else ""
        found = _A_HEADER.search(text)
        if found:
            return split(text[found.start() :].encode())[0]
    return Header(())


def _signature(value: str) -> tuple[str, tuple[str, ...]]:
    """(d=, names of h=) of one DKIM-Signature (RFC 6376 §3.5)."""
    pairs = (tag.partition("=") for tag in value.split(";"))
    tags = {name.strip(): "".join(rest.split()).lower() for name, _, rest in pairs}
    return tags.get("d", ""), tuple(tags.get("h", "").split(":"))
