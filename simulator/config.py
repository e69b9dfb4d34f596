"""What one simulator is told before it starts. A plain value; port 0 means any free port."""

from dataclasses import dataclass, field
from pathlib import Path

LOGIN = ("demo", "demo")
"""User and password of the relay."""


@dataclass(frozen=True, slots=True)
class Config:
    """Where to listen, what to write, and how far away to seem.

    `host` is the address of DNS, relay, control and of the nameless SMTP server; the named ones have
    addresses of their own in 127.0.0.0/8. `relay_port`, `relay_tls_port`, `policy_port` and `control_port` are
    off when None. `returns` is where reports go (host, port); without it they are dropped. `latency_ms` is a whole
    round trip. `zone` and `zone_file` hold records as (type, text) by name; the file is read again when it
    changes.
    """

    log: Path
    host: str = "127.0.0.1"
    dns_port: int = 0
    smtp_port: int = 0
    relay_port: int | None = None
    relay_tls_port: int | None = None
    policy_port: int | None = None
    control_port: int | None = None
    returns: tuple[str, int] | None = None
    feedback_address: str | None = None
    cert_dir: Path | None = None
    keep: Path | None = None
    zone_file: Path | None = None
    zone: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    latency_ms: float = 0.0
    fsync: bool = True
