"""Signing keys through their life: what a key may do, who decides, and what is left behind."""

import logging
import threading
import traceback
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import Error, IntegrityError, connections
from django.test import Client

from reputation import keyring, standing
from reputation.models import KeyEvent, SendingDomain, SigningKey
from reputation.vault import BadMasterKey, new_master_key, vault
from tests import factories
from tests.reputation.keys import ED25519, FIRST, RSA, Dns, first, made, states, story, together

POST = {"to": "grace@example.org", "subject": "Hi", "text": "Hi"}


@pytest.fixture
def dns() -> Dns:
    return Dns()


@pytest.fixture
def domain(live_db: Any, settings: Any) -> SendingDomain:
    settings.AO_MASTER_KEYS = [new_master_key()]
    return SendingDomain.objects.get(stream=factories.stream())


# -- published -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (["v=DKIM1; k=rsa; p=ABCD"], True),
        (["v=DKIM1;k=rsa;p=AB CD;"], True),  # white space is no part of a key
        (["v=DKIM1; k=rsa; p=abcd"], False),  # a DNS editor that lowers letters
        (["v=DKIM1; k=rsa; p="], False),  # revoked
        (["v=DKIM1; k=ed25519; p=ABCD"], False),
        (["v=DKIM1; k=rsa; p=ABCD; t=y"], False),  # testing: receivers treat it as unsigned
        (["v=DKIM1; k=rsa; p=ABCD; h=sha1"], False),
        (["v=DKIM1; k=rsa; p=ABCD", "v=DKIM1; k=rsa; p=ABCE"], False),  # receivers may take any of several
        (["all is well"], False),
        ([], False),
    ],
)
def test_a_key_is_published_only_by_a_record_that_receivers_can_use(
    domain: SendingDomain, dns: Dns, written: list[str], shown: bool
) -> None:
    key = made(domain)
    key.public_record = "v=DKIM1; k=rsa; p=ABCD"
    dns.zone[str(key)] = tuple(written)
    assert keyring.publish(key, dns) is shown
    assert states(domain)[key.selector] == ("published" if shown else "created")


def test_a_key_is_published_when_the_dns_shows_it_and_not_before(domain: SendingDomain, dns: Dns) -> None:
    key, other = made(domain), made(domain)
    assert not keyring.publish(key, dns)
    dns.zone[str(key)] = (other.public_record,)
    assert not keyring.publish(key, dns)
    assert states(domain)[key.selector] == "created"
    dns.show(key)
    assert keyring.publish(key, dns, who="ada")
    key.refresh_from_db()
    assert (key.state, key.published_at is not None) == ("published", True)
    assert story(key) == [("made", "ada", ""), ("published", "ada", "")]


def test_a_record_that_vanished_takes_its_key_back_and_silence_says_nothing(
    domain: SendingDomain, dns: Dns
) -> None:
    key = made(domain, "published")
    dns.silent.add(str(key))
    keyring.publish(key, dns)
    assert states(domain)[key.selector] == "published"
    dns.silent.clear()
    keyring.publish(key, dns)
    key.refresh_from_db()
    assert (key.state, key.published_at) == ("created", None)
    [_, (kind, _, why)] = story(key)
    assert kind == "withdrawn"
    assert "no TXT record" in why


@pytest.mark.parametrize("state", ["active", "retiring", "revoked"])
def test_the_dns_decides_nothing_about_a_key_that_has_signed(
    domain: SendingDomain, dns: Dns, state: str
) -> None:
    SigningKey.objects.all().update(state="revoked")
    key = made(domain, state)
    keyring.publish(key, dns)
    dns.show(key)
    keyring.publish(key, dns)
    assert states(domain)[key.selector] == state


# -- activate --------------------------------------------------------------------------------------------------


def test_a_published_key_takes_over_and_the_one_before_retires_with_its_record(domain: SendingDomain) -> None:
    old, new = first(), made(domain, "published")
    assert keyring.activate(new, "ada", "yearly")
    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.state, new.state) == ("retiring", "active")
    assert old.retired_at == new.activated_at is not None
    assert story(old) == [("retired", "ada", f"{new.selector} takes over")]
    assert story(new)[-1] == ("activated", "ada", "yearly")


def test_a_key_that_the_dns_has_not_shown_is_refused(domain: SendingDomain) -> None:
    key = made(domain)
    assert not keyring.activate(key, "ada", "in a hurry")
    assert not keyring.move(key, "activate")
    assert states(domain) == {FIRST: "active", key.selector: "created"}


