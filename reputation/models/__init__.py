"""Tables of the lanes and of the switch. No behaviour: rooms act on them.

Scopes are opaque strings ``kind:key`` here, so that reputation needs no table of outbox's.
"""

from reputation.models.lanes import (
    Kind,
    OrganisationalDomain,
    RecordCheck,
    Route,
    SendingDomain,
    Stream,
    Warmed,
    every_day,
)
from reputation.models.providers import KnownDomain, ProviderLimit, ProviderSuffix, TlsPolicy
from reputation.models.rules import (
    Evidence,
    FeedbackProvider,
    Incident,
    Judgement,
    Numbers,
    ProviderHour,
    Watch,
    Witness,
)
from reputation.models.signing import KeyEvent, SigningKey
from reputation.models.suppressions import FullMailbox, Suppression
from reputation.models.switch import OpenStop, Purge, Reopening, ResumeProposal, SwitchEvent, SwitchNote
from reputation.models.warmth import Allowance, Purse, Ramp, RampEvent

__all__ = [
    "Allowance",
    "Evidence",
    "FeedbackProvider",
    "FullMailbox",
    "Incident",
    "Judgement",
    "KeyEvent",
    "Kind",
    "KnownDomain",
    "Numbers",
    "OpenStop",
    "OrganisationalDomain",
    "ProviderHour",
    "ProviderLimit",
    "ProviderSuffix",
    "Purge",
    "Purse",
    "Ramp",
    "RampEvent",
    "RecordCheck",
    "Reopening",
    "ResumeProposal",
    "Route",
    "SendingDomain",
    "SigningKey",
    "Stream",
    "Suppression",
    "SwitchEvent",
    "SwitchNote",
    "TlsPolicy",
    "Warmed",
    "Watch",
    "Witness",
    "every_day",
]
