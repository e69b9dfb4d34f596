"""Settings: addresses, secrets and switches of deployment, from the environment. Policy numbers live with
their rules. A bad value stops the start with a sentence that says which variable and what it wants."""

import ipaddress
import logging
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
YEARS = 10 * 365 * 24 * 3600  # as good as for ever, where a number of seconds is wanted


def text(name: str, default: str | None = None) -> str:
    value = os.environ.get(name, default)
    if value is None:
        raise ImproperlyConfigured(f"Set {name}; see README, 'In production'.")
    return value


def flag(name: str, default: bool = False) -> bool:
    value = os.environ.get(name, "1" if default else "0").lower()
    if value not in {"0", "1", "true", "false", "yes", "no"}:
        raise ImproperlyConfigured(f"{name} wants 1 or 0, not {value!r}.")
    return value in {"1", "true", "yes"}


def number(name: str, default: int, least: int = 0) -> int:
    value = os.environ.get(name, str(default))
    if not value.isdecimal() or int(value) < least:
        raise ImproperlyConfigured(f"{name} wants a whole number from {least}, not {value!r}.")
    return int(value)


def words(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in os.environ.get(name, default).split(",") if word.strip()]


def endpoints(name: str) -> list[tuple[str, int]]:
    pairs = [word.rpartition(":") for word in words(name)]
    if any(not host or not port.isdigit() for host, _, port in pairs):
        raise ImproperlyConfigured(f"{name} wants host:port, separated by commas.")
    return [(host, int(port)) for host, _, port in pairs]


def one_of(name: str, known: Sequence[str], default: str) -> str:
    value = text(name, default).upper()
    if value not in known:
        raise ImproperlyConfigured(f"{name} wants one of {', '.join(known)}.")
    return value


def command(name: str) -> list[str]:
    try:
        return shlex.split(text(name, ""))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} wants a command and its words: {error}.") from None


def service(name: str, schemes: Sequence[str], default: str) -> str:
    """A URL that may hold a password: it is not said again."""
    value = text(name, default)
    if value and value.partition("://")[0] not in schemes:
        raise ImproperlyConfigured(
            f"{name} wants a URL that begins with {', '.join(f'{s}://' for s in schemes)}."
        )
    return value


def networks(name: str) -> list[str]:
    try:
        return [str(ipaddress.ip_network(word)) for word in words(name)]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} wants addresses or networks, by commas: {error}.") from None


