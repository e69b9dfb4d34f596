"""Tables only. States belong to ``lifecycle``, moves to ``ledger``.

``Message`` is content accepted once; ``Delivery`` is one recipient and owns the state, in a narrow hot table;
a ``Lane`` holds the scope keys its deliveries share; ``Attempt`` is written once, when it is settled or
rescued; ``Event`` is append-only. Content, attempts and events are partitioned by their UUIDv7 keys (the
migration writes their SQL) and carry no database foreign keys: a partition can be dropped without asking.
"""

from outbox.models.agents import Agent, ApiKey, Budget, Run
from outbox.models.messages import (
    Answer,
    Attachment,
    Attempt,
    Delivery,
    Event,
    Lane,
    Message,
    Session,
    Uncertain,
)
from outbox.models.returned import Quarantine, ReturnCount, Signal
from outbox.models.second_factor import Phone
from outbox.models.watching import Alarm, Audit, AuditLook, Drill, RefusedPosts, SeenEvent, Vigil
from outbox.models.webhooks import Endpoint, Notice

__all__ = [
    "Agent",
    "Alarm",
    "Answer",
    "ApiKey",
    "Attachment",
    "Attempt",
    "Audit",
    "AuditLook",
    "Budget",
    "Delivery",
    "Drill",
    "Endpoint",
    "Event",
    "Lane",
    "Message",
    "Notice",
    "Phone",
    "Quarantine",
    "RefusedPosts",
    "ReturnCount",
    "Run",
    "SeenEvent",
    "Session",
    "Signal",
    "Uncertain",
    "Vigil",
]
