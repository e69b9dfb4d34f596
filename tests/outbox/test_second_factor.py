"""The second factor: enrolled by its owner, asked for by what opens mail, worth one use a code."""

import time
from collections.abc import Iterator
from html import unescape
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client, override_settings
from django_otp.oath import TOTP
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from outbox import second_factor
from outbox.models import Audit, Phone
from outbox.people import make_groups
from reputation import killswitch, resealing
from reputation.models import Purge, Reopening
from reputation.vault import new_master_key
from tests import factories
from tests.outbox.reopened import backlog

pytestmark = pytest.mark.usefixtures("live_db")

PASSWORD = "correct horse battery"
ACCOUNT = "/account/second-factor/"
QUICK = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def quick(live_db: Any) -> Iterator[None]:
    with override_settings(PASSWORD_HASHERS=QUICK, AO_MASTER_KEYS=[new_master_key()]):
        make_groups()
        yield


def responder(name: str) -> Client:
    user = User.objects.create_user(name, password=PASSWORD, is_staff=True)
    user.groups.add(Group.objects.get(name="responders"))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def rita(quick: None) -> Client:
    return responder("rita")


def shown_by(device: Phone, ago: int = 0) -> str:
    """What the phone shows, or showed so many steps ago."""
    code = TOTP(device.bin_key, device.step, device.t0, device.digits)
    code.time = time.time() - ago * device.step
    return f"{code.token():06}"


def shown_to(user: User) -> Phone:
    """A phone that is about to be enrolled."""
    second_factor.enrolment(user)
    return Phone.objects.get(user=user, confirmed=False)


def phone(name: str = "rita") -> Phone:
    """An enrolled phone."""
    device = shown_to(User.objects.get(username=name))
    Phone.objects.filter(pk=device.pk).update(confirmed=True)
    return device


def text(response: Any, status: int = 200) -> str:
    assert response.status_code == status, response
    return unescape(response.getvalue().decode())


def resumed(client: Client, epoch: int, code: str = "", **more: str) -> Any:
    given = {"why": "mended", "password": PASSWORD, "code": code, **more}
    return client.post(f"/killswitch/{epoch}/resume/", given)


def ready_for_another() -> None:
    """The phone shows another code, and a wrong one is forgiven."""
    TOTPDevice.objects.update(last_t=-1, throttling_failure_count=0, throttling_failure_timestamp=None)


# -- enrolling -----------------------------------------------------------------------------------------------


def test_a_phone_is_enrolled_with_the_password_and_its_code(rita: Client) -> None:
    assert "Enrol a phone" in text(rita.get(ACCOUNT))
    assert "not your password" in text(rita.post(f"{ACCOUNT}begin/", {"password": "guess"}), 422)
    page = text(rita.post(f"{ACCOUNT}begin/", {"password": PASSWORD}))
    device = Phone.objects.get()
    assert not device.confirmed
    assert 'src="data:image/svg+xml' in page
    assert second_factor.enrolment(device.user).letters in page
    wrong = f"{(int(shown_by(device)) + 1) % 1_000_000:06}"
    assert "wrong" in text(rita.post(f"{ACCOUNT}confirm/", {"code": wrong}), 422)
    assert not second_factor.enrolled(device.user)
    ready_for_another()
    page = text(rita.post(f"{ACCOUNT}confirm/", {"code": shown_by(device)}))
    assert "recovery codes" in page
    assert second_factor.enrolled(device.user)
    later = text(rita.get(ACCOUNT))
    assert "10 recovery codes left" in later
    assert "data:image" not in later, "the secret is not shown again"
    assert Audit.objects.filter(act="second_factor.enrolled", who="rita").count() == 1


def test_removing_it_wants_the_password_and_a_code(rita: Client) -> None:
    device = phone()
    given = {"password": PASSWORD}
    assert "code" in text(rita.post(f"{ACCOUNT}remove/", given), 422)
    assert second_factor.enrolled(device.user)
    assert rita.post(f"{ACCOUNT}remove/", given | {"code": shown_by(device)}).status_code == 302
    assert not second_factor.enrolled(device.user)
    assert Audit.objects.filter(act="second_factor.removed").exists()


def test_the_password_alone_enrols_no_other_phone_beside_one(rita: Client) -> None:
    device = phone()
    other = shown_to(device.user)
    given = {"password": PASSWORD}
    assert "data:image" not in text(rita.post(f"{ACCOUNT}begin/", given), 422)
    assert "data:image" not in text(rita.post(f"{ACCOUNT}confirm/", given | {"code": "000000"}), 422)
    assert "remove it first" in text(rita.post(f"{ACCOUNT}confirm/", given | {"code": shown_by(other)}), 422)
    assert Phone.objects.get(confirmed=True) == device


