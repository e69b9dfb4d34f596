"""The vault: what is sealed stays sealed, and a master key can be replaced."""

import pytest
from cryptography.fernet import Fernet

from reputation.vault import BadMasterKey, Unsealable, Vault, new_master_key, vault

OLD, NEW = new_master_key(), new_master_key()
SECRET = b"-----BEGIN PRIVATE KEY-----"


def test_a_secret_comes_back_and_is_not_in_what_is_stored():
    sealed = Vault([NEW]).seal(SECRET)
    assert SECRET not in sealed
    assert Vault([NEW]).unseal(sealed) == SECRET


def test_sealing_twice_tells_nobody_that_it_was_the_same_secret():
    assert Vault([NEW]).seal(SECRET) != Vault([NEW]).seal(SECRET)


def test_a_master_key_is_replaced_without_losing_a_secret():
    sealed = Vault([OLD]).seal(SECRET)
    both = Vault([NEW, OLD])
    assert both.unseal(sealed) == SECRET
    rotated = both.rotate(sealed)
    assert Vault([NEW]).unseal(rotated) == SECRET
    with pytest.raises(Unsealable):
        Vault([OLD]).unseal(rotated)


def test_it_can_tell_what_an_older_key_sealed():
    both = Vault([NEW, OLD])
    assert both.is_newest(Vault([NEW]).seal(SECRET)) is True
    assert both.is_newest(Vault([OLD]).seal(SECRET)) is False
    with pytest.raises(Unsealable):
        both.is_newest(Vault([new_master_key()]).seal(SECRET))


def test_the_first_key_seals():
    assert Fernet(NEW).decrypt(Vault([NEW, OLD]).seal(SECRET)) == SECRET


def one_letter_changed(sealed: bytes) -> bytes:
    return sealed[:20] + (b"B" if sealed[20:21] == b"A" else b"A") + sealed[21:]


@pytest.mark.parametrize("spoil", [lambda s: s[:-1], lambda s: b"", lambda s: SECRET, one_letter_changed])
def test_an_altered_value_is_not_opened(spoil):
    box = Vault([NEW])
    for act in (box.unseal, box.rotate):
        with pytest.raises(Unsealable):
            act(spoil(box.seal(SECRET)))


def test_a_foreign_key_opens_nothing():
    with pytest.raises(Unsealable):
        Vault([OLD]).unseal(Vault([NEW]).seal(SECRET))


@pytest.mark.parametrize("keys", [[], [NEW, ""], [NEW, "short"], [NEW, NEW[:-2]], [NEW, "ö" * 44]])
def test_without_usable_keys_there_is_no_vault_and_the_error_names_none(keys):
    with pytest.raises(BadMasterKey) as refused:
        Vault(keys)
    assert not any(key and key in str(refused.value) for key in keys)


def test_nothing_that_is_printed_holds_a_key():
    box = Vault([NEW, OLD])
    for text in (repr(box), str(box), f"{box}"):
        assert text == "<Vault of 2 keys>"
    assert not hasattr(box, "__dict__")


def test_the_installations_vault_follows_the_setting(settings):
    settings.AO_MASTER_KEYS = [OLD]
    sealed = vault().seal(SECRET)
    settings.AO_MASTER_KEYS = [NEW, OLD]
    assert vault().unseal(sealed) == SECRET
    settings.AO_MASTER_KEYS = [NEW]
    with pytest.raises(Unsealable):
        vault().unseal(sealed)
