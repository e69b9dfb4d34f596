"""Who sends what goes out now: the agent with its owner and keys, the runs it works on and for whom, and what it says.

Read only and bounded: a handful of agents, their newest messages. Messages are grouped by like subjects, digits and
case left out, which is a hint and no proof of like content. Text and HTML are an agent's own: hostile until shut in.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString
from uuid import UUID

from outbox import ids, keys
from outbox.models import Agent, ApiKey, Run
from outbox.outgoing import SAMPLES, Flow
from reputation import sql

SENDERS: Final = 5
RUNS: Final = 3
KEYS: Final = 3
SUBJECTS: Final = 3
LAST: Final = 200  # messages of an agent whose subjects are compared
TEXT_SHOWN: Final = 2_000
HTML_SHOWN: Final = 200_000

SAMPLED: Final[LiteralString] = """
SELECT id, created_at, addresses, subject, left(text, %(text)s) AS text, html IS NOT NULL AS has_html
FROM outbox_message WHERE id = ANY (%(ids)s) ORDER BY id DESC
"""

HTML: Final[LiteralString] = "SELECT left(html, %(html)s) AS html FROM outbox_message WHERE id = %(id)s"

# The newest messages of each agent by their subjects, digits, case and spaces left out; largest groups first.
ALIKE: Final[LiteralString] = """
SELECT a.id AS agent, g.messages, g.of, g.subject FROM unnest(%(agents)s::bigint[]) AS a (id)
CROSS JOIN LATERAL (
    SELECT count(*) AS messages, sum(count(*)) OVER ()::int AS of,
           (array_agg(m.subject ORDER BY m.id DESC))[1] AS subject
    FROM (SELECT id, left(subject, 300) AS subject FROM outbox_message WHERE agent_id = a.id ORDER BY id DESC
          LIMIT %(last)s) AS m
    GROUP BY regexp_replace(lower(m.subject), '[0-9[:space:]]+', ' ', 'g') ORDER BY 1 DESC LIMIT %(subjects)s
) AS g ORDER BY a.id, g.messages DESC
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """A message as its reader has it, its text cut to what is shown."""

    id: UUID
    created_at: datetime
    to: str
    others: int
    subject: str
    text: str
    has_html: bool


@dataclass(frozen=True, slots=True)
class Alike:
    """How many of an agent's newest messages have the same subject but for digits; the newest such subject."""

    messages: int
    of: int
    subject: str


@dataclass(frozen=True, slots=True)
class Running:
    """A run that sends, its dots of the window, and the scope that stops it and all below it."""

    run: Run
    scope: str
    dots: int


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends: the agent and its owner, since when, how much to which providers, for whom, and what it says."""

    agent: Agent
    since: datetime
    dots: int
    providers: tuple[tuple[str, int], ...]
    samples: tuple[Sample, ...]
    runs: tuple[Running, ...]
    more_runs: int
    keys: Sequence[ApiKey]
    alike: Sequence[Alike]


def senders(seen: Flow) -> list[Sender]:
    """Who sent most in this flow, most first."""
    names = [share.scope.partition(":")[2] for share in seen.agents[:SENDERS]]
    agents = Agent.objects.select_related("owner", "stream").in_bulk(names, field_name="name")
    found = [agents[name] for name in names if name in agents]
    keys_of = keys.in_use([agent.pk for agent in found], KEYS)
    alike = _alike(found)
    return [
        _sender(
            agent, [row for row in seen.rows if row.agent == agent.name], keys_of[agent.pk], alike[agent.pk]
        )
        for agent in found
    ]


def sample(key: UUID) -> tuple[Sample, str] | None:
    """A message and its HTML, which is hostile until it is shut in; None if there is no such message."""
    found = sql.one(SAMPLED, {"ids": [key], "text": TEXT_SHOWN})
    html = sql.one(HTML, {"id": key, "html": HTML_SHOWN})
    return (_sample(found), html.html or "") if found and html else None


def _sender(agent: Agent, rows: Sequence[sql.Row], used: Sequence[ApiKey], alike: Sequence[Alike]) -> Sender:
    newest = sorted({ids.message_of(key) for row in rows for key in row.newest}, reverse=True)[:SAMPLES]
    runs = _counted(rows, "run")
    return Sender(
        agent=agent,
        since=min(row.since for row in rows),
        dots=sum(row.dots for row in rows),
        providers=_counted(rows, "provider"),
        samples=tuple(map(_sample, sql.rows(SAMPLED, {"ids": newest, "text": TEXT_SHOWN}))),
        runs=_running(agent, runs[:RUNS]),
        more_runs=max(len(runs) - RUNS, 0),
        keys=used,
        alike=alike,
    )


def _counted(rows: Iterable[sql.Row], by: str) -> tuple[tuple[str, int], ...]:
    """Dots by one of the rows' columns, most first."""
    counted = Counter[str]()
    for row in rows:
        counted[getattr(row, by)] += row.dots
    return tuple(counted.most_common())


def _running(agent: Agent, counted: Sequence[tuple[str, int]]) -> tuple[Running, ...]:
    runs = Run.objects.in_bulk([key for key, _ in counted])
    return tuple(Running(runs[key], f"run:{agent.name}/{runs[key].name}", dots) for key, dots in counted)


def _alike(agents: Sequence[Agent]) -> Mapping[int, list[Alike]]:
    found: dict[int, list[Alike]] = {agent.pk: [] for agent in agents}
    for row in sql.rows(ALIKE, {"agents": list(found), "last": LAST, "subjects": SUBJECTS}):
        found[row.agent].append(Alike(row.messages, row.of, row.subject))
    return found


def _sample(row: sql.Row) -> Sample:
    first, *others = row.addresses or [""]
    return Sample(row.id, row.created_at, first, len(others), row.subject, row.text, row.has_html)