def web_address(name: str, default: str = "") -> str:
    value = text(name, default).rstrip("/")
    parts = urlsplit(value)
    if value and (parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc):
        raise ImproperlyConfigured(f"{name} wants http:// or https:// and a host, without user or password.")
    return value


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def database(url: str) -> dict[str, Any]:
    """A ``postgresql://user:password@host:port/name?host=/socket/folder`` URL as Django wants it."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgresql", "postgres"}:
        raise ImproperlyConfigured("DATABASE_URL wants postgresql://user:password@host:port/name.")
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", unquote(parts.hostname or "")),
        "PORT": query.pop("port", str(parts.port or "")),
        "CONN_MAX_AGE": None,
        # A lost connection is noticed by the query that opens a request, which then asks again (outbox.keys).
        "CONN_HEALTH_CHECKS": False,
        "OPTIONS": {
            "prepare_threshold": 2,
            "connect_timeout": 3,
            # Prepared statements are written by hand and have one good plan; planning anew costs more than some run.
            "options": "-c plan_cache_mode=force_generic_plan",
            **query,
        },
    }


def kept(found: dict[str, Any], connections: int) -> dict[str, Any]:
    """The same database by so many connections that are opened at the start, tried at each use, and never given back.

    A transaction that idles (its process was frozen in it) is ended by the server: it may hold the switch's lock.
    """
    pool = {"min_size": connections, "max_size": connections, "timeout": 5}
    pool |= {"max_lifetime": YEARS, "max_idle": YEARS, "reconnect_timeout": 5}
    options = found["OPTIONS"]
    ended = f"{options['options']} -c idle_in_transaction_session_timeout=2s"
    lively = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 5000}
    named = {"application_name": "switch", "options": ended, "pool": pool}
    return found | {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True, "OPTIONS": {**lively, **options, **named}}


DEBUG = flag("DEBUG")
AO_CHECKING = flag("AO_CHECKING")
SECRET_KEY = text("SECRET_KEY", "insecure-only-for-checks" if AO_CHECKING else None)
ALLOWED_HOSTS = words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
PUBLIC_URL = web_address("PUBLIC_URL", "http://localhost:8000")

# The kill switch's own process (config.switch): where it is reached, and how many connections it keeps.
AO_SWITCH = flag("AO_SWITCH")
AO_SWITCH_URL = web_address("AO_SWITCH_URL", PUBLIC_URL)
AO_SWITCH_CONNECTIONS = number("AO_SWITCH_CONNECTIONS", 5, least=1)

DATABASE_URL = text("DATABASE_URL", "postgresql:///outbox")
DATABASES = {"default": database(DATABASE_URL)}
if AO_SWITCH:
    own = database(text("AO_SWITCH_DATABASE_URL", "") or DATABASE_URL)
    DATABASES = {"default": kept(own, AO_SWITCH_CONNECTIONS)}
if "DATABASE_OWNER_URL" in os.environ:
    DATABASES["owner"] = database(text("DATABASE_OWNER_URL")) | {"TEST": {"MIRROR": "default"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHE_URL = service("CACHE_URL", ["redis", "rediss", "unix"], "")
CACHES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": CACHE_URL}
    if CACHE_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 100_000}}
}
# One web process serves the embedded profile, so its own memory is shared enough for request rates.
SILENCED_SYSTEM_CHECKS = [] if CACHE_URL else ["django_ratelimit.E003", "django_ratelimit.W001"]

INSTALLED_APPS = [
    "outbox.apps.Admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "ninja",
    "reputation",
    "outbox",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "outbox.pages.Sessions",
    "outbox.pages.Common",
    "outbox.pages.Csrf",
    "outbox.pages.Authentication",
    "outbox.pages.SaysWho",
    "outbox.pages.Messages",
    "outbox.pages.XFrameOptions",
    "outbox.pages.ContentSecurity",
]
ROOT_URLCONF = "config.switch_urls" if AO_SWITCH else "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "var" / "static"
WHITENOISE_USE_FINDERS = True

# What a phone calls us; whoever looks at people's devices in the admin is shown no secret.
OTP_TOTP_ISSUER = "Agent Outbox"
OTP_ADMIN_HIDE_SENSITIVE_DATA = True

SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_AGE = 12 * 3600
# A proxy that speaks TLS for us passes on plain HTTP: what people's browsers call us is said here, not guessed from it.
CSRF_TRUSTED_ORIGINS = sorted({origin(PUBLIC_URL), origin(AO_SWITCH_URL)})
# Whose X-Forwarded-For and X-Forwarded-Proto are believed (`config.proxies`); of anybody else they are claims.
AO_PROXIES = networks("AO_PROXIES")
SECURE_HSTS_SECONDS = 31_536_000 if SESSION_COOKIE_SECURE else 0
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}
# 36 MiB of JSON is the contract's limit; the door measures it before it reads.
DATA_UPLOAD_MAX_MEMORY_SIZE = 36 * 1024 * 1024

BROKERS = ["pgmq", "amqp", "amqps", "redis", "rediss", "sentinel"]
CELERY_BROKER_URL = service("CELERY_BROKER_URL", BROKERS, "pgmq://")

AO_MASTER_KEYS = words("AO_MASTER_KEYS")
AO_VERP_KEYS = words("AO_VERP_KEYS")
# Looks suppressed addresses up and signs unsubscribe links, which never expire: it cannot be changed.
AO_SUPPRESSION_KEY = text("AO_SUPPRESSION_KEY", "")
# Direct delivery to the world, or only to a simulated one. Names under .test never meet real hosts.
AO_NAMESERVERS = endpoints("AO_NAMESERVERS")
# Who else is asked before a verified domain is degraded; where the first ones were named, they again.
AO_SECOND_NAMESERVERS = (
    endpoints("AO_SECOND_NAMESERVERS") or AO_NAMESERVERS or [("9.9.9.9", 53), ("1.1.1.1", 53)]
)
AO_SMTP_PORT = number("AO_SMTP_PORT", 25)
# The simulator's port for MTA-STS policies, and the authority of its certificates.
AO_STS_PORT = number("AO_STS_PORT", 443)
AO_CA_FILE = text("AO_CA_FILE", "")
AO_ALLOW_TEST_NAMES = flag("AO_ALLOW_TEST_NAMES")
# The mail hosts of this domain are greeted to see whether port 25 gets out of here; empty: it is not tried.
AO_EGRESS_DOMAIN = text("AO_EGRESS_DOMAIN", "gmail.test" if AO_ALLOW_TEST_NAMES else "gmail.com")
AO_ALLOW_LOOPBACK = flag("AO_ALLOW_LOOPBACK")
# Where unsubscribe links lead; {domain} is the sending domain. Links in mail need https (RFC 8058 §3.1).
AO_UNSUBSCRIBE_URL = text(
    "AO_UNSUBSCRIBE_URL", "https://u.{domain}" if PUBLIC_URL.startswith("https://") else PUBLIC_URL
).rstrip("/")
# Where `manage.py returns` listens, and whose DKIM signature (d=) makes a complaint at the feedback address count.
AO_RETURNS = endpoints("AO_RETURNS") or [("127.0.0.1", 2525)]
AO_FEEDBACK_SIGNERS = words("AO_FEEDBACK_SIGNERS", "arf.mail.yahoo.com")
# What proves that a relay service posts its own webhooks, by the names django-anymail has for it: a service without any
# is not listened to. WEBHOOK_SECRET (user:password, several by commas) guards those that sign nothing; SNS_TOPICS are
# ARNs.
ESP_LISTS = ("WEBHOOK_SECRET", "SNS_TOPICS")
ESP_SECRETS = (
    "MAILERSEND_SIGNING_SECRET MAILGUN_WEBHOOK_SIGNING_KEY MAILTRAP_TRACKING_SECRET MANDRILL_WEBHOOK_KEY "
    "MANDRILL_WEBHOOK_URL POSTAL_WEBHOOK_KEY RESEND_SECRET SENDGRID_TRACKING_WEBHOOK_VERIFICATION_KEY "
    "UNISENDER_GO_API_KEY"
).split()
ANYMAIL: dict[str, str | list[str]] = {
    **{name: words(f"AO_ESP_{name}") for name in ESP_LISTS if f"AO_ESP_{name}" in os.environ},
    **{name: text(f"AO_ESP_{name}") for name in ESP_SECRETS if f"AO_ESP_{name}" in os.environ},
}
# What the records of sending domains point to; see `reputation.publishing`. Nothing said: it follows from PUBLIC_URL
# and from the domain's route.
AO_RETURNS_HOST = text("AO_RETURNS_HOST", "")
AO_REPLIES_HOST = text("AO_REPLIES_HOST", "")
AO_REPORTS_MAILBOX = text("AO_REPORTS_MAILBOX", "")
AO_SENDING_ADDRESSES = words("AO_SENDING_ADDRESSES", "127.0.0.1" if AO_ALLOW_LOOPBACK else "")
# Whom alarms are told (JSON by POST, or to a command's standard input), who has to hear every minute that somebody
# watches, and where the runbook is read. Addresses of the operator's own: they may be internal.
AO_PAGER_URL = web_address("AO_PAGER_URL")
AO_PAGER_COMMAND = command("AO_PAGER_COMMAND")
AO_HEARTBEAT_URL = web_address("AO_HEARTBEAT_URL")
# The stream by which reviewers are written to when requests wait, a transactional one; empty: they are not.
AO_REVIEWERS_STREAM = text("AO_REVIEWERS_STREAM", "")
AO_RUNBOOK_URL = text("AO_RUNBOOK_URL", "docs/runbook.md")
AO_MAX_CONVERSATIONS = number("AO_MAX_CONVERSATIONS", 400, least=1)
AO_MAX_PER_SITE = number("AO_MAX_PER_SITE", 20, least=1)


def _without_trace(record: logging.LogRecord) -> bool:
    """Who may not, or finds nothing, is no fault of ours: a line tells it."""
    if getattr(record, "status_code", 500) < 500:
        record.exc_info = None
    return True


def _one_line(record: logging.LogRecord) -> bool:
    """A broker or a database that is gone is told by all that miss it, several a second: not with a stack each."""
    from django.db import InterfaceError, InternalError, OperationalError

    error = record.exc_info[1] if record.exc_info else None
    if record.name == "celery.beat" or isinstance(error, (InterfaceError, InternalError, OperationalError)):
        record.msg, record.args, record.exc_info = record.getMessage().partition("\n")[0], (), None
    return True


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "untraced": {"()": "django.utils.log.CallbackFilter", "callback": _without_trace},
        "one line": {"()": "django.utils.log.CallbackFilter", "callback": _one_line},
    },
    "loggers": {
        "django.request": {"filters": ["untraced"]},
        "celery.beat": {"filters": ["one line"]},
        "celery.app.trace": {"filters": ["one line"]},
        "mcp": {"level": "WARNING"},  # it tells the begin and the end of every request
    },
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {
        "handlers": ["console"],
        "level": one_of("LOG_LEVEL", ["DEBUG", "INFO", "WARNING", "ERROR"], "INFO"),
    },
}
