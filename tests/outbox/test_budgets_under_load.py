"""Budgets under load: many agents, keys and runs at once, connections killed, work rolled back, mail taken back.

What counts is what was accepted: while it goes on no limit is passed by the recipients there are, and at the end every
counter says what they say, so that all that was given back can be used again.
"""

import base64
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

import orjson
import psycopg
import pytest
from django.db import Error, connection, connections, transaction

from outbox import alarm, budgets, intake, keys, ledger, lineage, payloads
from outbox.models import Agent, Organisation, Run
from reputation import sql
from reputation.models import Stream
from tests import factories
from tests.clocks import later

AGENTS, KEYS_EACH = ("ada", "bob", "cid", "dan"), 2
PRINCIPALS: Final = [f"user:{number}" for number in range(6)]
DOMAINS: Final = [f"d{number}.example.org" for number in range(12)]
OCTETS: Final = 100_000
ROOTS: Final = budgets.ROOTS_A_DAY + 5  # names that each agent tries to begin a tree with

# By what there is, never by a counter. A recipient counts until it is taken back; a domain once seen stays.
TRUTH: Final[LiteralString] = """
WITH accepted AS MATERIALIZED (
    SELECT m.agent_id, m.stream_id, m.context ->> 'on_behalf_of' AS principal, r.lineage,
           split_part(d.recipient, '@', 2) AS domain,
           d.status NOT IN ('cancelled', 'refused') AND d.code <> 'approval_lapsed' AS counts, coalesce((
               SELECT sum(octet_length(content)) FROM outbox_attachment AS p WHERE p.message_id = m.id), 0) AS octets
    FROM outbox_message AS m JOIN outbox_run AS r ON r.id = m.run_id
    JOIN outbox_delivery AS d ON d.id > m.id AND d.id <= (left(m.id::text, 33) || 'fff')::uuid
), standing AS MATERIALIZED (SELECT * FROM accepted WHERE counts)
SELECT 'run' AS kind, agent_id || '/' || name AS key, count(*)::bigint AS n
FROM standing CROSS JOIN unnest(lineage) AS name GROUP BY 2
UNION ALL SELECT 'run_domains', agent_id || '/' || lineage[1], count(DISTINCT domain) FROM accepted GROUP BY 2
UNION ALL SELECT 'run_bytes', agent_id || '/' || lineage[1], sum(octets)::bigint FROM standing GROUP BY 2
UNION ALL SELECT 'agent_hour', agent_id::text, count(*) FROM standing GROUP BY 2
UNION ALL SELECT 'agent_day', agent_id::text, count(*) FROM standing GROUP BY 2
UNION ALL SELECT 'agent_day_bytes', agent_id::text, sum(octets)::bigint FROM standing GROUP BY 2
UNION ALL SELECT 'root_runs', agent_id::text, count(*) FROM outbox_run
    WHERE parent_id IS NULL AND name NOT LIKE 'day-%%' GROUP BY 2
UNION ALL SELECT 'principal_day', stream_id || '/' || principal, count(*) FROM standing GROUP BY 2
UNION ALL SELECT 'stream_day', stream_id::text, count(*) FROM standing GROUP BY 2
UNION ALL SELECT 'organisation_day', '', count(*) FROM standing HAVING count(*) > 0
"""

COUNTERS: Final[LiteralString] = "SELECT kind, key, used FROM outbox_budget WHERE used > 0"

KILL: Final[LiteralString] = """
SELECT count(pg_terminate_backend(pid)) FROM (
    SELECT pid FROM pg_stat_activity WHERE datname = %s AND usename LIKE %s AND xact_start IS NOT NULL
      AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1) AS one
"""

# Somebody held it, and nobody decided.
LAPSE: Final[LiteralString] = """
UPDATE outbox_delivery SET status = 'held', code = 'policy', expires_at = ao_now() - interval '1 second'
WHERE status = 'queued' AND message_id = (SELECT id FROM outbox_message WHERE agent_id = %s ORDER BY random() LIMIT 1)
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of it. ``room``: of the organisation's day, which is what is spent at last."""

    threads: int
    posts: int
    runs: int
    room: int


@dataclass(slots=True)
class Load:
    """What goes on, and what came of it."""

    size: Size
    headers: Sequence[str]
    limits: dict[str, int]
    outcomes: Counter[str] = field(default_factory=Counter)
    peaks: Counter[str] = field(default_factory=Counter)
    passed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    looks: int = 0
    kills: int = 0