def test_strangers_see_no_account(live_db: Any) -> None:
    assert Client().get(ACCOUNT).status_code == 302


# -- resuming ------------------------------------------------------------------------------------------------


def test_a_resume_asks_whoever_has_one_for_the_code_and_takes_it_once(rita: Client) -> None:
    device = phone()
    epoch = killswitch.trip("agents", who="omar", why="").epoch
    assert 'name="code"' in text(rita.get(f"/killswitch/{epoch}/"))
    assert "Give the code" in text(resumed(rita, epoch), 422)
    wrong = f"{(int(shown_by(device)) + 1) % 1_000_000:06}"
    assert "wrong or was used" in text(resumed(rita, epoch, wrong), 422)
    assert "wrong or was used" in text(resumed(rita, epoch, shown_by(device)), 422), (
        "a wrong one costs a moment"
    )
    ready_for_another()
    assert resumed(rita, epoch, shown_by(device)).status_code == 302
    assert killswitch.open_stops() == []
    epoch = killswitch.trip("agents", who="omar", why="").epoch
    assert "wrong or was used" in text(resumed(rita, epoch, shown_by(device)), 422), "replayed"
    assert len(killswitch.open_stops()) == 1


def test_a_fresh_password_does_not_spare_the_code(rita: Client) -> None:
    device = phone()
    first = killswitch.trip("agents", who="omar", why="").epoch
    second = killswitch.trip("stream:a", who="omar", why="").epoch
    resumed(rita, first, shown_by(device))
    assert "Give the code" in text(resumed(rita, second), 422)


def test_an_old_code_is_too_old(rita: Client) -> None:
    device = phone()
    epoch = killswitch.trip("agents", who="omar", why="").epoch
    assert "wrong or was used" in text(resumed(rita, epoch, shown_by(device, ago=3)), 422)


def test_a_recovery_code_works_once(rita: Client) -> None:
    phone()
    user = User.objects.get(username="rita")
    code, *_ = second_factor.recovery_codes(user)
    assert second_factor.passes(user, f" {code.upper()[:4]} {code.upper()[4:]} ")
    assert not second_factor.passes(user, code)
    assert second_factor.codes_left(user) == 9


# -- at rest -------------------------------------------------------------------------------------------------


def test_the_database_holds_neither_a_secret_nor_a_recovery_code(rita: Client, settings: Any) -> None:
    device = phone()
    codes = second_factor.recovery_codes(device.user)
    row = str(Phone.objects.values().get()) + str(list(StaticToken.objects.values()))
    assert TOTPDevice.objects.get().key == ""
    assert not [code for code in [*codes, device.bin_key.hex(), str(device.bin_key)] if code in row]
    assert second_factor.hashed(device.user.pk, codes[0]) in row
    kept = second_factor.hashed(device.user.pk, codes[1])
    settings.SECRET_KEY = "another"
    assert second_factor.hashed(device.user.pk, codes[1]) != kept, "nobody tries 40 bits without the key"
    assert second_factor.hashed(device.user.pk + 1, codes[1]) != kept


def test_the_kept_hash_of_a_recovery_code_opens_nothing(rita: Client) -> None:
    phone()
    user = User.objects.get(username="rita")
    second_factor.recovery_codes(user)
    kept = StaticToken.objects.values_list("token", flat=True)[0]
    assert not second_factor.passes(user, kept)


def test_a_secret_is_resealed_with_all_others(rita: Client, settings: Any) -> None:
    device = phone()
    old = settings.AO_MASTER_KEYS
    settings.AO_MASTER_KEYS = [new_master_key(), *old]
    assert {tally.column: tally.resealed for tally in resealing.reseal()}["outbox.Phone.secret_sealed"] == 1
    settings.AO_MASTER_KEYS = settings.AO_MASTER_KEYS[:1]
    assert second_factor.passes(device.user, shown_by(device := Phone.objects.get()))
    settings.AO_MASTER_KEYS = [new_master_key()]
    epoch = killswitch.trip("agents", who="omar", why="").epoch
    ready_for_another()
    assert "recovery code" in text(resumed(rita, epoch, "123456"), 422)
    assert len(killswitch.open_stops()) == 1


def test_what_was_enrolled_before_goes_on_working(rita: Client) -> None:
    user = User.objects.get(username="rita")
    plain = TOTPDevice.objects.create(user=user, name="phone", confirmed=True)
    StaticToken.objects.create(device=StaticDevice.objects.create(user=user, name="codes"), token="abcdefgh")
    migration = import_module("outbox.migrations.0013_sealed_second_factors")
    with connection.schema_editor() as editor:
        migration.seal(apps, editor)
    device = Phone.objects.get()
    assert (device.bin_key.hex(), device.key, device.pk) == (plain.key, "", plain.pk)
    assert second_factor.passes(user, shown_by(device))
    assert second_factor.passes(user, "abcdefgh")
    with connection.schema_editor() as editor:
        migration.unseal(apps, editor)
    assert TOTPDevice.objects.get().key == plain.key


