"""Where the recipients of one call would stand in the queue: behind what waits already, and behind each other."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from outbox.facts import Place
from outbox.payloads import Draft
from reputation.outlook import Outlook


@dataclass(slots=True)
class Queue:
    """The outlooks of the providers that a call's drafts go to, and who of them has joined so far.

    ``expected`` counts the call's recipients by provider; without outlooks (nothing warms up) mail leaves at once.
    """

    providers: Mapping[str, str]
    outlooks: Mapping[str, Outlook]
    expected: Mapping[str, int]
    joined: Counter[str] = field(default_factory=Counter)

    def last(self, draft: Draft, place: Place) -> datetime | None:
        """When the last recipient of a draft would be through; None if not within three years."""
        ends = [self._at(provider, count, draft, place) for provider, count in self._wanted(draft).items()]
        return max((end for end in ends if end), default=place.now) if all(ends) else None

    def ends(self, draft: Draft, place: Place) -> dict[str, datetime | None]:
        """The forecast for each of its recipients' domains, if it joined now."""
        wanted = self._wanted(draft)
        ends = {provider: self._at(provider, count, draft, place) for provider, count in wanted.items()}
        return {mailbox.domain: ends[self.providers[mailbox.domain]] for mailbox in draft.recipients}

    def join(self, draft: Draft, place: Place) -> dict[str, datetime | None]:
        """Let an accepted draft stand in the queue; its forecasts."""
        ends = self.ends(draft, place)
        if draft.scheduled_at is None:
            self.joined.update(self._wanted(draft))
        return ends

    def _wanted(self, draft: Draft) -> Counter[str]:
        return Counter(self.providers[mailbox.domain] for mailbox in draft.recipients)

    def _at(self, provider: str, count: int, draft: Draft, place: Place) -> datetime | None:
        """Scheduled mail is not in the queue before its time, and then not behind what waits today."""
        start = draft.scheduled_at or place.now
        if provider not in self.outlooks:
            return start
        end = self.outlooks[provider].at(self.joined[provider] + count, self.expected[provider])
        return end and max(end, start)
