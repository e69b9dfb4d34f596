"""The second factor of people who have one: a six-digit code of their phone (RFC 6238), or a recovery code once.

The one room that speaks to django-otp. Guarantees, by its devices: a code counts once, each wrong one makes the next
wait longer, and two requests cannot use the same one. A secret is kept sealed, shown while it is being enrolled and
never again; a recovery code is shown when it is made and kept as a keyed hash. Refuses nothing to whoever has not
enrolled: the password is asked anyway.
"""

import base64
import secrets
from dataclasses import dataclass
from typing import Final

import segno
from django.contrib.auth.models import User
from django.db import transaction
from django.utils.crypto import salted_hmac
from django_otp import verify_token
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from outbox.models import Phone
from reputation.vault import vault

DIGITS: Final = 6
RECOVERY_CODES: Final = 10
SECRET_BYTES: Final = 20  # RFC 4226 §4: the length of HMAC-SHA-1's output
HASH_BYTES: Final = 10  # what the column holds in base32
NAME: Final = "phone"
RECOVERY: Final = "recovery codes"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a phone has to learn: as a picture (an SVG in a data: address), as an address, as letters to type."""

    picture: str
    address: str
    letters: str


def enrolled(user: User) -> bool:
    """Whether this person has a second factor."""
    return bool(Phone.objects.filter(user=user, confirmed=True).exists())


def codes_left(user: User) -> int:
    """How many recovery codes are unused."""
    return int(StaticToken.objects.filter(device__user=user).count())


def enrolment(user: User) -> Enrolment:
    """The secret that this person is about to enrol: the same until it is confirmed."""
    fresh = {"name": NAME, "key": "", "secret_sealed": vault().seal(secrets.token_bytes(SECRET_BYTES))}
    device, _ = Phone.objects.get_or_create(user=user, confirmed=False, defaults=fresh)
    letters = base64.b32encode(device.bin_key).decode().rstrip("=")
    picture = segno.make(device.config_url, error="m").svg_data_uri(scale=5, border=4, light="#fff")
    return Enrolment(
        picture, device.config_url, " ".join(letters[at : at + 4] for at in range(0, len(letters), 4))
    )


def confirm(user: User, code: str) -> list[str] | None:
    """Enrol the secret, if the phone knows it: fresh recovery codes, or None where the code is wrong."""
    device = Phone.objects.filter(user=user, confirmed=False).order_by("pk").first()
    if device is None or verify_token(user, device.persistent_id, _digits(code)) is None:
        return None
    with transaction.atomic():
        TOTPDevice.objects.filter(user=user).exclude(pk=device.pk).delete()
        TOTPDevice.objects.filter(pk=device.pk).update(confirmed=True)
        return recovery_codes(user)


def recovery_codes(user: User) -> list[str]:
    """Fresh codes for a day without the phone; those before are void."""
    with transaction.atomic():
        StaticDevice.objects.filter(user=user).delete()
        device = StaticDevice.objects.create(user=user, name=RECOVERY)
        codes = [StaticToken.random_token() for _ in range(RECOVERY_CODES)]
        hashes = [hashed(user.pk, code) for code in codes]
        StaticToken.objects.bulk_create(StaticToken(device=device, token=each) for each in hashes)
    return codes


def passes(user: User, code: str) -> bool:
    """Whether this is a code of theirs that has not been used."""
    given = _digits(code)
    by_phone = len(given) == DIGITS and given.isdecimal()
    devices = (Phone if by_phone else StaticDevice).objects.filter(user=user, confirmed=True)
    known_by = given if by_phone else hashed(user.pk, given)
    return any(verify_token(user, device.persistent_id, known_by) for device in devices)


def hashed(user: int, code: str) -> str:
    """What is kept of a recovery code. Its 40 bits could be tried one by one, but for the key: ``SECRET_KEY``."""
    digest = salted_hmac("agent-outbox recovery code", f"{user} {code}", algorithm="sha256").digest()
    return base64.b32encode(digest[:HASH_BYTES]).decode().lower()


def remove(user: User) -> None:
    """Go on without a second factor."""
    with transaction.atomic():
        TOTPDevice.objects.filter(user=user).delete()
        StaticDevice.objects.filter(user=user).delete()


def _digits(code: str) -> str:
    """A code as people type it: phones show it with a gap."""
    return "".join(code.split()).lower()[:32]
