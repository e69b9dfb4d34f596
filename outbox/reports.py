"""What comes back: one returned message in, what it testifies out, and never an exception.

`read` tells delivery reports (RFC 3464 and the many that are not), feedback reports (RFC 5965), automatic
replies (RFC 3834) and unsubscribe mails apart and gives one `Report` per recipient, each with a reason of one
closed list. A late report and a live SMTP reply are judged by the same rows (`refusals.classify`).

It believes nothing and checks nothing: tokens are candidates for `verp.read_token`, and a feedback report's
sender is for the caller to authenticate. Pure; bounded in size, depth, parts and recipients (`mailparts`).
"""

import re
from collections.abc import Sequence
from typing import Final

from outbox import arf, dsn, notices
from outbox.diagnosis import diagnose
from outbox.mailparts import Header, Part, Unreadable, split, take_apart, words
from outbox.reasons import COMPLAINTS, FAMILIES, Family, Reason
from outbox.testimony import Action, Feedback, Kind, Original, Reading, Report

__all__ = [
    "COMPLAINTS",
    "FAMILIES",
    "MAX_BYTES",
    "Action",
    "Family",
    "Feedback",
    "Kind",
    "Original",
    "Reading",
    "Reason",
    "Report",
    "read",
]

MAX_BYTES: Final = 1 << 20  # what is read of a message; reports quote what they return
MAX_TOKENS: Final = 20

_TOKEN: Final = re.compile(rb"\bb(?:\+|=2b)([a-z2-7]{48})(?:@|=)rp\.", re.IGNORECASE)
_REFERENCE: Final = re.compile(rb"^[ \t>]{0,9}X-AO-Ref:[ \t]*([a-z2-7]{48})\b", re.IGNORECASE | re.MULTILINE)
_BARE_TOKEN: Final = re.compile(r"\b[a-z2-7]{48}\b", re.IGNORECASE)
_ORIGINALS: Final = frozenset({"message/rfc822", "message/global", "message/partial"})
_ORIGINAL_HEADERS: Final = frozenset(
    {"text/rfc822-headers", "message/global-headers", "message/rfc822-headers"}
)
_A_HEADER: Final = re.compile(r"^(?:Received|Return-Path|From|Message-ID|Date|DKIM-Signature):", re.M | re.I)

_DAEMON: Final = re.compile(
    r"mailer-?daemon|postmaster@|mail ?delivery|delivery (?:sub)?system|mail administrator|system administrator"
    r"|mail system|autoresponder-bounce",
    re.IGNORECASE,
)
_FAILURE: Final = re.compile(
    r"undeliver|not delivered|could not be delivered|cannot be delivered|delivery (?:status|fail|problem|error"
    r"|delay|report|notification)|fail(?:ed|ure) (?:notice|delivery)|mail (?:system error|failure|delivery)"
    r"|returned (?:mail|to sender|message)|unable to deliver|non[- ]?(?:delivery|remis)|bounce|undeliv|unzustellbar"
    r"|delivery has failed|loop alert|message (?:blocked|you sent)|mail could not|was not delivered",
    re.IGNORECASE,
)
_AUTO: Final = re.compile(
    r"\b(?:out of (?:the )?office|auto(?:matic|mated)?[- ]?(?:re(?:ply|sponse)|respon\w+)|vacation|on holiday"
    r"|abwesen\w+|absence du bureau|réponse automatique|fuera de la oficina|respuesta automática"
    r"|away from (?:my )?(?:mail|office|desk))",
    re.IGNORECASE,
)
_STOP: Final = re.compile(r"^\W*(?:unsubscribe|list-unsubscribe|remove)\b", re.IGNORECASE)


