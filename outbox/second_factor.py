"""The second factor of people who have one: a six-digit code of their phone (RFC 6238), or a recovery code once.

The one room that speaks to django-otp. Guarantees, by its devices: a code counts once, each wrong one makes the next
wait longer, and two requests cannot use the same one. A secret is shown while it is being enrolled and never again; a
recovery code is shown when it is made. Refuses nothing to whoever has not enrolled: the password is asked anyway.
"""

import base64
from dataclasses import dataclass
from typing import Final

import segno
from django.contrib.auth.models import User
from django.db import transaction
from django_otp import verify_token
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

DIGITS: Final = 6
RECOVERY_CODES: Final = 10
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
    return bool(TOTPDevice.objects.filter(user=user, confirmed=True).exists())


def codes_left(user: User) -> int:
    """How many recovery codes are unused."""
    return int(StaticToken.objects.filter(device__user=user).count())


def enrolment(user: User) -> Enrolment:
    """The secret that this person is about to enrol: the same until it is confirmed."""
    device, _ = TOTPDevice.objects.get_or_create(user=user, confirmed=False, defaults={"name": NAME})
    letters = base64.b32encode(device.bin_key).decode().rstrip("=")
    picture = segno.make(device.config_url, error="m").svg_data_uri(scale=5, border=4, light="#fff")
    return Enrolment(
        picture, device.config_url, " ".join(letters[at : at + 4] for at in range(0, len(letters), 4))
    )


def confirm(user: User, code: str) -> list[str] | None:
    """Enrol the secret, if the phone knows it: fresh recovery codes, or None where the code is wrong."""
    device = TOTPDevice.objects.filter(user=user, confirmed=False).order_by("pk").first()
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
        StaticToken.objects.bulk_create(StaticToken(device=device, token=code) for code in codes)
    return codes


def passes(user: User, code: str) -> bool:
    """Whether this is a code of theirs that has not been used."""
    given = _digits(code)
    by_phone = len(given) == DIGITS and given.isdecimal()
    devices = (TOTPDevice if by_phone else StaticDevice).objects.filter(user=user, confirmed=True)
    return any(verify_token(user, device.persistent_id, given) for device in devices)


def remove(user: User) -> None:
    """Go on without a second factor."""
    with transaction.atomic():
        TOTPDevice.objects.filter(user=user).delete()
        StaticDevice.objects.filter(user=user).delete()


def _digits(code: str) -> str:
    """A code as people type it: phones show it with a gap."""
    return "".join(code.split()).lower()[:32]
