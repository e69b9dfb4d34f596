"""Relay services' webhooks at the door: each as the service documents it, and everything that is not from there."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from django.test import Client, override_settings
from standardwebhooks.webhooks import Webhook

from outbox import esp, ids, mailboxes, relayed, sessions
from outbox.models import ReturnCount, SeenEvent, Signal
from reputation.models import Suppression
from reputation.vault import new_master_key
from tests.outbox import test_sns
from tests.outbox.returning import VERP, delivered, kinds, return_path, signals, standing

pytestmark = pytest.mark.usefixtures("live_db")

USER: Final = "esp:a long secret of theirs"
SECRET: Final = "key of a service"
SVIX: Final = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
NOBODY: Final = "550 5.1.1 user unknown"


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def bare(key: Any) -> str:
    """A public key as these services show it: PEM without its first and last line."""
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return "".join(pem.decode().splitlines()[1:-1])


SETTINGS: Final = {
    "WEBHOOK_SECRET": [USER],
    "SNS_TOPICS": [test_sns.TOPIC],
    "MAILERSEND_SIGNING_SECRET": SECRET,
    "MAILGUN_WEBHOOK_SIGNING_KEY": SECRET,
    "MAILTRAP_TRACKING_SECRET": SECRET,
    "MANDRILL_WEBHOOK_KEY": SECRET,
    "MANDRILL_WEBHOOK_URL": "https://ao.example/v1/returns/esp/mandrill/",
    "POSTAL_WEBHOOK_KEY": bare(rsa_key()),
    "RESEND_SECRET": SVIX,
    "SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY": bare(ec_key()),
}


@pytest.fixture(autouse=True)
def world(live_db: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    esp._view.cache_clear()
    monkeypatch.setattr(
        esp, "_certificate", lambda _url: test_sns.certificate(until=datetime(2099, 1, 1, tzinfo=UTC))
    )
    with override_settings(ANYMAIL=SETTINGS, AO_MASTER_KEYS=[new_master_key()], AO_VERP_KEYS=[VERP]):
        mailboxes.forget()
        yield
        mailboxes.forget()
    esp._view.cache_clear()


@pytest.fixture
def one(live_db: Any) -> UUID:
    [made] = delivered(sessions.begin("test"), status="relayed")
    return made


@dataclass(frozen=True, slots=True)
class Post:
    """One webhook as it goes over the wire."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "application/json"


def token(of: UUID) -> str:
    return return_path(of).partition("@")[0].removeprefix("b+")


def basic(value: Any) -> Post:
    login = base64.b64encode(USER.encode()).decode()
    return Post(json.dumps(value).encode(), {"Authorization": f"Basic {login}"})


def with_basic(post: Post) -> Post:
    """One secret for all that sign nothing is asked of the others too."""
    return Post(post.body, {**basic(None).headers, **post.headers}, post.kind)


def digest(body: bytes, header: str) -> Post:
    return Post(body, {header: hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()})


def brevo(of: UUID, name: str) -> Post:
    said = {"event": name, "email": "p0@example.org", "message-id": "<x@smtp-relay>", "reason": NOBODY}
    return basic({**said, "X-Mailin-custom": json.dumps({"ao_ref": token(of)})})


def mailersend(of: UUID, name: str) -> Post:
    email = {"recipient": {"email": "p0@example.org"}, "message": {"id": token(of)}}
    morph = {"object": "recipient_bounce", "reason": NOBODY}
    data = {
        "id": f"{of}{name}",
        "type": name,
        "created_at": "2026-11-23T03:59:00Z",
        "email": email,
        "morph": morph,
    }
    return digest(json.dumps({"type": f"activity.{name}", "data": data}).encode(), "Signature")


def mailgun(of: UUID, name: str) -> Post:
    signed = {"timestamp": "1795406400", "token": f"{of.hex}{name}"}
    signed["signature"] = hmac.new(
        SECRET.encode(), (signed["timestamp"] + signed["token"]).encode(), hashlib.sha256
    ).hexdigest()
    data = {
        "event": name,
        "severity": "permanent",
        "recipient": "p0@example.org",
        "timestamp": 1795406400.5,
        "user-variables": {"ao_ref": token(of)},
        "delivery-status": {"code": 550, "message": NOBODY, "description": ""},
    }
    return Post(json.dumps({"signature": signed, "event-data": data}).encode())


