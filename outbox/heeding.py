"""What a reply says beyond its own delivery: whose speed it shapes, and whose trial it ends well.

Only what the recipients' own servers say on our own connection is heard: a relay speaks for itself, and a report that
comes by mail may be anybody's. The provider is the one whose host spoke, not the one the lane was taken for, so nobody
speaks in another's name. A reply about a source address that is not pinned falls on the sending domain.

Pure: the worker knows which deliveries went straight to their recipients' servers, and passes on what was heard.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from outbox.outcomes import Phase, Reply, interpret
from outbox.reasons import Reason
from outbox.refusals import classify
from reputation import blocklists, wording
from reputation.alignment import by_list
from reputation.blocklists import Subject, Suspicion
from reputation.providers import OTHER, family
from reputation.shaping import Accusation, Place, Strike, react
from reputation.shaping_rows import Scope

_OF_THE_RECIPIENT: Final = frozenset({Phase.RCPT, Phase.REPLIED})
_GONE: Final = frozenset({Reason.UNKNOWN_RECIPIENT, Reason.MOVED})

# Reasons that complain about how fast we are, whatever the words.
OF_RATE: Final = frozenset({"rate_limited", "blocked_temporarily"})


def heard(
    domain: str, source: str, provider: str, reply: Reply, unsettled: Mapping[Place, int]
) -> list[Strike | int]:
    """Strikes against ramps, and the ids of ``unsettled`` ramps (valve not open) from which a delivery was taken.

    ``domain`` is the sending domain, ``source`` the pinned source address or nothing; ``provider`` is the lane's, on
    whose ramps the delivery was claimed.
    """
    if reply.code is None:
        return []
    if reply.code >= 400:
        return _strikes(domain, source, reply, reply.code)
    if not unsettled or reply.phase is not Phase.REPLIED or reply.fault is not None:
        return []
    places = dict.fromkeys(_place(domain, source, scope, provider) for scope in Scope)
    return [unsettled[place] for place in places if place in unsettled]


class Lost(StrEnum):
    """How a mailbox was lost: there is none for good, or it was too full until its message ended."""

    GONE = "gone"
    FULL = "full"


def lost(reply: Reply) -> Lost | None:
    """What a final refusal says of the mailbox itself; most refusals say nothing of it.

    Only what is said to the recipient's own RCPT or after the dot counts, and a code that only looks like an unknown
    user does not: whoever is called gone is mailed by no stream.
    """
    if reply.code is None or reply.code < 500 or reply.phase not in _OF_THE_RECIPIENT:
        return None
    said = classify(reply.code, reply.enhanced, reply.text)
    if said.reason in _GONE:
        return Lost.GONE
    return Lost.FULL if said.code == "mailbox_full" else None


# X.7.n by which receivers say what they think of our mail: it does not authenticate, or it is unwanted.
ACCUSATIONS: Final = {**dict.fromkeys((26, 27, 30, 32, 515), "authentication"), 28: "unsolicited"}


def accused(domain: str, source: str, recipient: str, reply: Reply) -> Accusation | None:
    """What a refusal for good says against us; most say nothing of the kind.

    The word of a named family counts for what it names: the pinned ``source``, or ``domain`` at that family. Anybody
    else is one witness, against the domain itself, or against the source if it stands in the reply.
    """
    if reply.code is None or reply.code < 500:
        return None
    family_ = family(reply.host) if reply.host else OTHER
    said = f"{reply.code} {reply.text}"
    status = wording.status(reply.enhanced, reply.text)
    rule = ACCUSATIONS.get(status[2], "") if status is not None and status[1] == 7 else ""
    reaction = react(reply.code, reply.enhanced, reply.text, family_)
    if reaction is not None and reaction.trip:
        named = reaction.scope is Scope.SOURCE and source
        scope = f"source:{source}" if named else f"domain_provider:{domain}/{family_}"
        return Accusation(scope, rule or "unsolicited", said, family_)
    if not rule or "gcdp" in wording.words(reply.text):  # Google says: a rule of the customer's own
        return None
    scope = f"source:{source}" if source and source in reply.text else f"domain:{domain}"
    return Accusation(scope, rule, said, "", by_list(recipient.rpartition("@")[2]))


# A text that says so of the receiver's own look-up (an open resolver, too many queries) has another reason.
_OF_A_LIST: Final = frozenset({Reason.BLOCK_LIST, Reason.CONTENT})


def listed(domain: str, source: str, addresses: Iterable[str], reply: Reply) -> list[Suspicion]:
    """Which block lists a refusal names, and what of ours would be on them; nothing of it is proven.

    ``addresses`` are those we send from where none is pinned; if the reply names some of them, it means those. What
    is said of an address closes the pinned ``source``, or the ``domain`` that sends from it.
    """
    if reply.code is None or reply.code < 400 or not reply.host:
        return []
    if classify(reply.code, reply.enhanced, reply.text).reason not in _OF_A_LIST:
        return []
    ours = [source] if source else list(addresses)
    subjects = {
        Subject.ADDRESS: [one for one in ours if one in reply.text] or ours,
        Subject.DOMAIN: [domain],
    }
    scopes = {Subject.ADDRESS: f"source:{source}" if source else "", Subject.DOMAIN: ""}
    said = f"{reply.code} {reply.text}"
    return [
        Suspicion(one, subject, scopes[one.subject] or f"domain:{domain}", said)
        for one in blocklists.named(wording.words(reply.text))
        for subject in subjects[one.subject]
    ]


def _strikes(domain: str, source: str, reply: Reply, code: int) -> list[Strike | int]:
    speaker = family(reply.host) if reply.host else OTHER
    of_rate = interpret(reply, relay=False).code in OF_RATE
    reaction = react(code, reply.enhanced, reply.text, speaker, of_rate=of_rate)
    if reaction is None:
        return []
    return [Strike(_place(domain, source, reaction.scope, speaker), reaction, f"{code} {reply.text}")]


def _place(domain: str, source: str, scope: Scope, provider: str) -> Place:
    if scope is Scope.SOURCE and source:
        return Place("source", source, provider)
    return Place("domain", domain, provider)