@pytest.mark.parametrize("why", ["", "  \n"])
def test_forcing_owes_a_reason(domain: SendingDomain, why: str) -> None:
    key = made(domain)
    with pytest.raises(keyring.NoReason):
        keyring.activate(key, "ada", why, force=True)
    with pytest.raises(keyring.NoReason):
        keyring.move(key, "force", who="ada", why=why)
    assert states(domain) == {FIRST: "active", key.selector: "created"}


def test_a_person_may_force_a_key_and_that_stands_in_its_story(domain: SendingDomain) -> None:
    key = made(domain)
    assert keyring.activate(key, "ada", "the zone is served only after this", force=True)
    assert states(domain) == {FIRST: "retiring", key.selector: "active"}
    assert story(key)[-1] == ("forced", "ada", "the zone is served only after this")


def test_force_is_not_said_of_a_key_that_did_not_need_it(domain: SendingDomain) -> None:
    key = made(domain, "published")
    keyring.activate(key, "ada", "to be sure", force=True)
    assert story(key)[-1][0] == "activated"


def test_a_key_that_comes_back_is_as_old_as_it_is(domain: SendingDomain) -> None:
    old, new = first(), made(domain, "published")
    long_ago = keyring.now() - timedelta(days=170)
    SigningKey.objects.filter(pk=old.pk).update(activated_at=long_ago)
    keyring.activate(new, "ada")
    assert keyring.activate(old, "ada", "the new one fails at one provider")
    old.refresh_from_db()
    assert (old.state, old.activated_at, old.retired_at) == ("active", long_ago, None)
    assert story(old)[-1][0] == "restored"
    assert states(domain)[new.selector] == "retiring"


@pytest.mark.parametrize(
    ("state", "word", "becomes"),
    [
        ("created", "activate", None),  # the DNS has not shown it
        ("created", "force", "active"),
        ("created", "revoke", "revoked"),
        ("published", "activate", "active"),
        ("published", "revoke", "revoked"),
        ("retiring", "activate", "active"),  # back to the one before
        ("retiring", "revoke", "revoked"),
        ("active", "activate", None),
        ("active", "force", None),
        ("active", "revoke", "revoked"),
        ("revoked", "activate", None),  # revoked is for good
        ("revoked", "force", None),
        ("revoked", "revoke", None),
    ],
)
def test_a_move_is_offered_from_where_it_works(
    domain: SendingDomain, state: str, word: str, becomes: str | None
) -> None:
    SigningKey.objects.all().update(state="retiring")
    key = made(domain, state)
    assert (state in keyring.MOVES[word].origins) is (becomes is not None)
    assert keyring.move(key, word, who="ada", why="a test") is (becomes is not None)
    assert states(domain)[key.selector] == (becomes or state)


@pytest.mark.parametrize("state", ["active", "revoked"])
def test_what_is_active_or_revoked_is_not_activated(domain: SendingDomain, state: str) -> None:
    SigningKey.objects.all().update(state="retiring")
    key = made(domain, state)
    assert not keyring.activate(key, "ada", "again", force=True)
    assert states(domain)[key.selector] == state


def test_algorithms_do_not_retire_each_other(domain: SendingDomain) -> None:
    key = made(domain, "published", ED25519)
    keyring.activate(key, "ada")
    assert states(domain) == {FIRST: "active", key.selector: "active"}


def test_of_two_activations_at_once_the_second_sees_the_first(domain: SendingDomain) -> None:
    one, two = made(domain, "published"), made(domain, "published")
    with keyring.locked(domain.pk):
        threads = together(lambda: keyring.activate(one, "ada"), lambda: keyring.activate(two, "bob"))
    assert threads() == [True, True]
    now = states(domain)
    assert sorted(now.values()) == ["active", "retiring", "retiring"]
    assert now[FIRST] == "retiring"


def test_an_activation_and_a_revocation_of_the_same_key_leave_it_revoked(domain: SendingDomain) -> None:
    key = made(domain, "published")
    with keyring.locked(domain.pk):
        threads = together(
            lambda: keyring.activate(key, "ada"), lambda: len(keyring.revoke(key, "bob", "leaked"))
        )
    answers = threads()
    assert states(domain)[key.selector] == "revoked"
    # either it signed for a moment, or it was never activated; in both cases the revocation was one
    assert answers in ([True, 1], [False, 1])
    assert [kind for kind, _, _ in story(key)].count("revoked") == 1


