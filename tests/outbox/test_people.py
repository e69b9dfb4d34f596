"""Who may do what, by group."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command

from outbox.people import APPS, GROUPS, make_groups

pytestmark = pytest.mark.usefixtures("live_db")


def person(group: str) -> Any:
    user = User.objects.create_user(f"one-of-{group}", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    return User.objects.get(pk=user.pk)


@pytest.fixture(autouse=True)
def groups(live_db: Any) -> Iterator[None]:
    """As the migrations made them; whatever a test gives them is taken again."""
    before = {group: list(group.permissions.all()) for group in Group.objects.all()}
    yield
    for group, permissions in before.items():
        group.permissions.set(permissions)


@pytest.mark.parametrize("group", GROUPS)
def test_everybody_may_look_and_nobody_may_touch_what_the_ledger_rules(group: str) -> None:
    someone = person(group)
    assert someone.has_perm("outbox.view_delivery")
    for verb in ("add", "change", "delete"):
        assert not someone.has_perm(f"outbox.{verb}_delivery")
        assert not someone.has_perm(f"reputation.{verb}_openstop")


@pytest.mark.parametrize(
    ("group", "permission", "may"),
    [
        ("deliverability", "outbox.change_agent", True),
        ("deliverability", "outbox.add_apikey", True),
        ("deliverability", "reputation.change_signingkey", True),
        ("deliverability", "reputation.add_sendingdomain", True),  # enrols
        ("deliverability", "reputation.change_sendingdomain", True),  # has it checked, retires it
        ("deliverability", "reputation.add_signingkey", True),  # rotates
        ("deliverability", "reputation.change_organisationaldomain", True),  # declares
        ("deliverability", "reputation.delete_organisationaldomain", False),
        ("deliverability", "reputation.delete_providersuffix", True),
        ("deliverability", "reputation.change_providerlimit", True),
        ("deliverability", "reputation.change_ramp", False),  # rules move ramps
        ("deliverability", "outbox.delete_agent", False),  # its name is part of scopes for ever
        ("deliverability", "reputation.add_suppression", True),
        ("deliverability", "reputation.lift_suppression", True),
        ("deliverability", "reputation.erase_suppression", True),
        ("deliverability", "reputation.unseal_suppression", True),
        ("deliverability", "reputation.delete_suppression", False),  # lifted ones are history
        ("reviewers", "reputation.unseal_suppression", False),
        ("responders", "reputation.lift_suppression", False),
        ("responders", "reputation.trip_switch", True),
        ("responders", "reputation.resume_switch", True),
        ("responders", "reputation.purge_switch", True),
        ("responders", "reputation.export_switch", True),
        ("responders", "reputation.change_numbers", False),
        ("responders", "outbox.settle_uncertain", True),
        ("deliverability", "outbox.settle_uncertain", True),
        ("deliverability", "outbox.add_endpoint", True),
        ("deliverability", "reputation.change_numbers", True),
        ("deliverability", "reputation.trip_switch", False),
        ("reviewers", "outbox.decide_approval", True),
        ("deliverability", "outbox.decide_approval", True),
        ("responders", "outbox.decide_approval", False),
        ("auditors", "outbox.decide_approval", False),
        ("auditors", "outbox.view_approval", True),
        ("reviewers", "outbox.settle_uncertain", False),
        ("reviewers", "outbox.change_agent", False),
        ("reviewers", "reputation.change_sendingdomain", False),
        ("reviewers", "reputation.view_ramp", True),
        ("responders", "reputation.change_signingkey", False),
        ("responders", "reputation.add_sendingdomain", False),
        ("responders", "reputation.change_organisationaldomain", False),
        ("responders", "reputation.view_sendingdomain", True),
    ],
)
def test_what_else_a_group_may(group: str, permission: str, may: bool) -> None:
    assert person(group).has_perm(permission) is may


def test_making_the_groups_again_leaves_what_people_added() -> None:
    group = Group.objects.get(name="reviewers")
    added = Group.objects.get(name="deliverability").permissions.get(codename="change_agent")
    group.permissions.add(added)
    make_groups()
    assert added in group.permissions.all()


def test_the_migrations_have_made_the_groups_of_the_table() -> None:
    assert set(Group.objects.values_list("name", flat=True)) == set(GROUPS)


def test_a_table_that_has_grown_is_applied_by_prepare(monkeypatch: pytest.MonkeyPatch) -> None:
    grown = {**GROUPS, "reviewers": {"outbox.agent": ("change",)}}
    monkeypatch.setattr("outbox.people.GROUPS", grown)
    call_command("prepare", verbosity=0)
    assert person("reviewers").has_perm("outbox.change_agent")


def test_an_auditor_sees_everything_but_suppressed_addresses_and_changes_nothing() -> None:
    rights = person("auditors").get_all_permissions()
    assert {right for right in rights if ".view_" not in right} == set()
    every = Permission.objects.filter(content_type__app_label__in=APPS, codename__startswith="view_")
    assert every.count() + 2 == len(rights)  # and who the people are
