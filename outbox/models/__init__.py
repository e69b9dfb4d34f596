"""Tables only. States belong to ``lifecycle``, moves to ``ledger``.

``Message`` is content accepted once; ``Delivery`` is one recipient and owns the state, in a narrow hot table;
a ``Lane`` holds the scope keys its deliveries share; ``Attempt`` is written once, when it is settled or
rescued; ``Event`` is append-only. Content, attempts and events are partitioned by their UUIDv7 keys (the
migration writes their SQL) and carry no database foreign keys: a partition can be dropped without asking.
"""

from outbox.models.agents import Agent, ApiKey, Budget, Organisation, Run, RunDomain
from outbox.models.approving import Approval, Decision, Held
from outbox.models.likeness import Band, Cluster, ClusterCount, Print
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
from outbox.models.policing import Contact, Policy
from outbox.models.returned import Quarantine, ReturnCount, Signal
from outbox.models.second_factor import Phone
from outbox.models.watching import Alarm, Audit, AuditLook, Drill, RefusedPosts, SeenEvent, Vigil
from outbox.models.webhooks import Endpoint, Notice

__all__ = [
    "Agent",
    "Alarm",
    "Answer",
    "ApiKey",
    "Approval",
    "Attachment",
    "Attempt",
    "Audit",
    "AuditLook",
    "Band",
    "Budget",
    "Cluster",
    "ClusterCount",
    "Contact",
    "Decision",
    "Delivery",
    "Drill",
    "Endpoint",
    "Event",
    "Held",
    "Lane",
    "Message",
    "Notice",
    "Organisation",
    "Phone",
    "Policy",
    "Print",
    "Quarantine",
    "RefusedPosts",
    "ReturnCount",
    "Run",
    "RunDomain",
    "SeenEvent",
    "Session",
    "Signal",
    "Uncertain",
    "Vigil",
]
