"""An authority of the tests' own: certificates that are right, wrong, expired, or of somebody else."""

import datetime as dt
import ssl
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from simulator.certificates import issue


class Authority:
    """Issues certificates for servers; `ca_file` makes them trusted."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._now = folder, dt.datetime.now(dt.UTC)
        self._self = issue("Authority", (), self._now, None)
        self.ca_file = str(folder / "ca.pem")
        Path(self.ca_file).write_bytes(self._self.certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, name: str, *, trusted: bool = True, days: int = 0) -> ssl.SSLContext:
        chain = self._folder / "chain.pem"
        now = self._now + dt.timedelta(days=days)
        chain.write_bytes(issue(name, (name,), now, self._self if trusted else None).pem())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        return context
