"""Who was sent the same before, and how many people are: the index of prints, across runs, keys and agents.

Two questions are asked of it in the accepting transaction. Was this *person* sent something near-identical within the
window: by comparing the newest prints of that person, whose address is kept as a keyed hash; of a very short message
only the same words are a repeat. How many *people* get like
content: by the cluster whose first message it resembles, found through the triples of words (bands) that the two share.

Guarantees: the cost does not grow with what is stored, since each look-up is a few steps down an index and what it may
bring is bounded; a cluster's size is counted up, never counted out. Of several messages at once that say the same to
one person exactly one is first: a print is the ``nth`` of its person and cluster and a band has an owner, both unique,
so that the second waits for the first to commit and is ``Overtaken``: judged again, now knowing of it. There is no lock
that a flood could queue up at: people are counted last, by each backend in a shard of its own.

Refuses nothing: what a repeat means is for ``policies``. What ended before it was sent is nobody's earlier message.
"""

import secrets
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from outbox import ids
from outbox.fingerprints import BLANK, NOTHING, Earlier, Likeness, Print, alike, print_of, repeats
from outbox.keys import Caller
from outbox.payloads import Draft
from outbox.print_statements import (
    CLUSTERS,
    COUNT,
    EARLIER,
    FORGET_CLUSTERS,
    FORGET_PRINTS,
    NEW_BANDS,
    NEW_CLUSTERS,
    NEW_PRINTS,
    NOW,
    OWNERS,
    OWNERS_NOW,
    REPEATS,
)
from reputation import sql, suppression

WINDOW: Final = timedelta(days=7)
LONGEST: Final = timedelta(days=30)  # no window of a stream is longer: older prints are forgotten
HOUR: Final = timedelta(hours=1)

REMEMBERED: Final = (
    32  # a person's newest prints that are compared; the same cluster is found however many there are
)
SLOTS: Final = 4  # clusters that may share a triple; what more have says nothing about them
OWNED: Final = 12  # bands that a new cluster takes, of those that are free
LOOKED_AT: Final = 8  # clusters that a draft is compared with, those that share most bands with it
SAYS_ENOUGH: Final = 6  # words: "Thanks, that works" to many people is no campaign
PAGE: Final = 5_000


class Overtaken(Exception):
    """Somebody else said the same at the same time: judge again."""


@dataclass(frozen=True, slots=True)
class _Past:
    """One print of a person; without a ``message_id`` it was only tried."""

    at: datetime
    agent_id: int
    message_id: UUID | None
    enclosed: bytes
    sketch: bytes


@dataclass(slots=True)
class _Cluster:
    """A cluster that drafts of this call may join, and the people in it within the window."""

    id: int
    sketch: bytes
    people: int


@dataclass(frozen=True, slots=True)
class _Last:
    """How often a person was in a cluster, and when last."""

    nth: int
    at: datetime


@dataclass(slots=True)
class _Read:
    """What was found for the drafts of one call."""

    now: datetime
    window: timedelta
    footers: tuple[str, ...]
    prints: dict[Any, Print]
    clusters: dict[int, _Cluster] = field(default_factory=dict)
    by_band: dict[int, dict[int, int]] = field(default_factory=dict)  # clusters by slot
    past: dict[bytes, list[_Past]] = field(default_factory=dict)
    last: dict[tuple[int, bytes], _Last] = field(default_factory=dict)
    keys: dict[int, int] = field(default_factory=dict)  # of clusters to be, by exact fingerprint

    def print_of(self, draft: Draft) -> Print:
        """The print of a draft under the stream's footers."""
        return _print(self.prints, draft, self.footers)


