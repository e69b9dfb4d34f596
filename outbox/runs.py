"""Runs and lanes come to exist here: a run at first sight, with its parent fixed; a lane when mail first needs it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, LiteralString

from outbox.facts import KnownRun, Place
from outbox.keys import Caller
from outbox.payloads import Draft
from outbox.problems import Problem, reading
from reputation import allowance, sql
from reputation.killswitch import scope_of

MAX_DEPTH: Final = 8
TOO_DEEP: Final = "Post in the parent run itself, or name a parent that is less deep."

# A concurrent first sight wins or loses on the unique name; both then read the same row.
OPEN_RUN: Final[LiteralString] = """
INSERT INTO outbox_run (agent_id, name, parent_id, lineage, on_behalf_of, purpose)
VALUES (%(agent)s, %(name)s, %(parent)s, %(lineage)s, %(on_behalf_of)s, %(purpose)s)
ON CONFLICT (agent_id, name) DO NOTHING
"""

OPEN_LANE: Final[LiteralString] = """
INSERT INTO outbox_lane (stream_id, domain_id, provider, agent_id, run_id, ramp_id, scopes, tier, state, wake_at)
VALUES (%(stream)s, %(domain)s, %(provider)s, %(agent)s, %(run)s, %(ramp)s, %(scopes)s, %(tier)s, 'awake', ao_now())
ON CONFLICT (run_id, provider, domain_id, stream_id, agent_id) DO UPDATE SET provider = excluded.provider
RETURNING id
"""


def name_of(draft: Draft, place: Place) -> str:
    """The run a draft belongs to: the one it names, or the agent's implicit run of the UTC day."""
    return draft.run_id or f"day-{place.now:%Y-%m-%d}"


def lineage_of(draft: Draft, place: Place, known: Mapping[str, KnownRun]) -> tuple[str, ...]:
    """The names from the root of a draft's tree down to its run, which may not have been seen before."""
    name = name_of(draft, place)
    if name in known:
        return known[name].lineage
    above = known.get(draft.parent_run_id) if draft.parent_run_id else None
    return (*(above.lineage if above else ()), name)


def principal_of(draft: Draft) -> str:
    """On whose behalf the run is that a draft opens. The day's implicit one is nobody's: all mail would be theirs."""
    return draft.on_behalf_of if draft.run_id else ""


def check_parent(draft: Draft, known: dict[str, KnownRun]) -> Problem | None:
    """Why a draft's place in the tree of runs cannot be had, if it cannot."""
    wanted = draft.parent_run_id
    run = known.get(draft.run_id) if draft.run_id else None
    if run is not None:
        if wanted is None or wanted == run.parent:
            return None
        seen = reading("run_parent_conflict", f"/v1/runs/{run.name}")
        return Problem(
            "run_parent_conflict", f"Run {run.name} was first seen with another parent.", remedy=seen
        )
    if wanted is None:
        return None
    parent = known.get(wanted)
    if parent is None:
        return Problem(
            "run_parent_unknown", f"No run {wanted} of yours is known; post its own message first."
        )
    if len(parent.lineage) >= MAX_DEPTH:
        return Problem("run_parent_unknown", f"Runs nest at most {MAX_DEPTH} deep.", remedy=(TOO_DEEP,))
    return None


def open_run(draft: Draft, name: str, caller: Caller, known: dict[str, KnownRun]) -> bool:
    """See a run for the first time: its parent, principal and purpose are what this draft says.

    False if somebody else has seen it meanwhile: it is what their draft said.
    """
    parent = known.get(draft.parent_run_id) if draft.parent_run_id else None
    fields = {
        "agent": caller.agent_id,
        "name": name,
        "parent": parent.id if parent else None,
        "lineage": [*(parent.lineage if parent else ()), name],
        "on_behalf_of": principal_of(draft),
        "purpose": draft.purpose,
    }
    return sql.count(OPEN_RUN, fields) == 1


def open_lanes(run: KnownRun, providers: Iterable[str], caller: Caller, place: Place) -> KnownRun:
    """The run with a lane for each of these providers."""
    lanes = dict(run.lanes)
    for provider in sorted(set(providers) - set(lanes)):
        fields = {
            "stream": caller.stream_id,
            "domain": place.domain_id,
            "provider": provider,
            "agent": caller.agent_id,
            "run": run.id,
            "ramp": allowance.ramp_of(place.domain or "", provider),
            "scopes": [
                *base_scopes(caller, place),
                *run_scopes(caller, run.lineage),
                *_towards(place, provider),
            ],
            "tier": 0 if place.stream_kind == "transactional" else 1,
        }
        lanes[provider] = sql.rows(OPEN_LANE, fields)[0].id
    return replace(run, lanes=lanes)


def base_scopes(caller: Caller, place: Place) -> list[str]:
    """The scopes that every message of this agent is in."""
    scopes = ["all", scope_of("stream", caller.stream), scope_of("agent", caller.agent)]
    if place.stream_kind != "transactional":
        scopes.append("agents")
    if place.domain and place.route:
        scopes += [scope_of("domain", place.domain), scope_of("route", place.route)]
    if place.source:
        scopes.append(scope_of("source", place.source))
    return scopes


def run_scopes(caller: Caller, lineage: Sequence[str]) -> list[str]:
    """The scopes of a run and of every run above it: a stop covers descendants."""
    return [scope_of("run", f"{caller.agent}/{name}") for name in lineage]


def _towards(place: Place, provider: str) -> list[str]:
    return [scope_of("provider", provider), scope_of("domain_provider", f"{place.domain}/{provider}")]
