"""Today's allowance: how much each ramp has for the day, opened when its first mail asks, reserved by the claim.

A claim reserves and a settle gives back in SQL of their own (``outbox``); here a day begins. What a ramp earned on the
days before is judged once, when its next day is opened, under the ramp's lock: of two workers that ask at once the
second finds the day open. A day that is not open allows nothing.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, LiteralString
from zoneinfo import ZoneInfo

import orjson
from django.db import transaction

from reputation import ramps, sql
from reputation.hours import EVERY_DAY, Hours, Window, day_of
from reputation.ramps import Day, Move, Steps, Turn

logger = logging.getLogger(__name__)

# Of what transactional streams share with others (source address, organisation), so much is kept for them.
KEPT_SHARE: Final = 0.1
# Days of history that a judgement may look at: a ramp idle for a month steps down.
HISTORY: Final = 35
SHARED_ZONE: Final = ZoneInfo("UTC")
STORY: Final = {
    Turn.ADVANCE: "advanced",
    Turn.HOLD: "held",
    Turn.STEP_DOWN: "stepped_down",
    Turn.IDLE: "idle",
    Turn.STAY: "settled",
}

FIND_RAMP: Final[LiteralString] = """
SELECT id FROM reputation_ramp WHERE kind = %(kind)s AND key = %(key)s AND provider = %(provider)s
"""

# Two first sights at once: one makes it, the other finds it.
BEGIN_RAMP: Final[LiteralString] = """
INSERT INTO reputation_ramp (kind, key, provider, stepped_at)
VALUES (%(kind)s, %(key)s, %(provider)s, ao_now()) ON CONFLICT DO NOTHING
"""

# Ramps of sending domains with mail behind them and no day opened for it. Asked after every claim.
UNOPENED: Final[LiteralString] = """
SELECT id FROM reputation_ramp WHERE opens_at <= ao_now() AND (purse_until IS NULL OR purse_until <= ao_now())
ORDER BY opens_at LIMIT 20
"""

PLACE: Final[LiteralString] = """
SELECT r.id, r.provider, ao_now() AS now, r.purse_until, d.name AS domain, d.preset, d.own_steps, d.target,
       s.kind = 'transactional' AS whole, s.time_zone, s.opens_hour, s.closes_hour, s.sending_days,
       host(t.source_address) AS source, t.preset AS source_preset, t.own_steps AS source_own_steps,
       t.target AS source_target, o.name AS organisation, o.preset AS organisation_preset,
       o.own_steps AS organisation_own_steps, o.target AS organisation_target,
       EXISTS (SELECT FROM reputation_sendingdomain AS x JOIN reputation_stream AS y ON y.id = x.stream_id
               WHERE x.organisation_id = o.id AND y.kind = 'transactional' AND x.state <> 'retired'
       ) AS shared_organisation,
       EXISTS (SELECT FROM reputation_sendingdomain AS x JOIN reputation_stream AS y ON y.id = x.stream_id
               WHERE x.route_id = t.id AND y.kind = 'transactional' AND x.state <> 'retired') AS shared_source
FROM reputation_ramp AS r
JOIN reputation_sendingdomain AS d ON d.name = r.key
JOIN reputation_stream AS s ON s.id = d.stream_id
JOIN reputation_route AS t ON t.id = d.route_id
JOIN reputation_organisationaldomain AS o ON o.id = d.organisation_id
WHERE r.id = %s AND r.kind = 'domain'
"""

LOCK_RAMPS: Final[LiteralString] = """
SELECT id, step, stepped_at, holding FROM reputation_ramp WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
"""

THE_DAY: Final[LiteralString] = (
    "SELECT id FROM reputation_allowance WHERE ramp_id = %(ramp)s AND day = %(day)s"
)

PAST_DAYS: Final[LiteralString] = """
SELECT day, step, used, accepted, bounced, slowed, refused, complained FROM reputation_allowance
WHERE ramp_id = %(ramp)s AND day < %(day)s AND day >= %(since)s ORDER BY day
"""

OPEN_DAY: Final[LiteralString] = """
INSERT INTO reputation_allowance (ramp_id, day, opens_at, closes_at, step, cap, kept)
VALUES (%(ramp)s, %(day)s, %(opens_at)s, %(closes_at)s, %(step)s, %(cap)s, %(kept)s) RETURNING id
"""

STEP: Final[LiteralString] = """
UPDATE reputation_ramp SET step = %(step)s, judged_at = ao_now(), holding = %(holding)s,
    stepped_at = CASE WHEN step = %(step)s THEN stepped_at ELSE %(at)s END
