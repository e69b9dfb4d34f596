"""The agents' door to their runs, and to the switch: look at a run's tree, cancel it, stop oneself.

An agent may trip its own agent or runs, an operator's key any scope that exists; nobody resumes here. A trip through
this door is the same trip as any other: once it is answered, no dot in its scope can be cleared.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from ninja import Router

from outbox import budgets, lineage, payloads, runs
from outbox.door import (
    Bearer,
    Operator,
    body_of_request,
    budgets_for,
    caller_of,
    json_answer,
    nothing_of_request,
)
from outbox.fields import BudgetIn, NothingIn, StopIn
from outbox.keys import Caller
from outbox.limits import WINDOWS, Budget, Kind, Load, shown
from outbox.lineage import Member
from outbox.openapi import Run, Tripped, described
from outbox.problems import instant, refused
from outbox.scopes import NoSuchScope, named
from reputation import killswitch
from reputation.killswitch import UnknownScope

RUN_NAME: Final = re.compile(r"[A-Za-z0-9._:\-]{1,128}")

router = Router()
READ, SEND = Bearer("read"), Bearer("send")


@router.get("/runs/{run_id}", auth=READ, tags=["runs"], summary="Read a run", openapi_extra=described(Run))
def read_run(request: HttpRequest, run_id: str) -> HttpResponse:
    """A run with everything below it, and what became of their mail."""
    return json_answer(_body(request, _owned(request, run_id)))


@router.post(
    "/runs/{run_id}/cancel",
    auth=SEND,
    tags=["runs"],
    summary="Cancel a run",
    openapi_extra=described(Run, NothingIn),
)
def cancel_run(request: HttpRequest, run_id: str) -> HttpResponse:
    """Cancels what is not yet cleared, of the run and of all below it; they send nothing more. Again: the same."""
    members = _owned(request, run_id)
    nothing_of_request(request)
    lineage.cancel(members, f"agent:{caller_of(request).agent}")
    return json_answer(_body(request, _owned(request, run_id)))


@router.post(
    "/runs/{run_id}/budget",
    auth=SEND,
    tags=["runs"],
    summary="Lower a run's budget",
    openapi_extra=described(Run, BudgetIn),
)
def lower_budget(request: HttpRequest, run_id: str) -> HttpResponse:
    """The run and all below it may have so many recipients in all; only ever fewer than before."""
    caller, members = caller_of(request), _owned(request, run_id)
    wanted = payloads.parsed(BudgetIn, body_of_request(request)).recipients
    limits = [budget.limit for budget in _bounds(request, members) if budget.kind is Kind.RUN]
    if not caller.exempt and wanted > min(limits):
        raise payloads.bad_value("/recipients", "A budget can be lowered here; only a person raises it.")
    budgets.lower(members[0].id, wanted)
    return json_answer(_body(request, _owned(request, run_id)))


@router.post(
    "/stop",
    auth=Operator("stop"),
    tags=["agent"],
    summary="Stop oneself",
    openapi_extra=described(Tripped, StopIn) | {"security": [{"Bearer": []}]},  # beside the operator's
)
def stop(request: HttpRequest) -> HttpResponse:
    """Once this is answered, nothing in the scope can leave; only a person opens it again."""
    caller = caller_of(request)
    wanted = payloads.parsed(StopIn, body_of_request(request))
    scope = _operators(wanted) if caller.kind == "operator" else _own(caller, wanted)
    who = f"agent:{caller.agent}" if caller.agent else f"key:{caller.key_id}"
    switched = killswitch.trip(scope, who=who, why=wanted.reason)
    return json_answer({"scope": scope, "epoch": switched.epoch, "tripped_at": instant(switched.at)})


def _own(caller: Caller, wanted: StopIn) -> str:
    if wanted.scope == "agent" and wanted.run_id is not None:
        raise payloads.bad_value("/run_id", "To stop one run, its scope is run.")
    if wanted.scope == "agent" and wanted.key is None:
        return killswitch.scope_of("agent", caller.agent)
    if wanted.scope == "run" and not wanted.key:
        return _own_run(caller, wanted.run_id)
    raise refused("insufficient_scope", "An agent's key stops its own agent or one of its runs.")


def _own_run(caller: Caller, run_id: str | None) -> str:
    if run_id is None:
        raise payloads.missing("/run_id", "Name the run to stop.")
    if not _tree(caller, run_id):
        raise refused("not_found", "There is no such run.")
    return runs.run_scopes(caller, [run_id])[0]


def _operators(wanted: StopIn) -> str:
    try:
        return named(wanted.scope, wanted.key or wanted.run_id or "")
    except NoSuchScope as error:
        raise refused("not_found", str(error)) from None
    except UnknownScope as error:
        raise payloads.bad_value("/scope", str(error)) from None


def _tree(caller: Caller, run_id: str) -> Sequence[Member]:
    """A caller's run and all below it; a name that no run can have is nobody's."""
    return lineage.tree(caller.agent_id, run_id) if RUN_NAME.fullmatch(run_id) else []


def _owned(request: HttpRequest, run_id: str) -> Sequence[Member]:
    members = _tree(caller_of(request), run_id)
    if not members:
        raise refused("not_found", "There is no such run.")
    return members


def _body(request: HttpRequest, members: Sequence[Member]) -> dict[str, Any]:
    caller, first = caller_of(request), members[0]
    return {
        "run_id": first.name,
        "parent_run_id": first.lineage[-2] if len(first.lineage) > 1 else None,
        "root_run_id": first.lineage[0],
        "on_behalf_of": first.on_behalf_of or None,
        "purpose": first.purpose or None,
        "created_at": instant(first.created_at),
        "cancelled_at": instant(first.cancelled_at) if first.cancelled_at else None,
        "counts": dict(_total(members)),
        "descendants": [
            {
                "run_id": member.name,
                "parent_run_id": member.lineage[-2],
                "cancelled_at": instant(member.cancelled_at) if member.cancelled_at else None,
                "counts": dict(member.counts),
            }
            for member in members[1:]
        ],
        "budget": {} if caller.exempt else shown(_bounds(request, members)),
    }


def _bounds(request: HttpRequest, members: Sequence[Member]) -> list[Budget]:
    """The budgets of a run and of those above it; the answer's headers show them too."""
    found = budgets_for(request, Load(members[0].lineage))
    return [each for each in found if each.kind not in WINDOWS]


def _total(members: Sequence[Member]) -> Counter[str]:
    return sum((member.counts for member in members), Counter[str]())