class Likenesses:
    """What one call read, and what it adds: a draft sees those accepted before it. Empty for exempt agents."""

    def __init__(self, found: _Read | None = None, agent_id: int = 0) -> None:
        self._found = found
        self._agent_id = agent_id
        self._new_clusters: list[_Cluster] = []
        self._new_bands: list[tuple[int, int, int]] = []
        self._new_prints: list[tuple[int, bytes, int, UUID | None, bytes, bytes]] = []
        self._counted: Counter[int] = Counter()

    def of(self, draft: Draft) -> Likeness:
        """What there is like this draft, for each of its recipients and among clusters."""
        if self._found is None or not (own := self._found.print_of(draft)).words:
            return NOTHING
        cluster = _closest(self._found, own)
        earlier = {
            mailbox.addr: found
            for mailbox in draft.recipients
            if (found := self._earlier(own, suppression.person_mark(mailbox.addr)))
        }
        if own.words < SAYS_ENOUGH:
            return Likeness(earlier)
        people = {suppression.person_mark(mailbox.addr) for mailbox in draft.recipients}
        if cluster is None:
            return Likeness(earlier, _key(self._found, own), len(people))
        return Likeness(
            earlier, cluster.id, cluster.people + sum(self._is_new(cluster.id, each) for each in people)
        )

    def add(self, draft: Draft, message_id: UUID) -> int | None:
        """The draft is accepted: what comes after it sees it. Its cluster's key, as ``of`` gave it."""
        return self._note(draft, message_id)

    def turn_away(self, draft: Draft) -> None:
        """The draft was refused as a repeat: it counts for ``within_hour`` of the next, and as nobody's earlier one."""
        self._note(draft, None)

    def keep(self) -> None:
        """Write it all, in the accepting transaction and near its end.

        Raises:
            Overtaken: somebody else was quicker to say the same; the transaction must not be committed.
        """
        if not self._new_prints:
            return
        bands, prints = self._written()
        if prints < len(self._new_prints) or (bands and self._said_already(bands)):
            raise Overtaken

    def _note(self, draft: Draft, message_id: UUID | None) -> int | None:
        found = self._found
        if found is None or not (own := found.print_of(draft)).words:
            return None
        cluster = _closest(found, own) or self._new_cluster(own)
        people = {suppression.person_mark(to.addr): place for place, to in enumerate(draft.recipients, 1)}
        for person, place in people.items():
            delivery = message_id and ids.delivery_id(message_id, place)
            self._note_print(cluster, own, person, delivery)
        return cluster.id if own.words >= SAYS_ENOUGH else None

    def _note_print(self, cluster: _Cluster, own: Print, person: bytes, delivery: UUID | None) -> None:
        assert self._found is not None
        found, place = self._found, (cluster.id, person)
        if delivery and self._is_new(cluster.id, person):
            cluster.people += 1
            self._counted[cluster.id] += 1
        nth = found.last[place].nth + 1 if place in found.last else 1
        found.last[place] = _Last(nth, found.now)
        message = ids.message_of(delivery) if delivery else None
        past = _Past(found.now, self._agent_id, message, own.enclosed, own.sketch)
        found.past.setdefault(person, []).insert(0, past)
        self._new_prints.append((cluster.id, person, nth, delivery, own.enclosed, own.sketch))

    def _new_cluster(self, own: Print) -> _Cluster:
        assert self._found is not None
        cluster = _Cluster(_key(self._found, own), own.sketch, 0)
        by_band = self._found.by_band
        free = [band for band in own.bands if len(by_band.get(band, ())) < SLOTS][:OWNED]
        wanted = (own.exact, *free) if len(by_band.get(own.exact, ())) < SLOTS else free
        for band in dict.fromkeys(wanted):
            owners = by_band.setdefault(band, {})
            slot = next(slot for slot in range(SLOTS) if slot not in owners)
            self._new_bands.append((band, slot, cluster.id))
            owners[slot] = cluster.id
        self._found.clusters[cluster.id] = cluster
        self._new_clusters.append(cluster)
        self._counted[cluster.id] += 0  # its count is what it is remembered by, also if nobody got it
        return cluster

    def _earlier(self, own: Print, person: bytes) -> Earlier | None:
        """The newest near-identical message to this person; another attachment is another message."""
        assert self._found is not None
        found = [
            past
            for past in self._found.past.get(person, ())
            if past.enclosed == own.enclosed and repeats(past.sketch, own.sketch)
        ]
        newest = next((past for past in found if past.message_id), None)
        if newest is None:
            return None
        mine = newest.message_id if newest.agent_id == self._agent_id else None
        return Earlier(mine, newest.at, sum(past.at > self._found.now - HOUR for past in found))

    def _is_new(self, cluster: int, person: bytes) -> bool:
        assert self._found is not None
        last = self._found.last.get((cluster, person))
        return last is None or last.at <= self._found.now - self._found.window

    def _written(self) -> tuple[list[sql.Row], int]:
        """Write everything in one round trip: bands that others had taken meanwhile, and how many prints are ours."""
        hashes, slots, owners = _columns(self._new_bands, 3)
        clusters, people, nths, deliveries, enclosed, sketches = _columns(self._new_prints, 6)
        bands: dict[str, Any] = {"hashes": hashes, "slots": slots, "owners": owners}
        bands |= {
            "ids": [c.id for c in self._new_clusters],
            "sketches": [c.sketch for c in self._new_clusters],
        }
        prints: dict[str, Any] = {
            "clusters": clusters,
            "people": people,
            "nths": nths,
            "deliveries": deliveries,
        }
        prints |= {"enclosed": enclosed, "sketches": sketches, "agent": self._agent_id}
        counted = [list(self._counted), list(self._counted.values())]
        _, lost, [written], _ = sql.together(
            (NEW_CLUSTERS, bands), (NEW_BANDS, bands), (NEW_PRINTS, prints), (COUNT, counted)
        )
        return lost, written.n

    def _said_already(self, lost: Iterable[sql.Row]) -> bool:
        """Whether those who took these bands say the same as we do. Otherwise we are found by the others we have."""
        ours = {cluster.id: cluster.sketch for cluster in self._new_clusters}
        rows = sql.rows(OWNERS_NOW, _columns([(row.hash, row.slot, row.cluster_id) for row in lost], 3))
        return any(alike(bytes(row.sketch), ours[row.ours]) for row in rows)