@pytest.fixture
def noon(live_db: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Tomorrow at noon, so that no window ends; nobody is told of the mail."""
    now: datetime = sql.one("SELECT ao_now() AT TIME ZONE 'UTC' AS now").now
    later(live_db, datetime(now.year, now.month, now.day, 12, 5) + timedelta(days=1) - now)
    monkeypatch.setattr(alarm, "ring_on_commit", lambda: None)
    return live_db


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(Size(threads=12, posts=16, runs=60, room=150), id="small"),
        pytest.param(Size(threads=64, posts=120, runs=500, room=1000), id="full", marks=pytest.mark.soak),
    ],
)
def test_no_limit_is_passed_and_no_room_is_lost(noon: Any, size: Size) -> None:
    load = _prepared(size)
    with ThreadPoolExecutor(size.threads + 2) as pool:
        around = [pool.submit(_watch, load), pool.submit(_kill, load, noon)]
        for each in [pool.submit(_live, load, number) for number in range(size.threads)]:
            each.result()
        load.over.set()
        for each in around:
            each.result()
    print(f"{dict(load.outcomes)}; {load.looks} looks, {load.kills} kills; most at once: {dict(load.peaks)}")
    assert not load.wrong
    assert not load.passed
    assert load.outcomes.keys() >= {"202", "cancelled", "rolled back", "run_budget_exhausted"}
    assert load.kills
    assert _counters() == _truth()
    _fill(load)
    assert _counters() == _truth()
    assert _truth()["organisation_day", ""] == size.room


def _prepared(size: Size) -> Load:
    """Two streams, four agents with two keys each; every limit is narrow enough to be met."""
    sales = factories.stream("agents-sales", "sales.acme.test")
    # two agents have more than their stream, and two streams have more than the organisation
    hour, stream, principal = size.room * 35 // 100, size.room * 60 // 100, size.room // 8
    limits = {
        "recipients_per_hour": hour,
        "recipients_per_day": hour,
        "recipients_per_run": 40,
        "domains_per_run": 8,
        "attachment_mib_per_run": 1,
        "attachment_mib_per_day": max(size.room // 100, 1),
    }
    headers = []
    for place, name in enumerate(AGENTS):
        where = {"stream": sales} if place % 2 else {}
        agent = factories.agent(name, exempt=False, recipients_per_message=5, **limits, **where)
        headers += [f"Bearer {factories.key(agent)}" for _ in range(KEYS_EACH)]
    Stream.objects.update(recipients_per_principal=principal, recipients_per_day=stream)
    Organisation.objects.create(recipients_per_day=size.room)
    return Load(
        size,
        headers,
        {
            "run": 40,
            "run_domains": 8,
            "run_bytes": 1 << 20,
            "agent_hour": limits["recipients_per_hour"],
            "agent_day": limits["recipients_per_day"],
            "agent_day_bytes": limits["attachment_mib_per_day"] << 20,
            "root_runs": budgets.ROOTS_A_DAY,
            "principal_day": principal,
            "stream_day": stream,
            "organisation_day": size.room,
        },
    )


# -- what goes on


def _live(load: Load, number: int) -> None:
    """One of the many: it posts, takes back, and is killed now and then."""
    chance = random.Random(number)
    header = load.headers[number % len(load.headers)]
    mine: list[Any] = []
    for _ in range(load.size.posts):
        try:
            outcome = _act(load, chance, keys.authenticate(header), mine)
        except Error as error:
            connection.close()
            outcome = "killed" if _was_killed(error) else "wrong"
            if outcome == "wrong":
                load.wrong.append(str(error))
        load.outcomes[outcome] += 1
    connection.close()


def _act(load: Load, chance: random.Random, caller: keys.Caller, mine: list[Any]) -> str:
    die = chance.random()
    if die < 0.15 and mine:
        ledger.cancel_message(mine.pop(chance.randrange(len(mine))), "by_agent", "agent")
        return "cancelled"
    if 0.15 <= die < 0.155:
        leaf = Run.objects.filter(agent_id=caller.agent_id, children=None).order_by("?").first()
        lineage.cancel(lineage.tree(caller.agent_id, leaf.name) if leaf else [], "agent")
        return "run cancelled"
    if 0.155 <= die < 0.17:
        child = Run.objects.filter(agent_id=caller.agent_id, parent__isnull=False).order_by("?").first()
        budgets.lower(child.pk, 10) if child else None
        return "lowered"
    if 0.17 <= die < 0.19:
        sql.count(LAPSE, [caller.agent_id])
        ledger.expire()
        return "lapsed"
    if 0.19 <= die < 0.24:
        return _rolled_back(load, chance, caller)
    [answer, *_] = _post(load, chance, caller)
    if answer.status == 202 and answer.message_id:
        mine.append(answer.message_id)
    return "202" if answer.status == 202 else str(orjson.loads(answer.body)["code"])


def _rolled_back(load: Load, chance: random.Random, caller: keys.Caller) -> str:
    with transaction.atomic():
        _post(load, chance, caller)
        transaction.set_rollback(True)
    return "rolled back"


def _post(load: Load, chance: random.Random, caller: keys.Caller) -> list[Any]:
    """A message, or a batch of one run."""
    agent = _agent_part(load, chance)
    drafts = [_draft(chance, agent) for _ in range(chance.choice([1, 1, 1, 4]))]
    return intake.accept(drafts, caller, request_id="", base_url="")


def _draft(chance: random.Random, agent: dict[str, str]) -> Any:
    body: dict[str, Any] = {
        "to": [f"p{chance.random()}@{chance.choice(DOMAINS)}" for _ in range(chance.randint(1, 5))],
        "subject": "Hi",
        "text": "Hi",
        "agent": agent,
    }
    if chance.random() < 0.2:
        content = base64.b64encode(bytes(OCTETS)).decode()
        body["attachments"] = [{"filename": "a.bin", "content": content}]
    return payloads.parse_draft(body, now=datetime.now().astimezone(), idempotency_key=None)


def _agent_part(load: Load, chance: random.Random) -> dict[str, str]:
    """One of the runs: a root, or one below it or below that. Its place in the tree follows from its number."""
    of_each = load.size.runs // len(AGENTS)
    number = chance.randrange(of_each)
    roots = min(ROOTS, of_each // 2)
    part = {"on_behalf_of": chance.choice(PRINCIPALS), "run_id": f"r{number}"}
    if number >= roots:
        part["parent_run_id"] = f"r{(number - roots) % number if number % 3 else number % roots}"
    return part


def _was_killed(error: Error) -> bool:
    """Its connection was ended, now or when it was used the last time."""
    cause = error.__cause__
    lost = isinstance(cause, psycopg.OperationalError) and cause.sqlstate in (None, "57P01")
    return lost or isinstance(cause, psycopg.InterfaceError)


# -- around it


def _watch(load: Load) -> None:
    """In one snapshot after the other, by a role that is not killed: what there is, against the limits."""
    while not load.over.is_set():
        for (kind, key), n in _truth().items():
            load.peaks[kind] = max(load.peaks[kind], n)
            if n > load.limits[kind]:
                load.passed.append(f"{kind} {key}: {n}")
        load.looks += 1
    connections["owner"].close()


def _kill(load: Load, live_db: Any) -> None:
    """Connections end at any line of their transactions."""
    name = connection.settings_dict["NAME"]
    with psycopg.connect(live_db.superuser, autocommit=True) as superuser:
        while not load.over.wait(0.05):
            [killed] = superuser.execute(KILL, [name, "%_app"]).fetchone() or [0]
            load.kills += killed


def _fill(load: Load) -> None:
    """What room there is can be used to the last recipient: only the organisation's limit is left to meet."""
    Agent.objects.update(recipients_per_hour=10**6, recipients_per_day=10**6, recipients_per_run=10**6)
    Stream.objects.update(recipients_per_principal=10**6, recipients_per_day=10**6)
    [caller, *_] = map(keys.authenticate, load.headers)
    code = ""
    while code != "organisation_limit":
        body = {"to": f"p{time.time()}@{DOMAINS[0]}", "subject": "Hi", "text": "Hi"}
        post = payloads.parse_draft(
            body | {"agent": {"on_behalf_of": PRINCIPALS[0]}},
            now=datetime.now().astimezone(),
            idempotency_key=None,
        )
        [answer] = intake.accept([post], caller, request_id="", base_url="")
        code = "" if answer.status == 202 else orjson.loads(answer.body)["code"]
        assert code in {"", "organisation_limit"}


def _truth() -> dict[tuple[str, str], int]:
    found = {(row.kind, row.key): row.n for row in sql.rows(TRUTH, using="owner") if row.n}
    lowered = {row.key for row in sql.rows("SELECT key FROM outbox_budget WHERE kind = 'run'", using="owner")}
    return {place: n for place, n in found.items() if place[0] != "run" or place[1] in lowered}


def _counters() -> dict[tuple[str, str], int]:
    return {(row.kind, row.key): row.used for row in sql.rows(COUNTERS)}
