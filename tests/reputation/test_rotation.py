"""What time does to signing keys, on a database whose clock the test moves."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from reputation import keyring, rotation
from reputation.models import KeyEvent, SendingDomain, SigningKey
from reputation.rotation import LEAD, RETIREMENT, SETTLING, rotate_due, tend
from reputation.vault import BadMasterKey, new_master_key
from tests import factories
from tests.reputation.keys import ED25519, FIRST, RSA, Dns, first, made, states, story, together

DAY = timedelta(days=1)
MOMENT = timedelta(seconds=1)


@pytest.fixture
def dns() -> Dns:
    return Dns()


@pytest.fixture
def domain(live_db: Any, settings: Any) -> SendingDomain:
    settings.AO_MASTER_KEYS = [new_master_key()]
    return SendingDomain.objects.get(stream=factories.stream())


@pytest.fixture
def now(domain: SendingDomain) -> datetime:
    return keyring.now()


def age(key: SigningKey, **times: datetime) -> None:
    SigningKey.objects.filter(pk=key.pk).update(**times)


def kinds(events: list[KeyEvent]) -> list[str]:
    return [event.kind for event in events]


# -- due -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "old", "wanted"),
    [
        (180, 180 * DAY - LEAD, True),
        (180, 180 * DAY - LEAD - MOMENT, False),
        (180, 1000 * DAY, True),
        (0, 1000 * DAY, False),  # by hand
        (10, 5 * DAY, True),  # the lead never takes more than half
        (10, 5 * DAY - MOMENT, False),
        (1, timedelta(hours=11), False),
    ],
)
def test_a_key_is_due_before_its_days_are_over(
    domain: SendingDomain, now: datetime, days: int, old: timedelta, wanted: bool
) -> None:
    SendingDomain.objects.update(rotate_after_days=days)
    age(first(), activated_at=now - old)
    assert kinds(rotate_due(now)) == (["made"] if wanted else [])


def test_one_new_key_is_made_and_says_why(domain: SendingDomain, now: datetime) -> None:
    age(first(), activated_at=now - 200 * DAY)
    [event] = rotate_due(now)
    assert rotate_due(now) == []
    assert (event.key.algorithm, event.key.state, event.key.created_at) == (RSA, "created", now)
    assert story(event.key) == [("made", "schedule", f"s1 is in use since {now - 200 * DAY:%Y-%m-%d}")]


@pytest.mark.parametrize("state", ["created", "published"])
def test_a_key_in_the_making_is_enough_and_another_algorithms_is_not(
    domain: SendingDomain, now: datetime, state: str
) -> None:
    age(first(), activated_at=now - 200 * DAY)
    other = made(domain, state, ED25519)
    assert [event.key.algorithm for event in rotate_due(now)] == [RSA]
    SigningKey.objects.filter(state="created", algorithm=RSA).update(state=state)
    assert rotate_due(now + DAY) == []
    assert states(domain)[other.selector] == state


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"state": "verified"}, [RSA]),
        ({"state": "degraded"}, [RSA]),
        ({"state": "retired"}, []),
        ({"ed25519": True}, [ED25519, RSA]),
    ],
)
def test_keys_are_made_for_domains_that_sign_with_them(
    domain: SendingDomain, now: datetime, changed: dict[str, Any], wanted: list[str]
) -> None:
    made(domain, "active", ED25519)
    SigningKey.objects.update(activated_at=now - 200 * DAY)
    SendingDomain.objects.update(**changed)
    assert sorted(event.key.algorithm for event in rotate_due(now)) == wanted


# -- the round -------------------------------------------------------------------------------------------------


def test_a_rotation_goes_through_its_life_by_itself(domain: SendingDomain, dns: Dns, now: datetime) -> None:
    old = first()
    age(old, activated_at=now - 170 * DAY)
    [event] = tend(now, dns)
    new = event.key
    assert tend(now + DAY, dns) == []  # nobody has published it: the old one goes on

    dns.show(new)
    shown = now + 2 * DAY
    assert kinds(tend(shown, dns)) == ["published"]
    assert tend(shown + SETTLING - MOMENT, dns) == []
    assert kinds(tend(shown + SETTLING, dns)) == ["retired", "activated"]
    assert states(domain) == {FIRST: "retiring", new.selector: "active"}

    gone = shown + SETTLING + RETIREMENT
    assert tend(gone - MOMENT, dns) == []
    [end] = tend(gone, dns)
    assert (end.key.selector, end.kind) == (FIRST, "revoked")
    assert "take its record out" in end.why
    assert states(domain) == {FIRST: "revoked", new.selector: "active"}


def test_a_key_made_early_is_a_spare_until_its_turn(domain: SendingDomain, dns: Dns, now: datetime) -> None:
    age(first(), activated_at=now)
    spare = made(domain)
    dns.show(spare)
    assert kinds(tend(now, dns)) == ["published"]
    assert tend(now + 30 * DAY, dns) == []
    assert kinds(tend(now + 166 * DAY, dns)) == ["retired", "activated"]
    assert states(domain)[spare.selector] == "active"


def test_rotated_by_hand_means_never_by_itself(domain: SendingDomain, dns: Dns, now: datetime) -> None:
    SendingDomain.objects.update(rotate_after_days=0)
    spare = made(domain)
    dns.show(spare)
    tend(now, dns)
    assert tend(now + 5000 * DAY, dns) == []
    assert states(domain) == {FIRST: "active", spare.selector: "published"}


@pytest.mark.parametrize("days", [180, 0])
def test_the_first_key_signs_as_soon_as_the_dns_shows_it(
    domain: SendingDomain, dns: Dns, now: datetime, days: int
) -> None:
    SigningKey.objects.update(state="revoked")
    SendingDomain.objects.update(rotate_after_days=days)
    key = made(domain)
    assert tend(now, dns) == []
    dns.show(key)
    assert kinds(tend(now, dns)) == ["published", "activated"]
    assert story(key)[-1] == ("activated", "schedule", "there was no active key")


def test_a_record_that_vanished_before_its_turn_starts_anew(
    domain: SendingDomain, dns: Dns, now: datetime
) -> None:
    age(first(), activated_at=now - 200 * DAY)
    key = made(domain)
    dns.show(key)
    tend(now, dns)
    dns.zone.clear()
    assert kinds(tend(now + SETTLING, dns)) == ["withdrawn"]
    dns.show(key)
    assert kinds(tend(now + 2 * SETTLING, dns)) == ["published"]
    assert tend(now + 3 * SETTLING - MOMENT, dns) == []
    assert kinds(tend(now + 3 * SETTLING, dns)) == ["retired", "activated"]


def test_a_dns_that_is_down_changes_nothing(domain: SendingDomain, dns: Dns, now: datetime) -> None:
    created, published = made(domain), made(domain, "published")
    dns.silent |= {str(created), str(published)}
    before = states(domain)
    assert tend(now, dns) == []
    assert states(domain) == before


def test_a_missing_master_key_stops_only_what_needs_it(
    domain: SendingDomain, dns: Dns, now: datetime, settings: Any
) -> None:
    age(first(), activated_at=now - 200 * DAY)
    old = made(domain, "retiring")
    age(old, retired_at=now - 8 * DAY)
    settings.AO_MASTER_KEYS = []
    with pytest.raises(BadMasterKey):
        tend(now, dns)
    assert states(domain) == {FIRST: "active", old.selector: "revoked"}


def test_retired_domains_still_let_old_keys_go(domain: SendingDomain, dns: Dns, now: datetime) -> None:
    SigningKey.objects.update(state="retiring", retired_at=now - RETIREMENT)
    SendingDomain.objects.update(state="retired")
    assert kinds(tend(now, dns)) == ["revoked"]


# -- two rounds at once ----------------------------------------------------------------------------------------


def successor_due(domain: SendingDomain, dns: Dns, now: datetime) -> None:
    age(first(), activated_at=now - 200 * DAY)


def record_shown(domain: SendingDomain, dns: Dns, now: datetime) -> None:
    dns.show(made(domain))


def switch_due(domain: SendingDomain, dns: Dns, now: datetime) -> None:
    age(first(), activated_at=now - 200 * DAY)
    for _ in range(2):  # the second must not take over from the first at once
        key = made(domain, "published")
        age(key, published_at=now - SETTLING)
        dns.show(key)


def old_key_due(domain: SendingDomain, dns: Dns, now: datetime) -> None:
    age(made(domain, "retiring"), retired_at=now - RETIREMENT)


@pytest.mark.parametrize(
    ("scene", "wanted"),
    [
        (successor_due, {"made": 1}),
        (record_shown, {"published": 1}),
        (switch_due, {"retired": 1, "activated": 1}),
        (old_key_due, {"revoked": 1}),
    ],
)
def test_two_rounds_at_once_do_each_thing_once(
    domain: SendingDomain, dns: Dns, now: datetime, scene: Any, wanted: dict[str, int]
) -> None:
    scene(domain, dns, now)
    before = KeyEvent.objects.order_by("pk").last()
    # both have seen what there is to do when the lock is let go
    with keyring.locked(domain.pk):
        rounds = together(lambda: tend(now, dns), lambda: tend(now, dns))
    told = [event.kind for done in rounds() for event in done]
    assert Counter(told) == wanted
    since = KeyEvent.objects.filter(pk__gt=before.pk if before else 0)
    assert Counter(since.values_list("kind", flat=True)) == wanted


def test_a_round_beside_an_emergency_does_not_bring_the_key_back(
    domain: SendingDomain, dns: Dns, now: datetime
) -> None:
    switch_due(domain, dns, now)
    leaked = SigningKey.objects.filter(state="published").first()
    assert leaked
    with keyring.locked(domain.pk):
        done = together(lambda: rotation.tend(now, dns))
        keyring.revoke(leaked, "ada", "leaked")
    [told] = done()
    assert kinds(told) == ["retired", "activated"]
    assert states(domain)[leaked.selector] == "revoked"
    assert Counter(states(domain).values()) == {"retiring": 1, "revoked": 1, "active": 1}
