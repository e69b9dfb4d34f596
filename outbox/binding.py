"""What an approval covers: a digest of the canonical draft. Pure.

Sender, addressing, everybody who gets it, subject, bodies, headers, attachments and the policy version it was judged
under; no date, token, footer or signature, which differ between attempts. The same for a draft as it came in and for
the content a worker is about to compose, so that whatever changed in between is seen.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import orjson

from outbox.addresses import Mailbox
from outbox.compose import Content
from outbox.payloads import Draft

FORM: Final = 1  # of what is hashed: another one voids what was approved under this


class Changed(Exception):
    """The content is not what was approved."""


class Outdated(Exception):
    """The policy is not the one it was approved under."""


@dataclass(frozen=True, slots=True)
class Bond:
    """What a person saw of a message, and what there is now besides its content.

    ``approved_under`` is None where no person has decided: what waited passed by itself. ``recipients``: everybody who
    gets it; ``judged_under``: the policy version at its acceptance; ``current``: its stream's now.
    """

    digest: bytes
    recipients: tuple[str, ...]
    judged_under: int
    approved_under: int | None
    current: int

    def check(self, content: Content, recipient: str) -> None:
        """The last look before it is composed for one recipient; raises Changed or Outdated."""
        now = digest_of(content, content.sender, self.recipients, self.judged_under)
        if now != self.digest or recipient not in self.recipients:
            raise Changed("it is not what was approved")
        if self.approved_under is not None and self.approved_under != self.current:
            raise Outdated(f"approved under policy version {self.approved_under}, now {self.current}")


def digest_of(
    content: Content | Draft, sender: Mailbox, recipients: Iterable[str], policy_version: int
) -> bytes:
    """SHA-256 of what would be sent to these recipients."""
    parts = [
        [part.filename, part.content_type, part.content_id, hashlib.sha256(part.content).hexdigest()]
        for part in content.attachments
    ]
    people = [_written(each) for each in ((sender,), content.to, content.cc, content.reply_to)]
    bodies = [content.subject, content.text, content.html, [list(pair) for pair in content.headers]]
    canonical = [FORM, people, sorted(recipients), bodies, parts, policy_version]
    return hashlib.sha256(orjson.dumps(canonical)).digest()


def _written(people: Iterable[Mailbox]) -> list[list[str]]:
    return [[each.name, each.local, each.domain] for each in people]