def test_nobody_passes_by_somebody_elses_phone(rita: Client) -> None:
    responder("omar")
    phone("rita")
    theirs = phone("omar")
    epoch = killswitch.trip("agents", who="omar", why="").epoch
    assert "wrong or was used" in text(resumed(rita, epoch, shown_by(theirs)), 422)


# -- the glass, and other hands ------------------------------------------------------------------------------


def broken(client: Client, epoch: int, code: str = "") -> Any:
    given = {"why": "payroll", "password": PASSWORD, "code": code}
    return client.post(f"/killswitch/{epoch}/glass/", given)


def test_the_glass_wants_a_second_factor_and_then_a_second_person(rita: Client) -> None:
    epoch = killswitch.trip("agents", who="rule:bounces", why="82 of 900").epoch
    assert "enrol one" in text(broken(rita, epoch), 422)
    device = phone()
    assert "Give the code" in text(broken(rita, epoch), 422)
    answer = broken(rita, epoch, shown_by(device))
    assert answer.status_code == 302
    row = Reopening.objects.get()
    assert (row.state, row.glass, row.who, killswitch.open_stops()) == ("open", True, "rita", [])
    here = answer["Location"]
    assert "Another person has to confirm it" in text(rita.get(here))
    ready_for_another()
    mine = rita.post(f"/killswitch/{epoch}/confirm/", {"code": shown_by(device)})
    assert "another person has to confirm" in text(mine, 422)
    omar = responder("omar")
    assert "Confirm: it stays open" in text(omar.get(here))
    assert (
        omar.post(f"/killswitch/{epoch}/confirm/", {"password": PASSWORD, "why": "seen"}).status_code == 302
    )
    row.refresh_from_db()
    assert (row.state, row.confirmed_by) == ("confirmed", "omar")


def test_a_false_alarm_is_one_only_if_both_say_so(rita: Client) -> None:
    omar = responder("omar")
    for ticks, whole in (({}, False), ({"whole": "on"}, True)):
        epoch = killswitch.trip("agents", who="rule:bounces", why="82 of 900").epoch
        assert resumed(rita, epoch, whole="on").status_code == 302
        assert "as a false alarm" in text(omar.get(f"/killswitch/{epoch}/"))
        assert resumed(omar, epoch, **ticks).status_code == 302
        row = Reopening.objects.latest("pk")
        assert (row.who, row.whole, row.state) == ("rita and omar", whole, "open")


def test_what_waits_is_thrown_away_and_put_back_by_those_who_may(rita: Client) -> None:
    backlog(factories.agent("ada"), gmail=3)
    epoch = killswitch.trip("agents", who="omar", why="").epoch
    looker = User.objects.create_user("lou", password=PASSWORD, is_staff=True)
    looker.groups.add(Group.objects.get(name="reviewers"))
    lou = Client()
    lou.force_login(looker)
    given = {"why": "a loop", "password": PASSWORD}
    assert "Throw it away" not in text(lou.get(f"/killswitch/{epoch}/"))
    assert lou.post(f"/killswitch/{epoch}/purge/", given).status_code == 403
    assert "not your password" in text(
        rita.post(f"/killswitch/{epoch}/purge/", given | {"password": "x"}), 422
    )
    assert "Say why" in text(rita.post(f"/killswitch/{epoch}/purge/", given | {"why": " "}), 422)
    assert rita.post(f"/killswitch/{epoch}/purge/", given).status_code == 302
    row = Purge.objects.get()
    assert "Who was affected" in text(rita.get(f"/killswitch/{epoch}/"))
    assert lou.get(f"/killswitch/purge/{row.pk}/affected.csv").status_code == 403
    listed = rita.get(f"/killswitch/purge/{row.pk}/affected.csv")
    assert "attachment" in listed["Content-Disposition"]
    assert text(listed).count("@gmail.test,held,set_aside") == 3
    assert Audit.objects.filter(who="rita", act="export", subject=f"purge:{row.pk}").count() == 1
    assert lou.post(f"/killswitch/purge/{row.pk}/undo/").status_code == 403
    assert rita.post(f"/killswitch/purge/{row.pk}/undo/").status_code == 302
    assert Purge.objects.get().state == "undone"
    assert "cannot be undone" in text(rita.post(f"/killswitch/purge/{row.pk}/undo/"), 422)
