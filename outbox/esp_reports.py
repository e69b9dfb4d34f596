"""What a relay service tells of mail it took: one event in, what it testifies out.

A service speaks for the receiving server, so its words are judged by the rows that judge a delivery report; its own
names for things decide only what kind of thing happened. Nothing is believed here: references are candidates for
``verp.read_token``, and who the event comes from was checked before (``esp``). Pure.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from outbox import ids
from outbox.diagnosis import diagnose
from outbox.dsn import Said
from outbox.mailparts import one_line
from outbox.reasons import Reason
from outbox.testimony import Action, Report

MAX_TEXT: Final = 1000
MAX_NAMES: Final = 20  # candidates looked at in one event

_TOKEN: Final = re.compile(r"(?<![A-Za-z0-9])[a-z2-7]{48}(?![A-Za-z0-9])")
_MESSAGE_ID: Final = re.compile(r"(?<![A-Za-z0-9])([0-9a-hjkmnp-tv-z]{26})@")

# Services' events, as django-anymail names them; what is not here testifies nothing.
_ACTIONS: Final[Mapping[str, Action]] = {
    "bounced": Action.FAILED,
    "rejected": Action.FAILED,  # by the service itself, before anybody was asked
    "failed": Action.FAILED,
    "deferred": Action.DELAYED,
    "delivered": Action.DELIVERED,
}
_FEEDBACK: Final[Mapping[str, Reason]] = {"complained": Reason.ABUSE, "unsubscribed": Reason.OPT_OUT}


@dataclass(frozen=True, slots=True)
class ServiceEvent:
    """One event of a service. ``reply`` is the receiving server's answer, ``remark`` the service's own words, ``raw``
    the event's JSON text."""

    kind: str
    id: str
    recipient: str
    reply: str = ""
    remark: str = ""
    raw: str = ""


def report_of(event: ServiceEvent) -> Report | None:
    """What the event says of its recipient; None if it is no news of a delivery."""
    if reason := _FEEDBACK.get(event.kind):
        return Report(recipient=event.recipient, action=None, reason=reason, text=_short(event.remark))
    if action := _ACTIONS.get(event.kind):
        said = Said(event.recipient, action=action, text=_short(event.reply), note=_short(event.remark))
        return diagnose(said)
    return None


def references(event: ServiceEvent) -> Iterator[str]:
    """Token candidates anywhere in the event: in what it was told at sending, in headers or addresses it shows."""
    yield from dict.fromkeys(_TOKEN.findall(event.raw)[:MAX_NAMES])


def messages(event: ServiceEvent) -> Iterator[UUID]:
    """Keys of messages whose Message-ID the event shows, for services that keep it and nothing else."""
    for name in dict.fromkeys(_MESSAGE_ID.findall(event.raw)[:MAX_NAMES]):
        if key := ids.parsed("msg", f"msg_{name}"):
            yield key


def _short(text: str) -> str:
    return one_line(text)[:MAX_TEXT]
