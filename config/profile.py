"""The embedded profile: what the environment of `make run` says, when nobody has said anything.

Production sets the same variables itself and needs none of this. Secrets are drawn once and kept in
`var/embedded.env` (mode 600), beside what follows from PORT; to remove `var/` is to start anew. Every port
follows from PORT, and each PORT has a block of its own, so that neighbouring ones do not collide.
"""

from __future__ import annotations

import base64
import os
import secrets
import shlex
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.embedded import Urls
from config.wheel import write_private

# Processes of a worker: one a core, up to what the embedded database has connections for (each takes about ten).
WORKERS = min(os.cpu_count() or 2, 8)
BLOCK, BLOCKS, FIRST_PORT = 7, 3200, 10_000  # up to 32,400: from 32,768 kernels hand ports out to clients


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP and UDP ports of one running installation, all on 127.0.0.1."""

    web: int
    returns: int
    dns: int
    smtp: int
    relay: int
    postgresql: int
    policies: int
    switch: int

    @classmethod
    def following(cls, port: str) -> Ports:
        """Raises ValueError if `port` is not one an ordinary user may open."""
        web = int(port) if port.isdecimal() else 0
        if not 1024 <= web <= 65535:
            raise ValueError(f"PORT wants a number from 1024 to 65535, not {port!r}")
        first = FIRST_PORT + web % BLOCKS * BLOCK
        return cls(web, *range(first, first + BLOCK))

    def taken(self) -> list[int]:
        """Those somebody listens on already."""
        asked = (self.web, self.returns, self.dns, self.smtp, self.relay, self.policies, self.switch)
        return [port for port in asked if _answers(port)]


@dataclass(frozen=True, slots=True)
class Places:
    """Where the embedded profile keeps things, below the checkout."""

    checkout: Path

    @property
    def var(self) -> Path:
        return self.checkout / "var"

    @property
    def environment(self) -> Path:
        return self.var / "embedded.env"

    @property
    def demo(self) -> Path:
        return self.var / "demo.json"

    @property
    def zone(self) -> Path:
        return self.var / "zone.json"

    @property
    def oracle_log(self) -> Path:
        return self.var / "oracle.jsonl"

    @property
    def log(self) -> Path:
        return self.var / "log" / "outbox.log"

    @property
    def running(self) -> Path:
        return self.var / "running"


def environment(places: Places, ports: Ports, urls: Urls) -> dict[str, str]:
    """Write `var/embedded.env` for a shell, and return what it says: the secrets of last time, all else as of now."""
    known = _read(places.environment)
    said = {
        "SECRET_KEY": known.get("SECRET_KEY") or secrets.token_urlsafe(48),
        "AO_MASTER_KEYS": known.get("AO_MASTER_KEYS") or _key(),
        "AO_VERP_KEYS": known.get("AO_VERP_KEYS") or _key(),
        "AO_SUPPRESSION_KEY": known.get("AO_SUPPRESSION_KEY") or _key(),
        "DATABASE_URL": urls.app,
        "DATABASE_OWNER_URL": urls.owner,
        "CELERY_BROKER_URL": os.environ.get("CELERY_BROKER_URL", "pgmq://localhost"),
        "ALLOWED_HOSTS": "localhost,127.0.0.1,[::1]",
        "PUBLIC_URL": f"http://127.0.0.1:{ports.web}",
        "PORT": str(ports.web),
        "AO_SWITCH_PORT": str(ports.switch),
        "AO_SWITCH_DATABASE_URL": urls.switch,
        "AO_SWITCH_URL": f"http://127.0.0.1:{ports.switch}",
        "WORKERS": os.environ.get("WORKERS") or str(WORKERS),
        "AO_NAMESERVERS": f"127.0.0.1:{ports.dns}",
        "AO_SMTP_PORT": str(ports.smtp),
        "AO_STS_PORT": str(ports.policies),
        "AO_CA_FILE": str(places.var / "certificates" / "ca.pem"),
        "AO_RETURNS": f"127.0.0.1:{ports.returns}",
        "AO_ALLOW_TEST_NAMES": "1",
        "AO_ALLOW_LOOPBACK": "1",
        "AO_BEAT_SCHEDULE": str(places.var / "celerybeat-schedule"),
        "SIMULATOR_DNS_PORT": str(ports.dns),
        "SIMULATOR_RELAY_PORT": str(ports.relay),
        "SIMULATOR_ZONE": str(places.zone),
        "SIMULATOR_CERTIFICATES": str(places.var / "certificates"),
        "SIMULATOR_LOG": str(places.oracle_log),
    }
    (places.var / "static").mkdir(parents=True, exist_ok=True)
    write_private(
        places.environment, "".join(f"export {name}={shlex.quote(value)}\n" for name, value in said.items())
    )
    return said


def of_children(said: Mapping[str, str], python: Path) -> dict[str, str]:
    """The environment of the product's processes: ours, what the profile says, this virtual environment."""
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
    return {
        **os.environ,
        **said,
        "PATH": path,
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }


def _read(path: Path) -> dict[str, str]:
    lines: Iterable[str] = path.read_text().splitlines() if path.exists() else ()
    pairs = (line.removeprefix("export ").partition("=") for line in lines)
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}


def _key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