def read(
    drafts: Sequence[Draft], caller: Caller, window: timedelta = WINDOW, footers: tuple[str, ...] = ()
) -> Likenesses:
    """What is known of messages like these, for as long back as ``window``; nothing for an exempt agent.

    ``footers`` are those of the stream, which say nothing of a message's own.

    One round trip, and a second if anything is like them at first sight.
    """
    if caller.exempt or not drafts:
        return Likenesses()
    prints: dict[Any, Print] = {}
    bands = {band for draft in drafts for band in _bands(_print(prints, draft, footers))}
    people = {to.addr: suppression.person_mark(to.addr) for draft in drafts for to in draft.recipients}
    asked = {"people": sorted(set(people.values())), "window": window, "newest": REMEMBERED}
    owners, earlier, [clock] = sql.together((OWNERS, [sorted(bands)]), (EARLIER, asked), (NOW, ()))
    found = _Read(clock.now, window, footers, prints)
    for row in owners:
        found.by_band.setdefault(row.hash, {})[row.slot] = row.cluster_id
    for row in earlier:
        found.past.setdefault(bytes(row.person), []).append(_past(row))
    _read_clusters(found, drafts, people)
    for prints_of_one in found.past.values():
        prints_of_one.sort(key=lambda past: past.at, reverse=True)
    return Likenesses(found, caller.agent_id)


def forget() -> int:
    """Drop prints and clusters that no window reaches any more; how many rows. A page at a time."""
    params = {"kept": LONGEST, "page": PAGE}
    forgotten = sql.exhaust(FORGET_PRINTS, params)
    while page := sql.one(FORGET_CLUSTERS, params).n:
        forgotten += page
    return forgotten


