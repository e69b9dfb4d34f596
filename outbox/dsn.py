"""The fields of a delivery report (RFC 3464, RFC 6533): one group about the message, one per recipient.

Reads them wherever they stand, since some servers write them into the text for people. Forgives: groups
without blank lines between them, missing address types, actions RFC 3464 does not have. Pure and linear.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from outbox.mailparts import Part, one_line, unquoted
from outbox.testimony import Action

MAX_RECIPIENTS: Final = 100
MAX_TEXT: Final = 1000

STATUS_TYPES: Final = frozenset(
    {"message/delivery-status", "message/global-delivery-status", "message/xdelivery-status"}
)
_READABLE: Final = frozenset({"text/plain", "application/octet-stream"})  # a gateway may rename the report
_FIELD: Final = re.compile(r"^([A-Za-z][A-Za-z-]{2,40}):[ \t]*(.*(?:\n[ \t]+\S.*)*)", re.MULTILINE)
_OF_A_RECIPIENT: Final = frozenset(
    "final-recipient original-recipient action status remote-mta diagnostic-code x-actual-recipient".split()
)
_OF_THE_MESSAGE: Final = frozenset(
    "reporting-mta original-envelope-id arrival-date received-from-mta".split()
)
_TYPE: Final = re.compile(r"^([\w.+-]{1,40})\s{0,9};\s{0,9}")
ADDRESS: Final = re.compile(
    r"""(?<![^\s<>()\[\],;:"'\\@|/])(?:"[^"\s]{1,64}"|[^\s<>()\[\],;:"'\\@|/]{1,128})@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}"""
)
_X400: Final = re.compile(r"^smtp=", re.IGNORECASE)  # how Exchange writes a foreign address
_STATUS: Final = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.]?\d)")
_ACTIONS: Final[Mapping[str, Action]] = {
    "fail": Action.FAILED,
    "undel": Action.FAILED,
    "delay": Action.DELAYED,
    "deliver": Action.DELIVERED,
    "relay": Action.RELAYED,
    "expand": Action.EXPANDED,
}
_ACTION_OF_CLASS: Final[Mapping[str, Action]] = {"2": Action.DELIVERED, "5": Action.FAILED}


@dataclass(frozen=True, slots=True)
class Said:
    """What one group, or one paragraph for people, says of a recipient."""

    recipient: str = ""
    original: str = ""
    action: Action | None = None
    status: str = ""
    text: str = ""  # the diagnostic without its type, the remark after the status before it
    by: str = ""  # the diagnostic's type in lower case: smtp, x-unix ...
    remote_mta: str = ""
    note: str = ""  # what the text for people adds about this recipient
    context: str = ""  # all of that text, for when the rest gives no reason


@dataclass(frozen=True, slots=True)
class Fields:
    """A delivery report's fields; `said` has one entry per recipient."""

    reporting_mta: str
    envelope_id: str
    said: tuple[Said, ...]


def fields_of(leaves: Iterable[Part]) -> Fields:
    """What the delivery-status parts say, or else what such fields in the text do."""
    parts = list(leaves)
    machine = [part.text() for part in parts if part.media_type in STATUS_TYPES]
    texts = machine or [unquoted(part.text()) for part in parts if part.media_type in _READABLE]
    message: dict[str, str] = {}
    said: list[Said] = []
    for group in _groups("\n".join(texts)):
        message = {**group, **message}
        if "final-recipient" in group or "original-recipient" in group:
            said.append(_said(group))
    return Fields(
        _untyped(message.get("reporting-mta", "")), message.get("original-envelope-id", ""), tuple(said)
    )


def addresses(text: str) -> list[str]:
    """The addresses in a text in order, lower-case domains left as they are, no two alike."""
    found = (_X400.sub("", each[0].strip(".")) for each in ADDRESS.finditer(text))
    return list(dict.fromkeys(found))


def _groups(text: str) -> Iterator[dict[str, str]]:
    """Fields by group; a blank line or a repeated field begins the next one."""
    group: dict[str, str] = {}
    count = 0
    for found in _FIELD.finditer(text):
        name = found[1].lower()
        if name not in _OF_A_RECIPIENT | _OF_THE_MESSAGE:
            continue
        if group and (name in group or _is_apart(text, found.start())):
            yield group
            group, count = {}, count + 1
            if count == MAX_RECIPIENTS:
                return
        group[name] = one_line(found[2])[:MAX_TEXT]
    if group:
        yield group


def _is_apart(text: str, at: int) -> bool:
    """Whether the line before is blank."""
    return text[max(0, at - 2) : at].endswith("\n\n")


def _said(group: Mapping[str, str]) -> Said:
    status = _STATUS.search(group.get("status", ""))
    remark = group.get("status", "")[status.end() :].strip(" ()") if status else ""
    diagnostic = group.get("diagnostic-code", "")
    kind = _TYPE.match(diagnostic)
    original = _address(group.get("original-recipient", ""))
    return Said(
        recipient=_address(group.get("final-recipient", "")) or original,
        original=original,
        action=_action(group.get("action", ""), status[1] if status else ""),
        status=status[1] if status else "",
        text=" ".join(part for part in (diagnostic[kind.end() :] if kind else diagnostic, remark) if part),
        by=kind[1].lower() if kind else "",
        remote_mta=_untyped(group.get("remote-mta", "")),
    )


def _action(value: str, status: str) -> Action | None:
    word = value.lower()
    known = (action for start, action in _ACTIONS.items() if word.startswith(start))
    return next(known, _ACTION_OF_CLASS.get(status[:1]))


def _untyped(value: str) -> str:
    return _TYPE.sub("", value)


def _address(value: str) -> str:
    """The address of a typed one; a program's command line or a half address is none."""
    bare = _untyped(value).strip("<> ")
    return bare if ADDRESS.fullmatch(bare) else ""
