"""Whether we are on the block list that a receiver named: asked by ourselves, before anything is believed.

Guarantees: a listing is confirmed only by an answer that the list itself calls one, while it does not list what no list
may; each list is asked about the same address or domain once in ten minutes at most, whatever receivers say. No answer
(time-out, SERVFAIL, an error code) proves nothing. Nothing here closes anything: what is proven is a verdict.
"""

import time
from collections.abc import Callable
from typing import Final

from reputation.blocklists import BlockList, Suspicion, control, listing, question
from reputation.resolver import Answer, Asks, Problem
from reputation.rules import Strength, Verdict

RULE: Final = "block_list"
AGAIN_AFTER: Final = 600.0  # seconds
REPLY_LENGTH: Final = 500


class Listings:
    """What was asked lately, of one worker process."""

    def __init__(self, resolver: Asks, clock: Callable[[], float] = time.monotonic) -> None:
        self._resolver = resolver
        self._clock = clock
        self._asked: dict[tuple[str, str], float] = {}  # bounded: lists we know times names we send under

    async def confirmed(self, suspicion: Suspicion) -> Verdict | None:
        """The verdict if the list says so to us too; None if it does not, does not answer, or was asked just now."""
        place, now = (suspicion.blocklist.zone, suspicion.subject), self._clock()
        if now < self._asked.get(place, now):
            return None
        self._asked[place] = now + AGAIN_AFTER
        answer = await self._resolver.records(question(suspicion.blocklist, suspicion.subject), "A")
        found = listing(suspicion.blocklist, answer.records)
        if not found or not await self._works(suspicion.blocklist):
            return None
        return _verdict(suspicion, answer, found)

    async def _works(self, asked: BlockList) -> bool:
        """Whether it is known not to list everything: a zone that was given up may."""
        answer = await self._resolver.records(control(asked), "A")
        return answer.problem is not Problem.TEMPORARY and not answer.records


def _verdict(suspicion: Suspicion, answer: Answer, found: str) -> Verdict:
    reply, zone = suspicion.reply[:REPLY_LENGTH], suspicion.blocklist.zone
    why = f"{suspicion.subject} is on {zone} ({found}), by our own look-up; a receiver refused us for it: {reply}"
    told = {
        "test": RULE,
        "list": zone,
        "subject": suspicion.subject,
        "question": f"{answer.name} A",
        "answer": list(answer.records),
        "meaning": found,
        "control": f"{control(suspicion.blocklist)} A: none",
        "reply": reply,
    }
    return Verdict(suspicion.scope, RULE, Strength.AT_ONCE, why, told)
