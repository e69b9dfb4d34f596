"""The groups of people that come with the installation, and what each may do in the admin.

Whoever is not a superuser belongs to some of them. What the ledger rules is read-only for everybody; these rights are
about the rest. Stopping, resuming and purging have their own permissions, for the responder's page. An auditor sees
all there is to see but the addresses of the suppression list, and changes nothing.

Guarantees: one table says it all; it is applied by a migration, and by every ``prepare`` and ``grants`` after it was
changed. Refuses to take away: rights that people gave stay until people take them.
"""

from collections.abc import Mapping
from typing import Final

from django.contrib.auth.models import Group, Permission
from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Q

APPS: Final = ("outbox", "reputation")
EDITED: Final = (
    "outbox.agent",
    "outbox.apikey",
    "outbox.organisation",
    "outbox.endpoint",
    "outbox.policy",
    "reputation.stream",
    "reputation.sendingdomain",
    "reputation.organisationaldomain",
    "reputation.route",
)

# group -> model -> what may be done besides viewing, which each group may do everywhere
GROUPS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "deliverability": {
        **dict.fromkeys(EDITED, ("add", "change")),
        "reputation.signingkey": ("add", "change"),
        "reputation.suppression": ("add", "lift", "erase", "unseal"),
        "reputation.numbers": ("add", "change"),
        "reputation.switch": ("export",),
        "outbox.uncertain": ("settle",),
        "outbox.approval": ("decide",),
        **dict.fromkeys(
            ("reputation.providersuffix", "reputation.providerlimit"), ("add", "change", "delete")
        ),
    },
    "reviewers": {"outbox.approval": ("decide",)},
    "responders": {
        "reputation.switch": ("trip", "resume", "purge", "export"),
        "outbox.apikey": ("change",),  # whose keys they revoke beside a stop
        "outbox.uncertain": ("settle",),
    },
    # who the people are, and what they were given
    "auditors": {"auth.user": ("view",), "auth.group": ("view",)},
}


def make_groups(using: str = DEFAULT_DB_ALIAS) -> None:
    """Make the groups that are missing and give each what the table says; what it has already is not touched."""
    known = Permission.objects.using(using)
    viewing = known.filter(content_type__app_label__in=APPS, codename__startswith="view_")
    seen = set(viewing.values_list("pk", flat=True))
    with transaction.atomic(using=using):
        for name, rights in GROUPS.items():
            group, _ = Group.objects.using(using).get_or_create(name=name)
            wanted = seen | set(known.filter(_named(rights)).values_list("pk", flat=True))
            group.permissions.add(*wanted - set(group.permissions.values_list("pk", flat=True)))


def _named(rights: Mapping[str, tuple[str, ...]]) -> Q:
    wanted = Q(pk__in=())
    for label, verbs in rights.items():
        app, _, model = label.partition(".")
        wanted |= Q(content_type__app_label=app, codename__in=[f"{verb}_{model}" for verb in verbs])
    return wanted
