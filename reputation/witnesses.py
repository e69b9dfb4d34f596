"""What receivers say of us, for good and on our own connection: hard evidence, which needs no statistics.

A named provider family is believed at once. Anybody else may be wrong, or want us stopped: a witness is written down,
and believed when three organisations say the same within an hour. Guarantees: one judgement, however many connections
hear it at the same time; nobody is asked to close what is closed. Whatever came by mail is no witness: forwarders break
authentication, and any host could write such a report. What we looked up ourselves needs no witness (``prove``).
"""

from typing import Final, LiteralString

from django.db import transaction

from reputation import judging, sql
from reputation.rules import Strength, Verdict
from reputation.shaping import Accusation

ENOUGH: Final = 3  # organisations
WITHIN: Final = "1 hour"
REPLY_LENGTH: Final = 500

TESTIFY: Final[LiteralString] = """
INSERT INTO reputation_witness (scope, reason, organisation, at, reply)
VALUES (%(scope)s, %(rule)s, %(organisation)s, ao_now(), %(reply)s)
ON CONFLICT (scope, reason, organisation) DO UPDATE SET at = excluded.at, reply = excluded.reply
"""

WHO: Final[LiteralString] = """
SELECT organisation FROM reputation_witness
WHERE scope = %(scope)s AND reason = %(rule)s AND at > ao_now() - %(within)s::interval ORDER BY at
"""

SPOKEN_FOR: Final[LiteralString] = """
SELECT EXISTS (SELECT FROM reputation_openstop WHERE scope = %(scope)s)
    OR EXISTS (SELECT FROM reputation_judgement
               WHERE strength IN ('strong', 'at_once') AND epoch IS NULL AND scope = %(scope)s) AS found
"""


def hear(said: Accusation) -> bool:
    """Write an accusation down; whether it is believed by now, and ``judging.judge`` will act on it.

    Raises:
        django.db.Error: nothing was written; the next refusal will say it again.
    """
    fields = {"scope": said.scope, "rule": said.rule, "organisation": said.organisation, "within": WITHIN}
    with transaction.atomic(durable=True):
        sql.count(judging.LIMIT_IDLE)
        sql.rows(judging.ONE_AT_A_TIME)
        if said.organisation:
            sql.count(TESTIFY, fields | {"reply": said.reply[:REPLY_LENGTH]})
        witnesses = (
            [row.organisation for row in sql.rows(WHO, fields)] if said.organisation else [said.family]
        )
        if sql.one(SPOKEN_FOR, fields).found or (said.organisation and len(witnesses) < ENOUGH):
            return False
        judging.conclude([_verdict(said, witnesses)])
    return True


def prove(verdict: Verdict) -> bool:
    """Write down what we have seen ourselves; whether it is new, and ``judging.judge`` will act on it.

    Raises:
        django.db.Error: nothing was written.
    """
    with transaction.atomic(durable=True):
        sql.count(judging.LIMIT_IDLE)
        sql.rows(judging.ONE_AT_A_TIME)
        if sql.one(SPOKEN_FOR, {"scope": verdict.scope}).found:
            return False
        judging.conclude([verdict])
    return True


def _verdict(said: Accusation, witnesses: list[str]) -> Verdict:
    who = said.family or f"{len(witnesses)} organisations within an hour ({', '.join(witnesses)})"
    reply = said.reply[:REPLY_LENGTH]
    told = {"witnesses": witnesses, "needed": ENOUGH if said.organisation else 1, "reply": reply}
    return Verdict(said.scope, said.rule, Strength.AT_ONCE, f"{who} refused our mail for good: {reply}", told)
