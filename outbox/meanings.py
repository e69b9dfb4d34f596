"""What a server's reply means for whoever was woken: why it refused, for how long, who is at fault, and what to do now.

Every reason of the closed list that a refusal can have has its advice; what providers ask for is in their own pages
(Google's sender guidelines of 2026-03, Yahoo's codes of 2026-02, Microsoft's policies of 2026-06). Pure.
"""

from collections.abc import Mapping
from typing import Final

from outbox import refusals
from outbox.reasons import Reason

FOR_NOW: Final = 400
FOR_GOOD: Final = 500

BLAMED: Final[Mapping[str, str]] = {"recipient": "About them, not about us.", "infrastructure": "About us."}

ADVICE: Final[Mapping[Reason, str]] = {
    Reason.UNKNOWN_RECIPIENT: "A few are normal; many at once are a bad list: stop the run that sends to it.",
    Reason.UNKNOWN_DOMAIN: "A few are normal; many at once are a bad list: stop the run that sends to it.",
    Reason.TAKES_NO_MAIL: "A few are normal; many at once are a bad list: stop the run that sends to it.",
    Reason.INACTIVE: "Old addresses: they are suppressed by themselves. Ask the owner where the list is from.",
    Reason.MOVED: "Ask the owner for the new addresses.",
    Reason.MAILBOX_FULL: "Nothing to do.",
    Reason.TOO_BIG: "The agent has to send less: tell its owner.",
    Reason.CONTENT: "What it says is taken for spam. Stop the agent, read its samples, call its owner.",
    Reason.POLICY: "A rule of theirs. Read the reply; if it names content or complaints, stop the agent.",
    Reason.FILTERED: "A filter says so and not the mailbox: look for complaints, and send less to this provider.",
    Reason.PROTOCOL: "A defect in how it was said, of ours or theirs. Keep the reply for engineers.",
    Reason.RATE: "Too much too fast. Stop the domain or stream towards this provider; going on makes it a block.",
    Reason.BLOCK_LIST: "Stop what sends from this address or domain, then look it up at the list named.",
    Reason.AUTHENTICATION: "Stop the stream now: SPF, DKIM or DMARC fails. Its domain's page says which record.",
    Reason.PTR: "Our address has no matching reverse DNS. Stop the route until it has.",
    Reason.TLS: "The line was not safe enough for them. Check the route's TLS; stop the route if all of it fails.",
    Reason.DNS: "A look-up failed, which may pass. Nothing to do unless it lasts.",
    Reason.NETWORK: "Nobody answered, which may pass. If all providers say so, look at port 25.",
    Reason.SYSTEM: "It is tried again by itself.",
    Reason.EXPIRED: "A later server gave up. Nothing to do.",
    Reason.UNKNOWN: "It says no more than this. Read the reply; if many say it, stop the stream and ask the provider.",
}

# Codes that say more than their reason does.
ADVICE_BY_CODE: Final[Mapping[str, str]] = {
    "greylisted": "Normal with strangers: it is tried again by itself.",
    "recipient_busy": "One mailbox gets too much, from whomever: it is tried again by itself.",
}


def meaning(reply_code: int | None, reply: str) -> str:
    """A refusal in words with what to do about it; nothing of an acceptance."""
    if reply_code is None or reply_code < FOR_NOW:
        return ""
    told = refusals.classify(reply_code, None, reply)
    again = "For good" if reply_code >= FOR_GOOD else "For now"
    advice = ADVICE_BY_CODE.get(told.code) or ADVICE.get(told.reason, "")
    sentences = (f"{again}: {told.why}.", BLAMED.get(told.about, ""), advice)
    return " ".join(filter(None, sentences))
