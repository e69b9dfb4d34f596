"""Amazon SNS messages: what stands between SES's notifications and anybody who can post JSON.

Guarantees: only a message of a topic on our list, of SignatureVersion 2 (SHA-256), whose certificate comes from
SNS's own host over verified TLS, is in force and named for SNS, and whose signature and time are right. Refuses
version 1, other certificate hosts, redirects, and to confirm a subscription to anybody else's topic.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

# A message is repeated for at most an hour; older ones are somebody's recording.
TOLERANCE: Final = timedelta(hours=1)
_HOST: Final = re.compile(r"sns\.[a-z]{2}(?:-[a-z]+){1,3}-\d{1,2}\.amazonaws\.com(?:\.cn)?")
_CERTIFICATE: Final = re.compile(r"/SimpleNotificationService-[0-9a-f]{16,64}\.pem")
_SIGNED: Final[Mapping[str, Sequence[str]]] = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        *("Message", "MessageId", "SubscribeURL", "Timestamp", "Token"),
        *("TopicArn", "Type"),
    ),
}


class NotGenuine(Exception):
    """It is not what SNS sends; says why, for the log."""


def check(
    message: Mapping[str, Any], topics: Sequence[str], now: datetime, fetch: Callable[[str], bytes]
) -> str:
    """The type of a genuine message. ``fetch`` gets a certificate (PEM) from a URL that was found to be SNS's.

    Raises:
        NotGenuine: whatever is wrong with it.
    """
    kind = str(message.get("Type"))
    names = _SIGNED.get(kind)
    if names is None:
        raise NotGenuine(f"a message of type {kind[:40]!r}")
    if message.get("TopicArn") not in topics:
        raise NotGenuine("a topic that is not ours")
    if message.get("SignatureVersion") != "2":
        raise NotGenuine("a signature that is not of version 2")
    if abs(now - _instant(message.get("Timestamp"))) > TOLERANCE:
        raise NotGenuine("a time that is not now")
    url = str(message.get("SigningCertURL"))
    if not _is_certificate(url):
        raise NotGenuine("a certificate that is not from SNS")
    _verify(message, names, _key(fetch(url), now))
    return kind


def subscription(message: Mapping[str, Any]) -> str:
    """Where a checked subscription is confirmed.

    Raises:
        NotGenuine: not at SNS.
    """
    url = str(message.get("SubscribeURL"))
    if not _of_sns(url):
        raise NotGenuine("a confirmation that is not at SNS")
    return url


def _is_certificate(url: str) -> bool:
    parts = urlsplit(url)
    return _of_sns(url) and not parts.query and _CERTIFICATE.fullmatch(parts.path) is not None


def _of_sns(url: str) -> bool:
    """Compared as it is written: userinfo, ports, other suffixes and fragments are all no SNS host."""
    parts = urlsplit(url)
    return parts.scheme == "https" and _HOST.fullmatch(parts.netloc) is not None and not parts.fragment


def _instant(text: object) -> datetime:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")).astimezone(UTC)
    except ValueError:
        raise NotGenuine("no time") from None


def _key(pem: bytes, now: datetime) -> rsa.RSAPublicKey:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise NotGenuine("a certificate that is none") from None
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    in_force = certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
    key = certificate.public_key()
    if not in_force or not any(_names_sns(str(name.value)) for name in names):
        raise NotGenuine("a certificate that is not SNS's, or not in force")
    if not isinstance(key, rsa.RSAPublicKey):
        raise NotGenuine("a certificate without an RSA key")
    return key


def _names_sns(name: str) -> bool:
    return name == "sns.amazonaws.com" or _HOST.fullmatch(name) is not None


def _verify(message: Mapping[str, Any], names: Sequence[str], key: rsa.RSAPublicKey) -> None:
    lines = [f"{name}\n{message[name]}\n" for name in names if message.get(name) is not None]
    try:
        signature = base64.b64decode(str(message.get("Signature")), validate=True)
        key.verify(signature, "".join(lines).encode(), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, binascii.Error):
        raise NotGenuine("a wrong signature") from None
