"""A master key is replaced: every secret moves under the new one, and the old one may go."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from reputation import keyring, resealing, signing, suppression
from reputation.models import Route, SendingDomain, SigningKey
from reputation.vault import Unsealable, Vault, new_master_key, vault
from tests import factories

OLD, NEW = new_master_key(), new_master_key()
PASSWORD = b"s3cret"
KEYS, ROUTES = "reputation.SigningKey.private_sealed", "reputation.Route.password_sealed"
SUPPRESSED = "reputation.Suppression.address_sealed"
SECRETS = (
    "outbox.Endpoint.secret_sealed",
    "outbox.Endpoint.old_secret_sealed",
    "outbox.Phone.secret_sealed",
)  # of webhooks and people's phones; nobody has any here


@pytest.fixture
def sealed(live_db: Any, settings: Any) -> list[SigningKey]:
    """Five keys, a password and an address under the old master key; the cast's own have nothing sealed."""
    settings.AO_MASTER_KEYS = [OLD]
    domain = SendingDomain.objects.get(stream=factories.stream())
    Route.objects.create(name="relay", ehlo="x.test", password_sealed=vault().seal(PASSWORD))
    keys = [keyring.make(domain, SigningKey.Algorithm.ED25519) for _ in range(5)]
    suppression.suppress(
        suppression.complaint(name, "arf") for name in ("ada@example.org", "gone@example.org")
    )
    suppression.erase("gone@example.org")
    settings.AO_MASTER_KEYS = [NEW, OLD]
    return keys


def tallies(**options: Any) -> dict[str, resealing.Tally]:
    return {tally.column: tally for tally in resealing.reseal(**options)}


def command(*words: str) -> str:
    out = StringIO()
    call_command("keys", "reseal", *words, stdout=out)
    return out.getvalue()


def opens(settings: Any, *keys: str) -> None:
    """These master keys open every secret, and each private half is still the one that was published."""
    settings.AO_MASTER_KEYS = list(keys)
    for row in SigningKey.objects.exclude(private_sealed=b"").select_related("domain"):
        pem = vault().unseal(bytes(row.private_sealed))
        signer = signing.load(row.domain.name, row.selector, signing.Algorithm(row.algorithm), pem)
        assert signer.public_record == row.public_record
    assert vault().unseal(bytes(Route.objects.get(name="relay").password_sealed)) == PASSWORD


def test_after_resealing_the_new_key_alone_opens_everything(sealed: list[SigningKey], settings: Any) -> None:
    with pytest.raises(CommandError, match="keep the older"):
        command("--check")
    opens(settings, OLD)  # looking changes nothing
    settings.AO_MASTER_KEYS = [NEW, OLD]
    assert "may be dropped" in command()
    assert "may be dropped" in command("--check")
    opens(settings, NEW)
    with pytest.raises(Unsealable):
        opens(settings, OLD)


def test_it_counts_what_it_did_and_what_is_left(
    sealed: list[SigningKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resealing, "BATCH", 2)
    none = {name: resealing.Tally(name) for name in SECRETS}
    assert tallies(only_look=True) == none | {
        KEYS: resealing.Tally(KEYS, old=5),
        ROUTES: resealing.Tally(ROUTES, old=1),
        SUPPRESSED: resealing.Tally(SUPPRESSED, old=1),
    }
    assert tallies()[KEYS] == resealing.Tally(KEYS, resealed=5)
    assert tallies() == none | {
        KEYS: resealing.Tally(KEYS, newest=5),
        ROUTES: resealing.Tally(ROUTES, newest=1),
        SUPPRESSED: resealing.Tally(SUPPRESSED, newest=1),
    }


def test_broken_off_it_goes_on_where_it_was(
    sealed: list[SigningKey], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    treat, left = resealing._treat, iter([True, True, False])

    def power_cut(*given: Any) -> str:
        if not next(left, False):
            raise KeyboardInterrupt
        return treat(*given)

    with monkeypatch.context() as patch:
        patch.setattr(resealing, "_treat", power_cut)
        with pytest.raises(KeyboardInterrupt):
            resealing.reseal()
    opens(settings, NEW, OLD)
    assert sum(tally.newest for tally in resealing.reseal()) == 2
    opens(settings, NEW)


def test_a_value_stored_meanwhile_is_never_overwritten(
    sealed: list[SigningKey], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotate = Vault.rotate
    other = Vault([OLD]).seal(b"another password")

    def beside(box: Vault, value: bytes) -> bytes:
        Route.objects.filter(name="relay").update(password_sealed=other)
        return rotate(box, value)

    with monkeypatch.context() as patch:
        patch.setattr(Vault, "rotate", beside)
        assert tallies()[ROUTES] == resealing.Tally(ROUTES, old=1)
    assert bytes(Route.objects.get(name="relay").password_sealed) == other
    assert tallies()[ROUTES] == resealing.Tally(ROUTES, resealed=1)


def test_what_no_key_opens_is_counted_as_lost_and_left_alone(sealed: list[SigningKey]) -> None:
    foreign = Vault([new_master_key()]).seal(b"x")
    SigningKey.objects.filter(pk=sealed[1].pk).update(private_sealed=foreign)
    assert tallies()[KEYS] == resealing.Tally(KEYS, resealed=4, lost=1)
    assert bytes(SigningKey.objects.get(pk=sealed[1].pk).private_sealed) == foreign
    with pytest.raises(CommandError, match="keep the older"):
        command()


def test_every_sealed_column_is_found() -> None:
    assert {KEYS, ROUTES} <= {str(column) for column in resealing.columns()}


def test_no_secret_is_printed(sealed: list[SigningKey], capfd: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    said = command() + caplog.text + "".join(capfd.readouterr())
    for text in (OLD, NEW, PASSWORD.decode(), "PRIVATE KEY"):
        assert text not in said
