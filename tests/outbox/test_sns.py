"""What passes for a message of Amazon SNS, and everything that only looks like one."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from outbox import sns

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
TOPIC = "arn:aws:sns:eu-west-1:123456789012:ses"
CERTIFICATE = (
    "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
)
SIGNED = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


@cache
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def certificate(name: str = "sns.amazonaws.com", until: datetime = NOW + timedelta(days=1)) -> bytes:
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key().public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=30))
        .not_valid_after(until)
        .sign(key(), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def message(sign: bool = True, **other: Any) -> dict[str, Any]:
    """A notification as SNS posts it, signed after what was changed."""
    made = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": '{"eventType": "Bounce"}',
        "Timestamp": "2026-11-23T03:59:00.000Z",
        "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE,
        **other,
    }
    return {**made, "Signature": signature(made)} if sign else made


def signature(of: Mapping[str, Any], digest: hashes.HashAlgorithm | None = None) -> str:
    text = "".join(f"{name}\n{of[name]}\n" for name in SIGNED if name in of)
    signed = key().sign(text.encode(), padding.PKCS1v15(), digest or hashes.SHA256())
    return base64.b64encode(signed).decode()


def checked(said: Mapping[str, Any], pem: bytes = b"") -> str:
    return sns.check(said, [TOPIC], NOW, lambda _url: pem or certificate())


def test_a_signed_notification_of_our_topic_is_genuine() -> None:
    assert checked(message()) == "Notification"
    assert checked(message(Subject="Amazon SES")) == "Notification"


def test_a_subscription_says_where_it_is_confirmed() -> None:
    url = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37"
    said = message(Type="SubscriptionConfirmation", SubscribeURL=url, Token="2336412f37")
    assert checked(said) == "SubscriptionConfirmation"
    assert sns.subscription(said) == url


@pytest.mark.parametrize(
    "other",
    [
        {"TopicArn": "arn:aws:sns:eu-west-1:999999999999:ses"},  # somebody else's account
        {"SignatureVersion": "1"},  # SHA-1
        {"SignatureVersion": 2},  # not the text that SNS writes
        {"Type": "UnsubscribeConfirmation"},  # nothing that we asked for
        {"Type": "Ping"},
        {"Timestamp": "2026-11-23T02:59:00.000Z"},  # a recording
        {"Timestamp": "2026-11-23T05:01:00.000Z"},  # from the future
        {"Timestamp": "yesterday"},
    ],
)
def test_what_is_signed_but_not_for_us_or_not_now_is_refused(other: dict[str, Any]) -> None:
    with pytest.raises(sns.NotGenuine):
        checked(message(**other))


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",  # plain
        "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-0123456789abcdef.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-0123456789abcdef.pem",
        "https://x@sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",  # userinfo
        "https://sns.eu-west-1.amazonaws.com:8443/SimpleNotificationService-0123456789abcdef.pem",
        "https://sns.eu-west-1.amazonaws.com/../bucket/SimpleNotificationService-0123456789abcdef.pem",
        "https://sns.eu-west-1.amazonaws.com/bucket/SimpleNotificationService-0123456789abcdef.pem",
        "https://s3.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",  # anybody's bucket
        "https://10.0.0.1/SimpleNotificationService-0123456789abcdef.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem?x=1",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem#x",
        "https://SNS.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
        "",
    ],
)
def test_a_certificate_comes_from_sns_or_is_not_fetched(url: str) -> None:
    def fetch(_url: str) -> bytes:
        raise AssertionError("it was fetched")

    with pytest.raises(sns.NotGenuine):
        sns.check(message(SigningCertURL=url), [TOPIC], NOW, fetch)


@pytest.mark.parametrize(
    "pem",
    [
        certificate(name="evil.example"),
        certificate(name="sns.eu-west-1.amazonaws.com.evil.example"),
        certificate(until=NOW - timedelta(seconds=1)),  # out of force
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"hello",
    ],
)
def test_a_certificate_that_is_not_of_sns_or_not_in_force_is_refused(pem: bytes) -> None:
    with pytest.raises(sns.NotGenuine):
        checked(message(), pem)


@pytest.mark.parametrize("name", ["Message", "MessageId", "Timestamp", "Subject"])
def test_what_was_altered_after_it_was_signed_is_refused(name: str) -> None:
    said = message(Subject="as it was")
    said[name] = "2026-11-23T03:58:00.000Z" if name == "Timestamp" else said[name] + "x"
    with pytest.raises(sns.NotGenuine):
        checked(said)


@pytest.mark.parametrize("wrong", ["", "AAAA", "not base64 at all!", None])
def test_no_signature_and_a_wrong_one_are_refused(wrong: object) -> None:
    with pytest.raises(sns.NotGenuine):
        checked(message() | {"Signature": wrong})


def test_a_signature_over_sha1_is_refused() -> None:
    said = message(sign=False)
    with pytest.raises(sns.NotGenuine):
        checked(said | {"Signature": signature(said, hashes.SHA1())})


@pytest.mark.parametrize(
    "url", ["https://evil.example/?Action=ConfirmSubscription", "http://sns.eu-west-1.amazonaws.com/", ""]
)
def test_a_confirmation_elsewhere_is_not_followed(url: str) -> None:
    with pytest.raises(sns.NotGenuine):
        sns.subscription({"SubscribeURL": url})