def mailjet(of: UUID, name: str) -> Post:
    said = {"event": name, "time": 1795406400, "MessageID": 1, "email": "p0@example.org", "hard_bounce": True}
    return basic([{**said, "Payload": json.dumps({"ao_ref": token(of)}), "smtp_reply": NOBODY}])


def mailtrap(of: UUID, name: str) -> Post:
    said = {"event": name, "message_id": "m", "event_id": f"{of}{name}", "email": "p0@example.org"}
    event = {**said, "timestamp": 1795406400, "response": NOBODY, "custom_variables": {"ao_ref": token(of)}}
    return digest(json.dumps({"events": [event]}).encode(), "Mailtrap-Signature")


def mandrill(of: UUID, name: str) -> Post:
    msg = {
        "email": "p0@example.org",
        "diag": NOBODY,
        "metadata": {"ao_ref": token(of)},
        "_id": "m",
        "tags": [],
    }
    posted = json.dumps([{"event": name, "ts": 1795406400, "_id": "m", "msg": msg}])
    signed = SETTINGS["MANDRILL_WEBHOOK_URL"] + "mandrill_events" + posted
    mac = base64.b64encode(hmac.new(SECRET.encode(), signed.encode(), hashlib.sha1).digest()).decode()
    body = urlencode({"mandrill_events": posted}).encode()
    return Post(body, {"X-Mandrill-Signature": mac}, "application/x-www-form-urlencoded")


def postal(of: UUID, name: str) -> Post:
    message = {"id": 1, "direction": "outgoing", "to": "p0@example.org", "message_id": token(of), "tag": ""}
    payload = {"status": name, "details": "", "output": NOBODY, "message": message}
    said = {
        "event": "MessageDeliveryFailed",
        "timestamp": 1795406400.5,
        "uuid": f"{of}{name}",
        "payload": payload,
    }
    body = json.dumps(said).encode()
    mac = base64.b64encode(rsa_key().sign(body, padding.PKCS1v15(), hashes.SHA1())).decode()
    return Post(body, {"X-Postal-Signature": mac})


def postmark(of: UUID, name: str) -> Post:
    said = {
        "RecordType": name,
        "Type": "HardBounce",
        "ID": 42,
        "Email": "p0@example.org",
        "Details": f"smtp;{NOBODY}",
    }
    if name != "Bounce":
        said |= {"Type": "SpamComplaint", "Recipient": "p0@example.org"}
    return basic(
        {**said, "MessageID": "m", "Metadata": {"ao_ref": token(of)}, "BouncedAt": "2026-11-23T03:59:00Z"}
    )


def resend(of: UUID, name: str) -> Post:
    headers = [{"name": "X-AO-Ref", "value": token(of)}]
    data = {"email_id": "m", "to": ["p0@example.org"], "headers": headers, "bounce": {"message": NOBODY}}
    body = json.dumps({"type": f"email.{name}", "created_at": "2026-11-23T03:59:00Z", "data": data})
    now = datetime.now(UTC)
    key = f"msg_{of.hex}{name}"
    signed = {
        "id": key,
        "timestamp": str(int(now.timestamp())),
        "signature": Webhook(SVIX).sign(key, now, body),
    }
    return Post(body.encode(), {f"svix-{part}": value for part, value in signed.items()})


def sendgrid(of: UUID, name: str) -> Post:
    said = {"event": name, "email": "p0@example.org", "timestamp": 1795406400, "sg_event_id": f"{of}{name}"}
    body = json.dumps([{**said, "type": "bounce", "reason": NOBODY, "ao_ref": token(of)}]).encode()
    mac = base64.b64encode(ec_key().sign(b"1795406400" + body, ec.ECDSA(hashes.SHA256()))).decode()
    name = "X-Twilio-Email-Event-Webhook"
    return Post(body, {f"{name}-Signature": mac, f"{name}-Timestamp": "1795406400"})


