"""Postfix with OpenDKIM as its milter (Debian's packages), in folders of its own.

OpenDKIM signs when a message is taken, so the yardstick is from the first message handed over to the last at
the sink, with taking, signing and delivering going on together, as it is run. What release alone takes, of
mail that was signed and held before, is told beside it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.installation import DOMAIN, answers, free_port
from bench.processes import BenchError, Process, running, until
from bench.rivals.rival import NotAvailable, Rate, all_arrived, inject, needs, through
from bench.sink import Sink
from bench.stand import Stand

SBIN = "/usr/sbin"
CONNECTIONS = 20  # that hand mail over; 50 are no faster
DELIVERING = 100  # smtp(8) processes: more do not help on two cores, and all may talk to the one sink

MAIN = """
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
command_directory = /usr/sbin
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
myhostname = out.acme.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
relayhost = [127.0.0.1]:{sink}
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_milters = unix:{folder}/milter
milter_default_action = tempfail
default_process_limit = 500
default_destination_concurrency_limit = {delivering}
initial_destination_concurrency = {delivering}
smtp_tls_security_level = none
smtpd_tls_security_level = none
disable_dns_lookups = yes
smtpd_peername_lookup = no
in_flow_delay = 0s
"""

MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - {delivering} smtp
relay unix - - n - {delivering} smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

OPENDKIM = """
Domain {domain}
Selector bench
KeyFile {folder}/dkim.pem
Socket local:{folder}/milter
UMask 000
Mode s
Canonicalization relaxed/relaxed
SignatureAlgorithm rsa-sha256
InternalHosts 127.0.0.1
OversignHeaders From
RequireSafeKeys no
Background no
UserID root
"""


@dataclass(frozen=True, slots=True)
class Postfix:
    """`delivering` conversations at once; `released` also measures the release of signed mail."""

    name: str = "postfix + opendkim"
    delivering: int = DELIVERING
    released: bool = True

    def run(self, stand: Stand, n: int) -> Rate:
        """See the module."""
        needs("postfix", "postsuper", "opendkim")
        if os.geteuid():
            raise NotAvailable("Postfix's master wants to be started by root")
        with (
            tempfile.TemporaryDirectory(prefix="bench-postfix-") as text,
            self._running(Path(text), stand.sink) as started,
        ):
            folder, (port, servers) = Path(text), started
            through(port, stand.sink, 200, CONNECTIONS, folder, servers)
            rate = through(port, stand.sink, n, CONNECTIONS, folder, servers)
            more = (
                {"released_per_second": self._release(folder, stand.sink, n, port)} if self.released else {}
            )
        return Rate(rate.per_second, rate.cpu_ms, more)

    @contextlib.contextmanager
    def _running(self, folder: Path, sink: Sink) -> Iterator[tuple[int, list[int]]]:
        folder.chmod(0o755)
        port = free_port()
        self._write(folder, sink.ports.smtp, port)
        opendkim = Process(
            [f"{SBIN}/opendkim", "-f", "-x", f"{folder}/opendkim.conf"], os.environ, folder / "opendkim.log"
        )
        with running(opendkim):
            until((folder / "milter").exists, 10, "OpenDKIM listens", of=opendkim)
            _postfix(folder, "start")
            try:
                until(lambda: answers(port), 20, "Postfix listens")
                master = int((folder / "queue" / "pid" / "master.pid").read_text())
                yield port, [master, opendkim.pid]
            finally:
                _postfix(folder, "abort")

    def _write(self, folder: Path, sink_port: int, port: int) -> None:
        from reputation import signing

        pem = folder / "dkim.pem"
        pem.write_bytes(signing.generate(signing.Algorithm.RSA).private_pem)
        pem.chmod(0o600)
        places = {name: folder / name for name in ("queue", "data")}
        for place in places.values():
            place.mkdir()
        subprocess.run(["chown", "postfix", places["data"]], check=True)
        known = {**places, "folder": folder, "sink": sink_port, "port": port}
        known |= {"delivering": self.delivering, "domain": DOMAIN, "daemons": _daemons()}
        for name, template in (("main.cf", MAIN), ("master.cf", MASTER), ("opendkim.conf", OPENDKIM)):
            (folder / name).write_text(template.format(**known))

    def _release(self, folder: Path, sink: Sink, n: int, port: int) -> float:
        """Messages per second from the release of signed, held mail to the last at the sink."""
        main = folder / "main.cf"
        main.write_text(main.read_text() + "smtpd_client_restrictions = check_client_access static:HOLD\n")
        _postfix(folder, "reload")
        inject(port, n, CONNECTIONS, folder)
        sink.mark()
        began = time.monotonic()
        # -H puts them into the deferred queue, which -f has scanned at once; a scan that was under way misses some
        subprocess.run([f"{SBIN}/postsuper", "-c", folder, "-H", "ALL"], check=True, capture_output=True)
        while sink.accepted() < n and time.monotonic() < began + 120:
            subprocess.run([f"{SBIN}/postqueue", "-c", folder, "-f"], check=True, capture_output=True)
            with contextlib.suppress(BenchError):
                return n / (all_arrived(sink, n, 2) - began)
        raise BenchError(f"Postfix released {sink.accepted()} of {n}")


def _daemons() -> str:
    return next(place for place in ("/usr/lib/postfix/sbin", "/usr/libexec/postfix") if Path(place).exists())


def _postfix(folder: Path, word: str) -> None:
    done = subprocess.run(
        [f"{SBIN}/postfix", "-c", folder, word], capture_output=True, text=True, check=False
    )
    if done.returncode and word != "abort":
        raise NotAvailable(f"postfix {word}: {done.stderr.strip()[-300:]}")