def _read_clusters(found: _Read, drafts: Iterable[Draft], people: Mapping[str, bytes]) -> None:
    """The clusters that share most with each draft, and how often its recipients were in them."""
    pairs: dict[tuple[int, bytes], None] = {}
    for draft in drafts:
        for cluster in _candidates(found, found.print_of(draft)):
            pairs |= dict.fromkeys((cluster, people[mailbox.addr]) for mailbox in draft.recipients)
    if not pairs:
        return
    asked = {"clusters": sorted({cluster for cluster, _ in pairs}), "window": found.window}
    clusters, repeats = sql.together((CLUSTERS, asked), (REPEATS, _columns(sorted(pairs), 2)))
    found.clusters = {row.id: _Cluster(row.id, bytes(row.sketch), int(row.people)) for row in clusters}
    found.last = {(row.cluster_id, bytes(row.person)): _Last(row.nth, row.at) for row in repeats}
    for row in repeats:
        remembered = found.past.setdefault(bytes(row.person), [])
        if row.counts and row.at > found.now - found.window and (past := _past(row)) not in remembered:
            remembered.append(past)


def _candidates(found: _Read, own: Print) -> list[int]:
    shared = Counter(cluster for band in _bands(own) for cluster in found.by_band.get(band, {}).values())
    return [cluster for cluster, _ in shared.most_common(LOOKED_AT)]


def _closest(found: _Read, own: Print) -> _Cluster | None:
    """The cluster that a print belongs to: the most alike, and of equals the oldest."""
    near = (found.clusters[each] for each in _candidates(found, own) if each in found.clusters)
    rated = [(alike(cluster.sketch, own.sketch), -cluster.id, cluster) for cluster in near]
    share, _, cluster = max(rated, key=lambda each: each[:2], default=(0.0, 0, None))
    return cluster if share else None


def _print(prints: dict[Any, Print], draft: Draft, footers: tuple[str, ...]) -> Print:
    """The print of a draft, made once; whom it leaves out does not change what it says."""
    key = (footers, draft.digest, draft.subject, draft.text, draft.html)
    if key not in prints:
        names = [name for each in draft.recipients for name in (each.name, each.local)]
        enclosed = (part.content for part in draft.attachments)
        prints[key] = print_of(draft.subject, draft.text, draft.html, names, enclosed, footers)
    return prints[key]


def _bands(own: Print) -> tuple[int, ...]:
    return (own.exact, *own.bands) if own is not BLANK else ()


def _key(found: _Read, own: Print) -> int:
    """The key that a new cluster of this content would have: it sorts by time, so that new ones lie together."""
    if own.exact not in found.keys:
        found.keys[own.exact] = (time.time_ns() // 1_000_000 << 21) | secrets.randbits(21)
    return found.keys[own.exact]


def _past(row: sql.Row) -> _Past:
    message = ids.message_of(row.delivery_id) if row.delivery_id else None
    return _Past(row.at, row.agent_id, message, bytes(row.enclosed), bytes(row.sketch))


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows as columns, for unnest."""
    return [[row[place] for row in rows] for place in range(width)]


class Rehearsed(Likenesses):
    """Likenesses of a time that is over: nothing is known at its beginning, and nothing is ever written."""

    def __init__(
        self, window: timedelta, footers: tuple[str, ...] = (), prints: dict[Any, Print] | None = None
    ) -> None:
        """``prints`` keeps those that were made, for another rehearsal of the same drafts."""
        made = {} if prints is None else prints
        self._then = _Read(datetime.fromtimestamp(0, UTC), window, footers, made)
        super().__init__(self._then)

    def at(self, now: datetime) -> None:
        """What comes next came then."""
        self._then.now = now

    def of(self, draft: Draft) -> Likeness:
        """What there was like this draft within the window."""
        past, oldest = self._then.past, self._then.now - self._then.window
        for person in {suppression.person_mark(mailbox.addr) for mailbox in draft.recipients} & past.keys():
            past[person] = [each for each in past[person] if each.at > oldest]
        return super().of(draft)

    def keep(self) -> None:
        """Nothing: it was only looked at."""
