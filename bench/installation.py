"""An installation of the product to be measured: its own durable cluster, a seeded database, its processes.

Nothing of it outlives the run, and nothing of the checkout's own installation is touched.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from bench.processes import Process, running, until
from bench.sink import Ports
from config import profile
from config.embedded import Cluster

AGENT, DOMAIN, SENDER = "bench", "agents.acme.test", "ada@agents.acme.test"
RUN = "backlog"
DISPATCHERS = profile.WORKERS  # what `make run` starts
PREFIX = "ao-bench-"


@dataclass(frozen=True, slots=True)
class Installation:
    """Where everything is. `url` connects as the application, `owner_url` as the owner of the tables."""

    folder: Path
    environment: Mapping[str, str]
    url: str
    owner_url: str
    superuser_url: str
    web_port: int
    postmaster: int
    api_key: str = ""

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection of the owner, in autocommit."""
        return psycopg.connect(self.owner_url, autocommit=True)

    def as_superuser(self) -> psycopg.Connection[tuple[object, ...]]:
        """A connection that may do everything, in autocommit."""
        return psycopg.connect(self.superuser_url, autocommit=True)

    @contextlib.contextmanager
    def started(self, name: str, command: list[str], **more: str) -> Iterator[Process]:
        """A process of the product."""
        told = {**self.environment, **more}
        with running(Process(command, told, self.folder / f"{name}.log")) as process:
            yield process

    @contextlib.contextmanager
    def workers(self, dispatchers: int = DISPATCHERS, **more: str) -> Iterator[Process]:
        """A Celery worker as the Procfile starts it, with its dispatchers awake, and beat."""
        celery = [sys.executable, "-m", "celery", "--app", "config", "--quiet"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        command = [*celery, "worker", "--loglevel", "warning", "--concurrency", str(dispatchers), *quiet]
        beat = [*celery, "beat", "--loglevel", "warning"]
        with self.connect() as connection:
            connection.execute(
                "UPDATE outbox_session SET ended_at = clock_timestamp() WHERE ended_at IS NULL"
            )
        with self.started("worker", command, **more) as worker, self.started("beat", beat, **more):
            with self.connect() as connection:
                until(lambda: _sessions(connection) >= dispatchers, 60, f"{dispatchers} sessions", of=worker)
            yield worker

    @contextlib.contextmanager
    def web(self) -> Iterator[Process]:
        """The web server as the Procfile starts it."""
        with self.serving("config.wsgi:application", self.web_port) as process:
            yield process

    @contextlib.contextmanager
    def serving(self, application: str, port: int) -> Iterator[Process]:
        """Any WSGI application under Granian with the settings of the Procfile."""
        command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1"]
        command += ["--port", str(port), "--workers", "1", "--blocking-threads", "8", "--no-ws"]
        command += ["--log-level", "error", application]
        with self.started(f"web-{port}", command) as process:
            until(lambda: answers(port), 30, f"{application} listens", of=process)
            yield process


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """A started durable cluster in a temporary folder, gone afterwards."""
    for leftover in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        owner = leftover.name.split("-")[2]
        if not (owner.isdigit() and Path(f"/proc/{owner}").exists()):
            _cluster(leftover).remove()
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    made = _cluster(folder)
    try:
        made.ensure_started()
        yield made
    finally:
        made.remove()
        shutil.rmtree(folder, ignore_errors=True)


def environment(made: Cluster, ports: Ports, folder: Path, web_port: int) -> dict[str, str]:
    """What the product's processes are told; they check themselves at the start, as in production."""
    urls = made.urls()
    return {
        **{name: value for name, value in os.environ.items() if name != "AO_CHECKING"},
        "DATABASE_URL": urls.app,
        "DATABASE_OWNER_URL": urls.owner,
        "CELERY_BROKER_URL": "pgmq://localhost",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "AO_MASTER_KEYS": _key(),
        "AO_VERP_KEYS": _key(),
        "AO_SUPPRESSION_KEY": _key(),
        "PUBLIC_URL": f"http://127.0.0.1:{web_port}",
        "AO_NAMESERVERS": f"127.0.0.1:{ports.dns}",
        "AO_SMTP_PORT": str(ports.smtp),
        "AO_ALLOW_TEST_NAMES": "1",
        "AO_ALLOW_LOOPBACK": "1",
        "AO_BEAT_SCHEDULE": str(folder / "beat"),
        "LOG_LEVEL": "WARNING",
        "PYTHONWARNINGS": "ignore",
    }


def seeded(made: Cluster, told: Mapping[str, str], folder: Path, web_port: int) -> Installation:
    """Tables, rights, queue, one stream with its domain and key, one agent without limits, its key."""
    os.environ.pop("AO_CHECKING", None)
    os.environ.update(told)
    import django
    from django.core.management import call_command

    django.setup()
    import config.celery  # noqa: F401  so that what is accepted here kicks the right broker

    call_command("prepare", verbosity=0)
    urls = made.urls()
    return Installation(
        folder, told, urls.app, urls.owner, urls.superuser, web_port, made.running_pid() or 0, _seed()
    )


def _seed() -> str:
    from outbox import keys
    from outbox.models import Agent, ApiKey
    from reputation import signing
    from reputation.models import OrganisationalDomain, Route, SendingDomain, SigningKey, Stream
    from reputation.vault import vault

    stream = Stream.objects.create(name="agents-bench")
    # Plain: so speak all the peers, and what TLS costs is the same for everybody.
    route = Route.objects.create(
        name="direct", ehlo="out.acme.test", security=Route.Security.NONE, preset="none"
    )
    domain = SendingDomain.objects.create(
        name=DOMAIN,
        stream=stream,
        organisation=OrganisationalDomain.objects.create(name="acme.test", use="agents", preset="none"),
        route=route,
        default_sender=SENDER,
        state="verified",
        checked_at=datetime.now(UTC) + timedelta(days=1),  # nobody serves its records here
        preset="none",
    )
    pair = signing.generate(signing.Algorithm.RSA)
    SigningKey.objects.create(
        domain=domain,
        selector="bench",
        algorithm=SigningKey.Algorithm.RSA,
        private_sealed=vault().seal(pair.private_pem),
        public_record=pair.public_record,
        state=SigningKey.State.ACTIVE,
    )
    many = 100_000_000
    limits = {f"recipients_per_{name}": many for name in ("hour", "day", "run")}
    agent = Agent.objects.create(name=AGENT, stream=stream, exempt=True, requests_per_minute=many, **limits)
    return keys.issue(agent, ApiKey.Kind.AGENT, keys.SCOPES, "bench")[1]


def free_port() -> int:
    """A TCP port nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _sessions(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    found = connection.execute("SELECT count(*) FROM outbox_session WHERE ended_at IS NULL").fetchone()
    assert found is not None
    return int(str(found[0]))


def _cluster(folder: Path) -> Cluster:
    return Cluster(folder, folder / "socket", folder / "passwords")


def _key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