WHERE id = %(ramp)s
"""

TELL: Final[LiteralString] = """
INSERT INTO reputation_rampevent (ramp_id, at, kind, step, cap, why, evidence)
VALUES (%(ramp)s, ao_now(), %(kind)s, %(step)s, %(cap)s, %(why)s, %(evidence)s::jsonb)
"""

FILL_PURSE: Final[LiteralString] = """
WITH made AS (
    INSERT INTO reputation_purse (ramp_id, day, of_domain_id, of_source_id, of_organisation_id)
    VALUES (%(ramp)s, %(day)s, %(domain)s, %(source)s, %(organisation)s)
    ON CONFLICT (ramp_id, of_domain_id, of_source_id, of_organisation_id) DO UPDATE SET day = excluded.day
    RETURNING id
)
UPDATE reputation_ramp SET purse_id = made.id, purse_until = %(until)s FROM made WHERE reputation_ramp.id = %(ramp)s
"""

# What the day let pass by was counted against another cap.
FOLLOW: Final[LiteralString] = """
UPDATE reputation_allowance SET step = %(step)s, cap = greatest(%(cap)s, taken), lapsed = 0
WHERE ramp_id = %(ramp)s AND day = %(day)s
"""

REST: Final[LiteralString] = """
UPDATE reputation_ramp SET purse_id = NULL, purse_until = %(until)s WHERE id = %(ramp)s
"""


PUT_OFF: Final[LiteralString] = (
    "UPDATE reputation_ramp SET opens_at = ao_now() + interval '1 minute' WHERE id = %s"
)


Story = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Draw:
    """One of the three that a sending domain's mail draws on: whose ramp, and how it warms up."""

    kind: str
    key: str
    preset: str
    own_steps: Sequence[int]
    target: int
    shared: bool  # with a transactional stream, for which some is kept


def ramp_of(key: str, provider: str, kind: str = "domain") -> int:
    """The ramp of a sending domain (or of another kind of thing that warms up) towards a provider."""
    place = {"kind": kind, "key": key, "provider": provider}
    row = sql.one(FIND_RAMP, place)
    if row is None:
        sql.count(BEGIN_RAMP, place)
        row = sql.one(FIND_RAMP, place)
    found: int = row.id
    return found


def open_days(ramp_ids: Sequence[int]) -> int:
    """Begin today for these sending domains' ramps; how many there was a day to begin for."""
    return sum(_opened(ramp) for ramp in ramp_ids)


def move(ramp: int, choose: Callable[[Steps, int], int], *, kind: str, why: str, note: Story) -> int | None:
    """Put a sending domain's ramp on the step that ``choose`` picks from its steps and the present one, today too.

    Today's cap never falls below what is taken. The answer is the step it was on; None where it stays.
    """
    with transaction.atomic():
        [state] = sql.rows(LOCK_RAMPS, [[ramp]])
        place = sql.one(PLACE, [ramp])
        ladder = _ladder(place, _draws(place)[0])
        step = choose(ladder, state.step)
        if step == state.step:
            return None
        cap = ladder.cap(step)
        sql.count(STEP, {"ramp": ramp, "step": step, "holding": state.holding, "at": place.now})
        sql.count(FOLLOW, {"ramp": ramp, "step": step, "cap": cap, "day": _day(place)})
        words = {"why": why, "evidence": orjson.dumps({**note, "from": state.step}).decode()}
        sql.count(TELL, {"ramp": ramp, "kind": kind, "step": step, "cap": cap, **words})
    return int(state.step)


def _opened(ramp: int) -> bool:
    """One domain with settings that cannot be read waits, and says so; it holds nobody else up."""
    try:
        return _open_day(ramp)
    except (ValueError, LookupError):
        logger.exception("ramp %s: today cannot begin; look at its stream's hours and its steps", ramp)
        sql.count(PUT_OFF, [ramp])
        return False


def _open_day(ramp: int) -> bool:
    place = sql.one(PLACE, [ramp])
    if place is None:
        return False
    draws = {_ramp_id(ramp, draw, place.provider): draw for draw in _draws(place)}
    with transaction.atomic():
        states = {row.id: row for row in sql.rows(LOCK_RAMPS, [list(draws)])}
        place = sql.one(PLACE, [ramp])
        if place is None or (place.purse_until and place.purse_until > place.now):
            return False
        window = _hours(place).window(_day(place))
        if window is None:
            sql.count(REST, {"ramp": ramp, "until": _end_of_day(place)})
        else:
            drawn = {draw.kind: _allowance(place, states[key], draw, window) for key, draw in draws.items()}
            until = min(_end_of_day(place), _end_of_shared_day(place.now))
            sql.count(FILL_PURSE, {"ramp": ramp, "day": window.day, "until": until, "source": None, **drawn})
    return True


