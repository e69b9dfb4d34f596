"""Relay services' webhooks: who posts is checked, then django-anymail reads what each of them means.

Guarantees: nothing is read before a signature or secret of that service was right; a service that was given no secret
does not exist here. What Amazon SNS signs is checked by ``sns``, which the library does not do; its subscriptions are
confirmed only for topics on our list. The one importer of django-anymail; its signals and mail backends stay unused.
"""

import asyncio
import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from anymail.exceptions import AnymailError
from anymail.webhooks.base import AnymailCoreWebhookView
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest
from django.utils.module_loading import import_string
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from outbox import sns
from outbox.esp_reports import ServiceEvent
from reputation.fetching import Answer, Fetcher, FetchFailed, Limits
from reputation.resolver import Resolver

logger = logging.getLogger(__name__)

MAX_BYTES: Final = 1 << 20
MAX_EVENTS: Final = 1000  # of one post: services send a few hundred at most
CERTIFICATE: Final = Limits(size=16 * 1024, total=5.0)


class NotFromThere(PermissionError):
    """The post does not come from the service, or there is none of that name; says why, for the log."""


class Unreadable(ValueError):
    """It comes from the service, and is nothing that it documents."""


@dataclass(frozen=True, slots=True)
class Service:
    """Where the library reads it, and which of its settings (any of them) prove who posts."""

    view: str
    proofs: tuple[str, ...]


SERVICES: Final[Mapping[str, Service]] = {
    "amazon_ses": Service("amazon_ses.AmazonSESTrackingWebhookView", ("SNS_TOPICS",)),
    "brevo": Service("brevo.BrevoTrackingWebhookView", ("WEBHOOK_SECRET",)),
    "mailersend": Service("mailersend.MailerSendTrackingWebhookView", ("MAILERSEND_SIGNING_SECRET",)),
    "mailgun": Service("mailgun.MailgunTrackingWebhookView", ("MAILGUN_WEBHOOK_SIGNING_KEY",)),
    "mailjet": Service("mailjet.MailjetTrackingWebhookView", ("WEBHOOK_SECRET",)),
    "mailtrap": Service("mailtrap.MailtrapTrackingWebhookView", ("MAILTRAP_TRACKING_SECRET",)),
    "mandrill": Service("mandrill.MandrillCombinedWebhookView", ("MANDRILL_WEBHOOK_KEY",)),
    "postal": Service("postal.PostalTrackingWebhookView", ("POSTAL_WEBHOOK_KEY",)),
    "postmark": Service("postmark.PostmarkTrackingWebhookView", ("WEBHOOK_SECRET",)),
    "resend": Service("resend.ResendTrackingWebhookView", ("RESEND_SECRET",)),
    "sendgrid": Service(
        "sendgrid.SendGridTrackingWebhookView",
        ("SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY", "WEBHOOK_SECRET"),
    ),
    "sparkpost": Service("sparkpost.SparkPostTrackingWebhookView", ("WEBHOOK_SECRET",)),
    "unisender_go": Service("unisender_go.UnisenderGoTrackingWebhookView", ("UNISENDER_GO_API_KEY",)),
}


def events(request: HttpRequest, name: str, now: datetime) -> list[ServiceEvent]:
    """What a service's post tells, once it is certain that it comes from there.

    Raises:
        NotFromThere: it does not.
        Unreadable: it does, and makes no sense.
    """
    service = SERVICES.get(name)
    if service is None or not any(map(_secret, service.proofs)):
        raise NotFromThere(f"no service {name!r} was given a secret")
    try:
        return [_event(each) for each in islice(_read(name, service, request, now), MAX_EVENTS)]
    except (SuspiciousOperation, sns.NotGenuine, WebhookVerificationError) as error:
        raise NotFromThere(f"{name}: {error}") from None
    except (
        AnymailError,
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        RecursionError,
    ) as error:
        raise Unreadable(f"{name}: {type(error).__name__}: {error}"[:300]) from error


def _read(name: str, service: Service, request: HttpRequest, now: datetime) -> Sequence[Any]:
    if name == "amazon_ses":
        return _of_sns(service, request, now)
    if name == "resend":
        _check_resend(request)
    view = _view(service.view)
    view.run_validators(request)
    found: Sequence[Any] = view.parse_events(request)
    return found


@lru_cache
def _view(path: str) -> AnymailCoreWebhookView:
    with (
        warnings.catch_warnings()
    ):  # that it is insecure without basic auth: its signature was asked for above
        warnings.simplefilter("ignore")
        made: AnymailCoreWebhookView = import_string(f"anymail.webhooks.{path}")()
        return made


def _check_resend(request: HttpRequest) -> None:
    """Standard Webhooks under its older names; the library would want another package for it."""
    names = ("id", "timestamp", "signature")
    headers = {f"webhook-{name}": request.headers.get(f"svix-{name}", "") for name in names}
    Webhook(_secret("RESEND_SECRET")).verify(request.body, headers)


# -- Amazon SES through SNS ----------------------------------------------------------------------------------


def _of_sns(service: Service, request: HttpRequest, now: datetime) -> Sequence[Any]:
    message = json.loads(request.body)
    if not isinstance(message, dict):
        raise TypeError("not an object")
    if sns.check(message, settings.ANYMAIL["SNS_TOPICS"], now, _certificate) == "SubscriptionConfirmation":
        _fetch(sns.subscription(message))
        return []
    told = json.loads(message["Message"])
    # made without its __init__, which wants Amazon's client only to confirm subscriptions by itself
    view = object.__new__(import_string(f"anymail.webhooks.{service.view}"))
    found: Sequence[Any] = view.esp_to_anymail_events(told, message)
    return found


@lru_cache(maxsize=16)
def _certificate(url: str) -> bytes:
    return _fetch(url)


def _fetch(url: str) -> bytes:
    try:
        answer = asyncio.run(_get(url))
    except FetchFailed as error:
        raise sns.NotGenuine(f"{url}: {error}") from None
    if answer.status != 200:
        raise sns.NotGenuine(f"{url} answers {answer.status}")
    return answer.body


async def _get(url: str) -> Answer:
    resolver = Resolver(settings.AO_NAMESERVERS or None, allow_loopback=settings.AO_ALLOW_LOOPBACK)
    fetcher = Fetcher(resolver, port=settings.AO_STS_PORT, ca_file=settings.AO_CA_FILE)
    return await fetcher.get(url, CERTIFICATE)


# -- in our words --------------------------------------------------------------------------------------------


def _event(event: Any) -> ServiceEvent:
    raw = event.esp_event
    if hasattr(raw, "dict"):  # a form, as Django reads it
        raw = raw.dict()
    return ServiceEvent(
        kind=str(event.event_type),
        id=str(event.event_id or ""),
        recipient=str(event.recipient or ""),
        reply=str(event.mta_response or ""),
        remark=str(event.description or ""),
        raw=json.dumps(raw, default=str)[:MAX_BYTES],
    )


def _secret(name: str) -> Any:
    return settings.ANYMAIL.get(name)