def read(raw: bytes) -> Reading:
    """What a returned message testifies; of anything that breaks a parser, that it is unparsable."""
    data = raw[:MAX_BYTES]
    tokens = _tokens(data)
    try:
        return _read(data, tokens, len(raw) > MAX_BYTES)
    except Unreadable as limit:
        return Reading(Kind.UNPARSABLE, tokens=tokens, why=str(limit), truncated=len(raw) > MAX_BYTES)
    except (
        Exception
    ) as error:  # hostile input is welcome here: it goes to quarantine, and the next one is read
        return Reading(Kind.UNPARSABLE, tokens=tokens, why=f"{type(error).__name__} while reading it")


def _read(data: bytes, tokens: tuple[str, ...], truncated: bool) -> Reading:
    header, leaves = take_apart(data)
    inner = _inner(leaves)
    feedback = arf.feedback_in(header, leaves, inner)
    fields = dsn.fields_of(leaves)
    reports: tuple[Report, ...] = ()
    if feedback:
        kind, why, reports = Kind.ARF, "", arf.reports_of(feedback, inner)
    else:
        kind, why, said = _weighed(header, leaves, inner, fields.said)
        reports = tuple(diagnose(each) for each in said)
    return Reading(
        kind=kind,
        reports=reports,
        tokens=_with_envelope_id(tokens, fields.envelope_id),
        original=_original(inner) if inner.fields else None,
        feedback=feedback,
        reporting_mta=fields.reporting_mta,
        envelope_id=fields.envelope_id,
        sender=_first_address(header.get("from")),
        subject=words(header.get("subject")),
        why=why,
        truncated=truncated,
    )


def _weighed(
    header: Header, leaves: Sequence[Part], inner: Header, said: Sequence[dsn.Said]
) -> tuple[Kind, str, list[dsn.Said]]:
    """What the message is, why if that wants a word, and what it says of whom."""
    text = _text(leaves)
    notice = notices.cut(text)
    named = dsn.addresses(" ".join(header.all("x-failed-recipients")))
    ours = _ours(header, inner, named)
    if said:
        return Kind.DSN, "", _completed(said, notice, named, ours, inner)
    daemon = bool(named or _DAEMON.search(words(header.get("from"))))
    automatic = "" if daemon else _automatic(header)
    if automatic:
        return Kind.AUTO_REPLY, automatic, []
    if daemon or _is_report(header) or _speaks_of_failure(header, inner, notice):
        found = notices.said_in(notice, named, ours) or [
            dsn.Said(recipient=each, action=Action.FAILED, note=notice) for each in _to(inner)[:1]
        ]
        if found:
            return Kind.DSN, "", found
    if _STOP.search(words(header.get("subject"))) or _STOP.search(notice[:200]):
        return Kind.UNSUBSCRIBE, "", []
    return Kind.OTHER, "", []


def _completed(
    said: Sequence[dsn.Said], notice: str, named: Sequence[str], ours: frozenset[str], inner: Header
) -> list[dsn.Said]:
    """Machine-readable groups with what the text for people adds, by address."""
    blocks = notices.blocks_in(notice, ours)
    lone = len(said) == 1
    spare = [*named, *(each.recipient for each in notices.said_in(notice, named, ours)), *_to(inner), ""]
    return [
        dsn.Said(
            recipient=each.recipient or spare[0],
            original=each.original,
            action=each.action or Action.FAILED,
            status=each.status,
            text=each.text,
            by=each.by,
            remote_mta=each.remote_mta,
            note=blocks.get(each.recipient.lower())
            or blocks.get(each.original.lower())
            or (notice if lone else ""),
        )
        for each in said
    ]


def _automatic(header: Header) -> str:
    """What shows an automatic reply (RFC 3834 §5 and its predecessors), or ""."""
    submitted = header.get("auto-submitted").lower()
    if submitted.startswith(("auto-replied", "auto-generated")) and "failure" not in submitted:
        return f"Auto-Submitted: {submitted[:40]}"
    for name in ("x-autoreply", "x-autorespond", "x-autoreply-from", "x-mail-autoreply"):
        if header.get(name):
            return name
    if header.get("precedence").lower() in ("auto_reply", "auto-reply"):
        return "Precedence"
    found = _AUTO.search(words(header.get("subject")))
    return f"Subject: {found[0]}" if found else ""


