"""Whether our signatures hold for whoever looks into the DNS: a worker checks one of its own now and then.

One message per key and ``AGAIN_AFTER``, the bytes that go on the wire. Guarantees: a failure is told only if a key
stands in the DNS and our signature does not hold by it, asked twice, the second time anew and of the second name
servers. No answer, no record and a revoked key (an empty ``p=``) prove nothing: those are the domain's checks and the
rotation's. Refuses to close anything for an Ed25519 signature: RSA stands beside it, and is what receivers check.
"""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from reputation import signing
from reputation.resolver import Answer, Asks
from reputation.rules import Strength, Verdict
from reputation.signing import Algorithm, Signer

logger = logging.getLogger(__name__)

RULE: Final = "dkim_self_check"
AGAIN_AFTER: Final = 300.0  # seconds
LARGEST: Final = 256 * 1024  # octets of a message worth hashing again
REMEMBERED_KEYS: Final = 10_000

_KEY: Final = re.compile(r"(?:^|;)\s*p\s*=\s*[^;\s]")


class SelfChecks:
    """What was checked lately, in one worker process."""

    def __init__(self, first: Asks, second: Asks, clock: Callable[[], float] = time.monotonic) -> None:
        self._first = first
        self._second = second
        self._clock = clock
        self._next: dict[tuple[str, str], float] = {}

    def due(self, signers: Collection[Signer], size: int) -> list[Signer]:
        """Those of a message's signers whose turn it is; they are taken to be checked now."""
        now = self._clock()
        late = [one for one in signers if self._next.get((one.domain, one.selector), now) <= now]
        if not late or size > LARGEST:
            return []
        if len(self._next) > REMEMBERED_KEYS:
            self._next.clear()
        self._next |= {(one.domain, one.selector): now + AGAIN_AFTER for one in late}
        return late

    async def failed(self, raw: bytes, signer: Signer) -> Verdict | None:
        """The verdict if a signed message does not hold by the key that the DNS shows; None if it does or may."""
        if await self._fails(raw, signer, self._first.records) is None:
            return None
        shown = await self._fails(raw, signer, self._second.fresh)
        if shown is None:
            return None
        if signer.algorithm is not Algorithm.RSA:
            logger.error("our signature does not hold by the key at %s", _place(signer))
            return None
        return _verdict(signer, shown)

    async def _fails(
        self, raw: bytes, signer: Signer, ask: Callable[[str, str], Awaitable[Answer]]
    ) -> list[str] | None:
        """The keys that the DNS shows, if there are any and the signature holds by none of them."""
        answer = await ask(_place(signer), "TXT")
        keys = [record for record in answer.records if _KEY.search(record)]
        if answer.problem is not None or not keys:
            return None
        return None if await asyncio.to_thread(_holds, raw, signer, keys) else keys


def _place(signer: Signer) -> str:
    return f"{signer.selector}._domainkey.{signer.domain}"


def _holds(raw: bytes, signer: Signer, keys: Collection[str]) -> bool:
    return any(signing.holds(raw, signer, key) for key in keys)


def _verdict(signer: Signer, shown: list[str]) -> Verdict:
    why = (
        f"Our own signature of {signer.domain} does not hold by the key that the DNS shows at {_place(signer)}, asked "
        "twice: receivers see mail that is not authentic."
    )
    told = {
        "test": RULE,
        "question": f"{_place(signer)} TXT",
        "answer": shown,
        "expected": signer.public_record,
        "asked": 2,
    }
    return Verdict(f"domain:{signer.domain}", RULE, Strength.AT_ONCE, why, told)