def sparkpost(of: UUID, name: str) -> Post:
    event = {
        "type": name,
        "timestamp": "1795406400",
        "event_id": f"{of}{name}",
        "raw_rcpt_to": "p0@example.org",
    }
    event |= {"raw_reason": NOBODY, "rcpt_meta": {"ao_ref": token(of)}, "bounce_class": "10"}
    return basic([{"msys": {"message_event": event}}])


def ses(of: UUID, name: str) -> Post:
    mail = {"messageId": "m", "destination": ["p0@example.org"], "tags": {"ao_ref": [token(of)]}}
    people = [{"emailAddress": "p0@example.org", "status": "5.1.1", "diagnosticCode": f"smtp; {NOBODY}"}]
    told: dict[str, Any] = {"eventType": name, "mail": mail}
    told["bounce"] = {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": people}
    told["complaint"] = {"complainedRecipients": people, "complaintFeedbackType": "abuse"}
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    message = test_sns.message(MessageId=f"{of}{name}", Message=json.dumps(told), Timestamp=now)
    headers = {"x-amz-sns-message-type": message["Type"], "x-amz-sns-message-id": message["MessageId"]}
    return Post(json.dumps(message).encode(), headers, "text/plain; charset=UTF-8")


Maker = Callable[[UUID, str], Post]
# service -> how it posts, what it calls a bounce and a complaint
POSTS: Final[Mapping[str, tuple[Maker, str, str]]] = {
    "amazon_ses": (ses, "Bounce", "Complaint"),
    "brevo": (brevo, "hard_bounce", "complaint"),
    "mailersend": (mailersend, "hard_bounced", "spam_complaint"),
    "mailgun": (mailgun, "failed", "complained"),
    "mailjet": (mailjet, "bounce", "spam"),
    "mailtrap": (mailtrap, "bounce", "spam"),
    "mandrill": (mandrill, "hard_bounce", "spam"),
    "postal": (postal, "HardFail", ""),
    "postmark": (postmark, "Bounce", "SpamComplaint"),
    "resend": (resend, "bounced", "complained"),
    "sendgrid": (sendgrid, "bounce", "spamreport"),
    "sparkpost": (sparkpost, "bounce", "spam_complaint"),
}
SERVICES: Final = sorted(POSTS)
UNSIGNED: Final = {brevo, mailjet, postmark, sparkpost, mailgun}  # a password, or a token


def send(service: str, post: Post) -> int:
    sent = with_basic(post)
    answer = Client(raise_request_exception=False).generic(
        "POST", f"/v1/returns/esp/{service}/", sent.body, content_type=sent.kind, headers=dict(sent.headers)
    )
    return answer.status_code


def bounce(service: str, of: UUID) -> Post:
    make, name, _ = POSTS[service]
    return make(of, name)


@pytest.mark.parametrize("service", SERVICES)
def test_a_bounce_moves_its_delivery_and_suppresses_who_is_unknown(service: str, one: UUID) -> None:
    assert send(service, bounce(service, one)) == 202
    assert standing(one)[0] == "bounced"
    assert signals() == [(one, "bounced")]
    signal = Signal.objects.get()
    assert (signal.source, signal.reporter) == ("esp", service)
    assert Suppression.objects.filter(reason="hard_bounce").count() == 1, "its server has said so"


@pytest.mark.parametrize("service", [name for name in SERVICES if POSTS[name][2]])
def test_a_complaint_is_an_event_and_suppresses(service: str, one: UUID) -> None:
    make, _, name = POSTS[service]
    assert send(service, make(one, name)) == 202
    assert standing(one)[0] == "relayed", "a complaint is no state"
    assert "complained" in kinds(one)
    assert Suppression.objects.filter(reason="complaint").count() == 1


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_posted_again_counts_no_second_time(service: str, one: UUID) -> None:
    for _ in range(3):
        assert send(service, bounce(service, one)) == 202
    assert signals() == [(one, "bounced")]


# What is signed is signed inside: Amazon SES needs no header, Mailgun signs a token and not the body.
@pytest.mark.parametrize("service", [name for name in SERVICES if name not in {"amazon_ses", "mailgun"}])
def test_a_post_without_its_signature_moves_nothing(service: str, one: UUID) -> None:
    good = bounce(service, one)
    assert send(service, Post(good.body, {"Authorization": "Basic eDp5"}, good.kind)) == 401
    assert (standing(one)[0], signals()) == ("relayed", [])


@pytest.mark.parametrize("service", [name for name in SERVICES if POSTS[name][0] not in UNSIGNED])
def test_a_body_that_was_altered_moves_nothing(service: str, one: UUID) -> None:
    good = bounce(service, one)
    body = good.body.replace(b"p0@", b"p1@").replace(b"p0%40", b"p1%40")
    assert body != good.body
    assert send(service, Post(body, good.headers, good.kind)) == 401
    assert (standing(one)[0], signals()) == ("relayed", [])


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_without_a_secret_does_not_exist(service: str, one: UUID) -> None:
    with override_settings(ANYMAIL={}):
        esp._view.cache_clear()
        assert send(service, bounce(service, one)) == 401
    assert signals() == []


def test_a_service_nobody_knows_is_refused(one: UUID) -> None:
    assert send("acme", bounce("postmark", one)) == 401


def test_who_did_not_sign_is_told_of_signatures_and_not_of_keys(live_db: Any) -> None:
    (remedy,) = Client().post("/v1/returns/esp/postmark/", b"{}", "application/json").json()["remedy"]
    assert remedy.startswith("Sign the webhook")
    assert "Bearer" not in remedy


def test_every_service_that_a_route_can_name_is_tried_here() -> None:
    assert set(esp.SERVICES) - set(POSTS) == {"unisender_go"}, (
        "its signature covers a form that its page does not show"
    )


def test_mail_of_others_is_none_of_ours(one: UUID) -> None:
    elsewhere = UUID("01976a3f-0000-7000-8000-000000000001")
    assert send("postmark", bounce("postmark", elsewhere)) == 202
    assert (standing(one)[0], signals()) == ("relayed", [])


@pytest.mark.parametrize(
    ("to", "status"),
    [
        ("P0@example.org", "bounced"),
        ("someone@else.example", "relayed"),  # nobody else of the message is moved
    ],
)
def test_a_service_that_keeps_only_our_message_id_finds_the_recipient(
    one: UUID, to: str, status: str
) -> None:
    name = ids.printed("msg", ids.message_of(one))[4:]
    post = basic({"event": "hard_bounce", "email": to, "message-id": f"<{name}@agents.acme.test>"})
    assert send("brevo", post) == 202
    assert standing(one)[0] == status


def test_an_unsubscribe_at_the_service_ends_the_stream_for_that_person(one: UUID) -> None:
    assert send("mailgun", mailgun(one, "unsubscribed")) == 202
    assert "unsubscribed" in kinds(one)
    assert Suppression.objects.get().scope == "stream:agents-support"


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"x"', b"{}", b"[" * 20_000])
@pytest.mark.parametrize("service", ["postmark", "sparkpost", "mailjet", "brevo"])
def test_what_comes_from_there_and_makes_no_sense_is_told_so(service: str, body: bytes, one: UUID) -> None:
    assert send(service, Post(body, basic(None).headers)) in {202, 400}
    assert signals() == []


def test_a_body_that_is_too_large_is_not_read(one: UUID) -> None:
    assert send("postmark", basic({"x": "y" * esp.MAX_BYTES})) == 413


def test_some_services_ask_whether_anybody_is_here(one: UUID) -> None:
    assert Client().head("/v1/returns/esp/mandrill/").status_code == 200


def test_what_came_is_counted_by_its_end(one: UUID) -> None:
    from outbox import counting

    send("postmark", bounce("postmark", one))
    counting.write()
    assert ReturnCount.objects.filter(source="esp", end="counted").exists()


def test_old_events_are_forgotten(one: UUID) -> None:
    send("sendgrid", bounce("sendgrid", one))
    assert relayed.forget() == 0
    SeenEvent.objects.update(at=datetime(2026, 1, 1, tzinfo=UTC))
    assert relayed.forget() == 1
