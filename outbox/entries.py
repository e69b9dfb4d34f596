"""The rows of one accepted draft, and what its sender is told: plain values, written by ``intake`` in one statement."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from outbox import ids
from outbox.addresses import Mailbox, parse_mailbox
from outbox.budgets import Charge
from outbox.facts import KnownRun, Place
from outbox.keys import Caller
from outbox.lifecycle import Status
from outbox.payloads import Accepted, AcceptedDelivery, Draft
from outbox.verdicts import Verdict

LIFE: Final = timedelta(days=5)
TRANSACTIONAL_LIFE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Entry:
    """One draft that the rules let pass: to whom it goes, from where, in which run and lanes, and with which words.

    ``providers`` names the family of each recipient's domain; ``forecasts`` when the last there would be through.
    """

    key: UUID
    draft: Draft
    caller: Caller
    place: Place
    run: KnownRun
    verdict: Verdict
    providers: Mapping[str, str]
    forecasts: Mapping[str, datetime | None]
    refused: tuple[Mapping[str, str], ...]
    approval: Mapping[str, Any] | None
    charged: list[Charge] | None

    @property
    def status(self) -> Status:
        """Of all its deliveries: the verdict is per message."""
        return Status.HELD if self.verdict.holds else Status.QUEUED

    def accepted(self, budget: Mapping[str, Mapping[str, int]]) -> Accepted:
        """What its sender is told."""
        return Accepted(
            id=self.key,
            status=str(self.status),
            created_at=self.place.now,
            header_id=self._header_id,
            stream=self.caller.stream,
            run_id=self.run.name,
            verdict=self.verdict.word,
            reasons=self._reasons,
            policy_version=self.place.policy_version,
            deliveries=tuple(
                AcceptedDelivery(
                    id=ids.delivery_id(self.key, ordinal),
                    to=mailbox.addr,
                    status=str(self.status),
                    reason=self.verdict.code or None,
                    forecast_at=self.forecasts.get(mailbox.domain),
                )
                for ordinal, mailbox in enumerate(self.draft.recipients, 1)
            ),
            refused=self.refused,
            budget=budget,
            scheduled_at=self.draft.scheduled_at,
            expires_at=expiry(self.draft, self.place),
            approval=self.approval,
        )

    def message(self) -> dict[str, Any]:
        """Its row of content, as ``ledger.enter`` takes it."""
        draft, place = self.draft, self.place
        sender = draft.sender or _default_sender(place.default_sender or "")
        return {
            "id": self.key,
            "agent_id": self.caller.agent_id,
            "stream_id": self.caller.stream_id,
            "domain_id": place.domain_id,
            "run_id": self.run.id,
            "created_at": place.now,
            "scheduled_at": draft.scheduled_at,
            "expires_at": expiry(draft, place),
            "header_id": self._header_id,
            "sender": sender.addr,
            "addressing": {
                "from": _written(sender),
                **{
                    name: [_written(each) for each in getattr(draft, name)]
                    for name in ("to", "cc", "bcc", "reply_to")
                },
            },
            "addresses": [mailbox.addr for mailbox in draft.recipients],
            "subject": draft.subject,
            "text": draft.text,
            "html": draft.html,
            "headers": draft.headers,
            "tags": draft.tags,
            "context": {"on_behalf_of": draft.on_behalf_of, "purpose": draft.purpose},
            "decision": {
                "verdict": self.verdict.word,
                "reasons": self._reasons,
                "policy_version": place.policy_version,
                **({"approval": self.approval} if self.approval else {}),
            },
            "refused": self.refused,
            "attachment_count": len(draft.attachments),
            "size": _size(draft),
            "charged": self.charged,
        }

    def deliveries(self) -> Iterator[dict[str, Any]]:
        """A row for each recipient."""
        due = self.draft.scheduled_at or self.place.now
        for ordinal, mailbox in enumerate(self.draft.recipients, 1):
            yield {
                "id": ids.delivery_id(self.key, ordinal),
                "message_id": self.key,
                "lane_id": self.run.lanes[self.providers[mailbox.domain]],
                "recipient": mailbox.addr,
                "priority": self.draft.priority,
                "next_attempt_at": due,
                "expires_at": expiry(self.draft, self.place),
                "status": str(self.status),
                "code": self.verdict.code,
            }

    def attachments(self) -> Iterator[tuple[UUID, int, str, str, str | None, bytes]]:
        """A row for each attachment."""
        for ordinal, part in enumerate(self.draft.attachments):
            yield self.key, ordinal, part.filename, part.content_type, part.content_id, part.content

    @property
    def _header_id(self) -> str:
        return f"<{ids.printed('msg', self.key)[4:]}@{self.place.domain}>"

    @property
    def _reasons(self) -> tuple[Mapping[str, str], ...]:
        return tuple({"code": hold.code, "detail": hold.detail} for hold in self.verdict.holds)


def expiry(draft: Draft, place: Place) -> datetime:
    """When a draft's life ends."""
    life = TRANSACTIONAL_LIFE if place.stream_kind == "transactional" else LIFE
    return draft.expires_at or max(draft.scheduled_at or place.now, place.now) + life


@functools.lru_cache(maxsize=1000)
def _default_sender(text: str) -> Mailbox:
    return parse_mailbox(text)


def _size(draft: Draft) -> int:
    """Octets of what has to be held in memory to send it, about."""
    bodies = len(draft.text) + len(draft.html or "")
    return bodies + sum(len(part.content) for part in draft.attachments)


def _written(mailbox: Mailbox) -> dict[str, str]:
    return {"name": mailbox.name, "local": mailbox.local, "domain": mailbox.domain}