# -- revoke ----------------------------------------------------------------------------------------------------


def test_without_a_spare_an_emergency_leaves_no_key_and_nothing_is_accepted(domain: SendingDomain) -> None:
    key, agent = first(), factories.agent()
    kinds = [event.kind for event in keyring.revoke(key, "ada", "leaked")]
    assert kinds == ["revoked"]
    assert story(key) == [("revoked", "ada", "leaked")]
    assert standing.standings([domain.pk])[domain.pk].open is False
    headers = {"Authorization": f"Bearer {factories.key(agent)}"}
    answer = Client().post("/v1/messages", POST, content_type="application/json", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "lane_not_ready")


def test_an_ed25519_key_alone_opens_nothing(domain: SendingDomain) -> None:
    SendingDomain.objects.update(ed25519=True)
    keyring.activate(made(domain, "published", ED25519), "ada")
    keyring.revoke(first(), "ada", "leaked")
    assert standing.standings([domain.pk])[domain.pk].open is False


def test_a_spare_takes_over_in_the_same_transaction(domain: SendingDomain) -> None:
    key, spare, unseen = first(), made(domain, "published"), made(domain)
    other = made(domain, "published", ED25519)
    told = [(event.key.selector, event.kind) for event in keyring.revoke(key, "ada", "leaked")]
    assert told == [(FIRST, "revoked"), (spare.selector, "activated")]
    assert states(domain) == {
        FIRST: "revoked",
        spare.selector: "active",
        unseen.selector: "created",
        other.selector: "published",
    }
    assert standing.standings([domain.pk])[domain.pk].open is True


def test_revoking_a_key_that_does_not_sign_changes_nothing_else(domain: SendingDomain) -> None:
    key, spare = made(domain), made(domain, "published")
    assert len(keyring.revoke(key, "ada", "not wanted")) == 1
    assert states(domain) == {FIRST: "active", key.selector: "revoked", spare.selector: "published"}


def test_revoked_is_for_good(domain: SendingDomain) -> None:
    key = first()
    keyring.revoke(key, "ada", "leaked")
    assert keyring.revoke(key, "bob", "again") == []
    assert not keyring.activate(key, "bob", "please", force=True)
    assert story(key) == [("revoked", "ada", "leaked")]


def test_nobody_sees_a_moment_without_a_key_while_a_spare_takes_over(domain: SendingDomain) -> None:
    made(domain, "published")
    seen = []
    with keyring.locked(domain.pk):
        keyring.revoke(first(), "ada", "leaked")
        other = threading.Thread(
            target=lambda: (
                seen.append(standing.standings([domain.pk])[domain.pk].keys[0][1]),
                connections.close_all(),
            )
        )
        other.start()
        other.join()
    assert seen == [FIRST]  # reading waits for nobody
    assert standing.standings([domain.pk])[domain.pk].keys[0][1] != FIRST


