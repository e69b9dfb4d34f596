"""The groups of people that come with the installation, and what each may do in the admin.

Whoever is not a superuser belongs to some of them. What the ledger rules is read-only for everybody; these rights are
about the rest. Stopping and resuming have their own permissions, for the responder's page.
"""

from collections.abc import Mapping
from typing import Final

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

APPS: Final = ("outbox", "reputation")
EDITED: Final = (
    "outbox.agent",
    "outbox.apikey",
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
        **dict.fromkeys(
            ("reputation.providersuffix", "reputation.providerlimit"), ("add", "change", "delete")
        ),
    },
    "reviewers": {},
    # whose keys they revoke beside a stop
    "responders": {"reputation.switch": ("trip", "resume"), "outbox.apikey": ("change",)},
}


def make_groups() -> None:
    """Make the groups that are missing and give each what the table says; rights added by people stay."""
    viewing = list(Permission.objects.filter(content_type__app_label__in=APPS, codename__startswith="view_"))
    for name, rights in GROUPS.items():
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.add(*viewing, *_permissions(rights))


def _permissions(rights: Mapping[str, tuple[str, ...]]) -> list[Permission]:
    wanted = Q(pk__in=())
    for label, verbs in rights.items():
        app, _, model = label.partition(".")
        wanted |= Q(content_type__app_label=app, codename__in=[f"{verb}_{model}" for verb in verbs])
    return list(Permission.objects.filter(wanted))
