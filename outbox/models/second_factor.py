"""Phones as people's second factor."""

from django.db import models
from django_otp.plugins.otp_totp.models import TOTPDevice

from reputation.vault import vault


class Phone(TOTPDevice):  # type: ignore[misc]
    """django-otp's device with its secret sealed: the column where django-otp would keep it stays empty."""

    secret_sealed = models.BinaryField(editable=False)

    @property
    def bin_key(self) -> bytes:
        """The secret. Raises Unsealable."""
        return vault().unseal(bytes(self.secret_sealed))