def test_a_broken_off_change_leaves_no_trace(domain: SendingDomain, monkeypatch: pytest.MonkeyPatch) -> None:
    key = made(domain, "published")
    before = states(domain), KeyEvent.objects.count()
    told = keyring._tell
    monkeypatch.setattr(
        keyring, "_tell", lambda key, kind, by: told(key, kind, by) if kind == "retired" else 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        keyring.activate(key, "ada")
    assert (states(domain), KeyEvent.objects.count()) == before


@pytest.mark.parametrize(
    "act",
    [
        lambda: KeyEvent.objects.update(who="nobody"),
        lambda: KeyEvent.objects.all().delete(),
    ],
)
def test_the_story_of_keys_is_never_rewritten(domain: SendingDomain, act: Any) -> None:
    key = made(domain)
    with pytest.raises(Error, match="permission denied"):
        act()
    assert story(key) == [("made", "ada", "")]


def test_the_database_too_wants_a_reason_for_force(domain: SendingDomain) -> None:
    with pytest.raises(IntegrityError, match="keyevent_forced_says_why"):
        KeyEvent.objects.create(key=first(), kind="forced", at=keyring.now(), who="ada", why=" ")


# -- the command -----------------------------------------------------------------------------------------------


def keys(*words: str) -> str:
    out = StringIO()
    call_command("keys", *words, stdout=out)
    return out.getvalue()


def test_a_key_is_made_published_and_rotated_from_the_command_line(domain: SendingDomain, dns: Dns) -> None:
    name = domain.name
    keys("rotate", name, "--why", "yearly")
    key = SigningKey.objects.get(state="created")
    assert f'{key}. 300 IN TXT "v=DKIM1; k=rsa; p=' in keys(
        "rotate", name
    )  # still to be published: no second one is made
    assert SigningKey.objects.count() == 2
    dns.show(key)
    keyring.publish(key, dns)
    assert f"{key}: activated." in keys("rotate", name, "--who", "ada")
    assert states(domain) == {FIRST: "retiring", key.selector: "active"}
    assert story(key)[-1][:2] == ("activated", "ada")
    listed = keys("list", name).splitlines()
    assert [line.split()[:3] for line in listed] == [
        [str(key), RSA, "active"],
        [f"{FIRST}._domainkey.{name}", RSA, "retiring"],
    ]
    assert f"{key} signs now." in keys("revoke", name, "--selector", FIRST, "--why", "leaked")


def test_the_command_forces_only_with_a_reason(domain: SendingDomain) -> None:
    key = made(domain)
    for words in ([], ["--selector", key.selector], ["--force"], ["--force", "--why", " "]):
        with pytest.raises(CommandError):
            keys("activate", domain.name, *words)
    assert states(domain)[key.selector] == "created"
    keys("activate", domain.name, "--force", "--why", "the zone comes with it")
    assert states(domain)[key.selector] == "active"


def test_who_revokes_the_last_key_is_told_that_nothing_is_sent_any_more(domain: SendingDomain) -> None:
    said = keys("revoke", domain.name, "--selector", FIRST, "--why", "leaked")
    assert (
        f"nothing is accepted or sent from it until one is. Next: manage.py keys make {domain.name}" in said
    )


@pytest.mark.parametrize("action", ["make", "activate", "revoke"])
def test_the_command_wants_a_domain_that_is_there(domain: SendingDomain, action: str) -> None:
    for name in ([], ["elsewhere.test"]):
        with pytest.raises(CommandError, match=domain.name):
            keys(action, *name)


def test_the_command_does_not_guess_which_key_to_revoke(domain: SendingDomain) -> None:
    made(domain)
    with pytest.raises(CommandError, match="several"):
        keys("revoke", domain.name, "--why", "leaked")
    assert "revoked" not in states(domain).values()


# -- secrets ---------------------------------------------------------------------------------------------------


def test_no_private_half_is_shown_logged_or_exported(
    domain: SendingDomain, settings: Any, caplog: pytest.LogCaptureFixture, capfd: Any, dns: Dns
) -> None:
    caplog.set_level(logging.DEBUG)
    key = keyring.make(domain, RSA, who="ada", why="canary")
    said = [keys("make", domain.name), keys("rotate", domain.name), repr(key), str(key), f"{key.__dict__}"]
    dns.show(key)
    keyring.publish(key, dns)
    keyring.activate(key, "ada")
    settings.AO_MASTER_KEYS = [new_master_key(), *settings.AO_MASTER_KEYS]
    said += [keys("reseal"), keys("list")]
    export = StringIO()
    call_command("dumpdata", "reputation", stdout=export)
    rows = SigningKey.objects.exclude(selector=FIRST)
    secrets = [vault().unseal(bytes(row.private_sealed)).decode() for row in rows]
    assert len(secrets) == 2
    keyring.revoke(key, "ada", "over")
    everything = "\n".join([*said, export.getvalue(), caplog.text, *capfd.readouterr()])
    assert "activated" in caplog.text
    for secret in secrets:
        # a line of the key's own text, not of its frame
        assert secret.splitlines()[3] not in everything
    assert "PRIVATE KEY" not in everything


def test_without_a_master_key_nothing_is_made_and_the_error_shows_nothing(
    domain: SendingDomain, settings: Any
) -> None:
    settings.AO_MASTER_KEYS = []
    with pytest.raises(BadMasterKey) as refused:
        keyring.make(domain, RSA)
    assert "PRIVATE KEY" not in "".join(traceback.format_exception(refused.value))
    with pytest.raises(CommandError):
        keys("make", domain.name)
    assert states(domain) == {FIRST: "active"}
    assert not KeyEvent.objects.exists()


@pytest.mark.parametrize("algorithm", ["rsa-sha1", "", "RSA"])
def test_there_is_no_other_algorithm(domain: SendingDomain, algorithm: str) -> None:
    with pytest.raises(ValueError, match="Algorithm"):
        keyring.make(domain, algorithm)