def _speaks_of_failure(header: Header, inner: Header, notice: str) -> bool:
    """In its subject, or in its text if it returns a message or may not be answered (RFC 5321 §4.5.5)."""
    if _FAILURE.search(words(header.get("subject"))):
        return True
    formal = bool(inner.fields) or header.get("return-path").strip() == "<>"
    return formal and _FAILURE.search(notice[:2000]) is not None


def _is_report(header: Header) -> bool:
    return "multipart/report" in header.get("content-type").lower()


def _ours(header: Header, inner: Header, named: Sequence[str]) -> frozenset[str]:
    """Whose address in a notice is the sender's or the reporter's."""
    fields = [header.get(name) for name in ("to", "from", "return-path", "delivered-to")]
    fields += [inner.get(name) for name in ("from", "return-path", "sender", "reply-to")]
    mine = {each.lower() for each in dsn.addresses(" ".join(fields))}
    return frozenset(mine - {each.lower() for each in named})


def _text(leaves: Sequence[Part]) -> str:
    """What is written for people, before the message that came back; HTML only if there is nothing else."""
    plain: list[str] = []
    for leaf in leaves:
        if leaf.media_type in _ORIGINALS | _ORIGINAL_HEADERS:
            break
        if leaf.media_type == "text/plain":
            plain.append(leaf.text())
    if any(text.strip() for text in plain):
        return "\n\n".join(plain)
    return next((leaf.text() for leaf in leaves if leaf.media_type == "text/html"), "")


def _inner(leaves: Sequence[Part]) -> Header:
    """The header of the message that came back: as a part of its own, or at the end of the text."""
    for leaf in leaves:
        if leaf.media_type in _ORIGINALS | _ORIGINAL_HEADERS:
            return split(leaf.body.lstrip(b"\n"))[0]
    for leaf in reversed(leaves):
        found = _A_HEADER.search(leaf.text()) if leaf.media_type == "text/plain" else None
        if found:
            return split(leaf.text()[found.start() :].encode())[0]
    return Header(())


def _original(inner: Header) -> Original:
    reference = _BARE_TOKEN.search(inner.get("x-ao-ref"))
    return Original(
        message_id=inner.get("message-id")[:998],
        ref=reference[0].lower() if reference else "",
        sender=_first_address(inner.get("from")),
        recipients=tuple(_to(inner)),
        subject=words(inner.get("subject")),
        signed=tuple(_signature(value) for value in inner.all("dkim-signature")[:8]),
        return_path=_first_address(inner.get("return-path")),
    )


def _signature(value: str) -> tuple[str, tuple[str, ...]]:
    """(d=, names of h=) of one DKIM-Signature; only what it claims, nothing is verified (RFC 6376 §3.5)."""
    pairs = (tag.partition("=") for tag in value.split(";"))
    tags = {name.strip(): "".join(rest.split()).lower() for name, _, rest in pairs}
    return tags.get("d", ""), tuple(tags.get("h", "").split(":"))


def _to(inner: Header) -> list[str]:
    return dsn.addresses(inner.get("to"))[: dsn.MAX_RECIPIENTS]


def _first_address(value: str) -> str:
    return next(iter(dsn.addresses(words(value))), "")


def _tokens(data: bytes) -> tuple[str, ...]:
    """Return-path tokens and X-AO-Ref values anywhere in the raw message, in order."""
    found = [*_TOKEN.findall(data), *_REFERENCE.findall(data)]
    return tuple(dict.fromkeys(token.decode("ascii").lower() for token in found))[:MAX_TOKENS]


def _with_envelope_id(tokens: tuple[str, ...], envelope_id: str) -> tuple[str, ...]:
    own = _BARE_TOKEN.fullmatch(envelope_id)
    return tuple(dict.fromkeys((*((own[0].lower(),) if own else ()), *tokens)))[:MAX_TOKENS]