def _draws(place: sql.Row) -> list[_Draw]:
    domain = _Draw("domain", place.domain, place.preset, place.own_steps, place.target, False)
    organisation = _Draw(
        "organisation",
        place.organisation,
        place.organisation_preset,
        place.organisation_own_steps,
        place.organisation_target,
        place.shared_organisation,
    )
    if not place.source:
        return [domain, organisation]
    source = _Draw(
        "source",
        place.source,
        place.source_preset,
        place.source_own_steps,
        place.source_target,
        place.shared_source,
    )
    return [domain, source, organisation]


def _ramp_id(ramp: int, draw: _Draw, provider: str) -> int:
    return ramp if draw.kind == "domain" else ramp_of(draw.key, provider, draw.kind)


def _hours(place: sql.Row) -> Hours:
    """The sending hours of the domain's stream; transactional mail has all hours of all days."""
    zone = ZoneInfo(place.time_zone)
    if place.whole:
        return Hours(zone, 0, 24, EVERY_DAY)
    return Hours(zone, place.opens_hour, place.closes_hour, frozenset(place.sending_days))


def _day(place: sql.Row) -> date:
    return day_of(place.now, ZoneInfo(place.time_zone))


def _end_of_day(place: sql.Row) -> datetime:
    zone = ZoneInfo(place.time_zone)
    return datetime.combine(_day(place) + timedelta(days=1), time(), zone).astimezone(UTC)


def _end_of_shared_day(now: datetime) -> datetime:
    """The days of what several domains share are UTC's."""
    return datetime.combine(day_of(now, SHARED_ZONE) + timedelta(days=1), time(), UTC)


def _allowance(place: sql.Row, state: sql.Row, draw: _Draw, window: Window) -> int:
    """The ramp's allowance of today; if there is none yet, what the ramp earned until now is judged first."""
    own = draw.kind == "domain"
    day = window.day if own else day_of(place.now, SHARED_ZONE)
    if found := sql.one(THE_DAY, {"ramp": state.id, "day": day}):
        return int(found.id)
    ladder = _ladder(place, draw)
    zone = ZoneInfo(place.time_zone) if own else SHARED_ZONE
    began = window.opens_at if own else datetime.combine(day, time(), UTC)
    step = _judged(state, ladder, day, began, zone)
    cap = ladder.cap(step)
    fields = {
        "ramp": state.id,
        "day": day,
        "opens_at": window.opens_at,
        "closes_at": window.closes_at,
        "step": step,
        "cap": cap,
        "kept": int(cap * KEPT_SHARE) if cap and draw.shared and not place.whole else 0,
    }
    return int(sql.one(OPEN_DAY, fields).id)


def _ladder(place: sql.Row, draw: _Draw) -> Steps:
    share = ramps.share(place.provider)
    return ramps.steps(draw.preset, draw.own_steps, draw.target, share, _hours(place).length)


def _judged(state: sql.Row, ladder: Steps, day: date, began: datetime, zone: ZoneInfo) -> int:
    """The step which the days before have earned; the story is told where it moved, or begins to be held.

    As of the instant the day began, whenever its first mail asks: a step taken then has lasted whole days at the next
    judgement, not some seconds less.
    """
    since = day - timedelta(days=HISTORY)
    history = [Day(*row) for row in sql.rows(PAST_DAYS, {"ramp": state.id, "day": day, "since": since})]
    move = ramps.judge(history, state.step, state.stepped_at, began, zone, ladder)
    holding = move.turn is Turn.HOLD
    sql.count(STEP, {"ramp": state.id, "step": move.step, "holding": holding, "at": began})
    if move.step != state.step or (holding and not state.holding):
        _tell(state.id, move, ladder)
    return move.step


def _tell(ramp: int, move: Move, ladder: Steps) -> None:
    fields = {
        "ramp": ramp,
        "kind": STORY[move.turn],
        "step": move.step,
        "cap": ladder.cap(move.step),
        "why": move.why,
        "evidence": orjson.dumps(move.evidence).decode(),
    }
    sql.count(TELL, fields)
    logger.info("ramp %s %s to step %s: %s", ramp, STORY[move.turn], move.step, move.why)
