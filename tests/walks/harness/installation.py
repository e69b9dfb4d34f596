"""One installation: a database of its own, its own small internet, and as many real processes as a test wants.

`with Installation.of(template, folder) as here` brings up database and simulator; workers, beat and web are started
by the test, since most tests want to choose when they die. Leaving it kills everything and drops the database.
"""

import base64
import contextlib
import itertools
import json
import os
import re
import secrets
import socket
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString, Self, TypeVar
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row

from config.embedded import Cluster, Urls
from outbox import ids
from reputation.lookups import Lookups
from simulator import oracle
from simulator.oracle import Entry
from tests.ports import free_port
from tests.walks.harness.inside import Inside, Seed, Switched
from tests.walks.harness.invariants import Report, check
from tests.walks.harness.processes import CHECKOUT, Process, Worker, died
from tests.walks.harness.waiting import until

LEASE_SECONDS = 3.0
PYTHON = sys.executable
SECRETS = {
    "SECRET_KEY": secrets.token_urlsafe(48),
    "AO_MASTER_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    "AO_VERP_KEYS": secrets.token_urlsafe(32),
    "AO_SUPPRESSION_KEY": secrets.token_urlsafe(32),
}
P = TypeVar("P", bound=Process)
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Template:
    """A prepared and seeded database to copy, the cluster it is in, and what the simulators of all copies share."""

    cluster: Cluster
    name: str
    seed: Seed
    shared: Path


@dataclass(frozen=True, slots=True)
class Accepted:
    """One delivery that was answered 202."""

    message: UUID
    delivery: UUID
    header_id: str
    to: str

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> list[Self]:
        """All deliveries in the body of a 202."""
        message = ids.parsed("msg", answer["id"])
        pairs = [(ids.parsed("dlv", one["id"]), one["to"]) for one in answer["deliveries"]]
        return [cls(message, key, answer["message_id"], to) for key, to in pairs if message and key]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the web process answered; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass
class Installation:
    """See the module. `accepted` is everything posted through `post`: what invariant L counts."""

    template: Template
    folder: Path
    env: dict[str, str]
    urls: Urls
    inside: Inside
    name: str
    processes: list[Process] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)
    stops: list[tuple[Switched, Switched | None]] = field(default_factory=list)
    ports: dict[str, str] = field(default_factory=dict)  # of the simulator

    @classmethod
    @contextlib.contextmanager
    def of(cls, template: Template, folder: Path, **env: str) -> Iterator[Self]:
        """An installation with its simulator running. `env` is added to its environment."""
        name = f"walk{next(_numbers)}"
        urls = template.cluster.create_database(name, template.name)
        here = cls(template, folder, environment(urls, folder) | env, urls, None, name)  # type: ignore[arg-type]
        try:
            here._start_simulator()
            here.inside = Inside(here.env)
            yield here
        finally:
            here.close()

    # its processes

    def worker(self, crash: str = "", ready: bool = True, children: int = 1, **env: str) -> Worker:
        """A Celery worker with so many children; `ready` waits until the first has opened its session."""
        words = f"--app config --quiet worker --loglevel info --pool prefork --concurrency {children}"
        words += " --without-gossip --without-mingle --without-heartbeat"
        started = self._start(Worker, "worker", ["-m", "celery", *words.split()], {"AO_CRASH": crash, **env})
        if ready:
            self.until_dispatching(started)
        return started

    def beat(self) -> Process:
        words = ["-m", "celery", "--app", "config", "--quiet", "beat", "--loglevel", "warning"]
        return self._start(Process, "beat", words)

    def returns(self) -> Process:
        """The listener to which the simulator's reports go, once it answers."""
        started = self._start(Process, "returns", ["manage.py", "returns"])
        started.until_said("returns ready")
        return started

    def web(self) -> Process:
        """The HTTP door, once it answers."""
        return self._serve("web", "config.wsgi:application", self.env["PORT"])

    def switch(self) -> Process:
        """The kill switch's own process, once it answers."""
        return self._serve("switch", "config.switch:application", self.env["AO_SWITCH_PORT"])

    def until_dispatching(self, worker: Worker, seconds: float = 30.0) -> None:
        """Ring until this worker's child holds a session that lives."""
        rings = itertools.count()

        def dispatching() -> bool:
            assert worker.alive, worker.tail()
            if next(rings) % 15 == 0:
                self.inside.ring()
            return worker.child() in self.sessions().values()

        until(dispatching, seconds, f"{worker.log.name} dispatches", worker.tail)

    def until_crashed(self, worker: Worker, seconds: float = 30.0) -> None:
        """Ring until the child of this worker has killed itself; then end the rest of it, before it forks again."""
        child = until(worker.child, seconds, "a child", worker.tail)
        self._ring_until(lambda: died(child), seconds, worker)
        worker.kill()

    def manage(self, *words: str) -> Process:
        """A `manage.py` command, in full: it has ended when this returns."""
        started = self._start(Process, "manage", ["manage.py", *words])
        assert started.wait(30) == 0, started.tail()
        return started

    # what people and agents do

    def post(self, *to: str, agent: str = "ada", **draft: Any) -> list[Accepted]:
        """One message to these recipients, accepted; its deliveries."""
        body = {"to": list(to), "subject": "A walk", "text": "Hello,\n\nthis is a walk.\n"} | draft
        return self.post_many([body], agent)

    def post_many(self, drafts: Sequence[Mapping[str, Any]], agent: str = "ada") -> list[Accepted]:
        bodies = self.inside.accept(list(drafts), self.template.seed.keys[agent])
        return [one for body in bodies for one in self.note(body)]

    def note(self, body: Mapping[str, Any]) -> list[Accepted]:
        """Count what a 202 says as accepted."""
        made = Accepted.of(body)
        self.accepted += made
        return made

    def load(self, count: int, local_part: str = "ok", agent: str = "ada", **draft: Any) -> list[Accepted]:
        """As many messages, spread over providers, in batches."""
        domains = ["gmail.test", "outlook.test", "yahoo.test", "corp.test", "other.test"]
        made = []
        for start in range(0, count, 500):
            drafts = [
                {"to": f"{local_part}.{number}@{domains[number % 5]}", "subject": "Load", "text": "x" * 500}
                | draft
                for number in range(start, min(start + 500, count))
            ]
            made += self.post_many(drafts, agent)
        return made

    def trip(self, scope: str) -> Switched:
        done: Switched = self.inside.trip(scope)
        self.stops.append((done, None))
        return done

    def resume(self, scope: str) -> Switched:
        done: Switched = self.inside.resume(scope)
        self.stops = [
            (stop, done if stop.scope == scope and end is None else end) for stop, end in self.stops
        ]
        return done

    def http(self, path: str, body: Any = None, agent: str = "ada", **headers: str) -> Answer:
        """A request to the web process; problems are answers too."""
        headers |= {
            "Authorization": f"Bearer {self.template.seed.keys[agent]}",
            "Content-Type": "application/json",
        }
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.env['PUBLIC_URL']}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, _lowered(answer.headers), json.load(answer))
        except urllib.error.HTTPError as error:
            return Answer(error.code, _lowered(error.headers), json.load(error))

    def publish(self, **others: str) -> None:
        """Let the simulator's DNS show what the domains have to publish by now, and other names' addresses."""
        self._publish({**self.inside.zone(), **{name: [("A", text)] for name, text in others.items()}})

    def shift_clock(self, seconds: float) -> None:
        """Let every rule believe that time went on; leases never do."""
        self.ask("UPDATE outbox_clockshift SET shift = shift + %s * interval '1 second'", seconds)

    @contextlib.contextmanager
    def holding(self, statement: LiteralString) -> Iterator[None]:
        """Hold the locks that a statement takes, so that whoever wants them waits in the middle of theirs."""
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self.urls.owner) as connection:
            connection.execute(statement)
            yield
            connection.rollback()

    def until_blocked(self, text: str, seconds: float = 15.0) -> None:
        """Wait until a statement of the application with this text waits for a lock."""
        blocked = """
            SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND wait_event_type = 'Lock' AND query ~ %s
        """

        def waits() -> bool:  # only a superuser sees what other roles run
            with psycopg.connect(self.urls.superuser) as connection:
                return connection.execute(blocked, [text]).fetchone() is not None

        until(waits, seconds, f"{text} waits for a lock", self.statuses)

    # what can be seen

    def ask(self, statement: LiteralString, *params: object) -> list[Any]:
        """Rows of a statement, as the owner."""
        with psycopg.connect(self.urls.owner, autocommit=True, row_factory=namedtuple_row) as connection:
            cursor = connection.execute(statement, params)
            return cursor.fetchall() if cursor.description else []

    def statuses(self, deliveries: Sequence[Accepted] | None = None) -> Counter[str]:
        """How many deliveries stand how; all of them, or these."""
        if deliveries is None:
            found = self.ask("SELECT status, count(*) AS n FROM outbox_delivery GROUP BY status")
        else:
            keys = [one.delivery for one in deliveries]
            found = self.ask(
                "SELECT status, count(*) AS n FROM outbox_delivery WHERE id = ANY(%s) GROUP BY status", keys
            )
        return Counter({row.status: row.n for row in found})

    def status(self, delivery: Accepted) -> tuple[str, str]:
        """Status and code of one delivery."""
        row = self.ask("SELECT status, code FROM outbox_delivery WHERE id = %s", delivery.delivery)[0]
        return row.status, row.code

    def sessions(self) -> dict[int, int]:
        """Live sessions and the pids that hold them."""
        rows = self.ask(
            "SELECT id, name FROM outbox_session WHERE ended_at IS NULL AND lease_until > clock_timestamp()"
        )
        return {row.id: int(row.name.rpartition(":")[2]) for row in rows}

    def oracle(self) -> list[Entry]:
        return oracle.load(self.folder / "oracle.jsonl")

    @property
    def ca_file(self) -> Path:
        """The simulator's own authority."""
        return self.template.shared / "certificates" / "ca.pem"

    def kept(self, entry: Entry) -> bytes:
        """A message as it was received."""
        return (self.folder / "kept" / entry.sha256).read_bytes()

    def lookups(self) -> Lookups:
        """The simulator's DNS, as a receiver asks it."""
        return Lookups([("127.0.0.1", int(self.ports["dns"]))])

    def until_status(self, deliveries: Sequence[Accepted], status: str, seconds: float = 20.0) -> None:
        """Wait until all of these stand so."""
        wanted = Counter({status: len(deliveries)})
        until(
            lambda: self.statuses(deliveries) == wanted,
            seconds,
            f"all {status}",
            lambda: self.statuses(deliveries),
        )

    def until_quiet(self, seconds: float = 60.0, *, waiting: Sequence[str] = ()) -> None:
        """Wait until nothing is queued, deferred or sending, except what the test says may wait."""
        busy = {"queued", "deferred", "sending"} - set(waiting)
        until(lambda: not busy & self.statuses().keys(), seconds, "quiet", self.statuses)

    def check_invariants(self) -> Report:
        """L, D, S and K, now that all is quiet; prints the counts. Raises AssertionError."""
        report = check(self)
        print(f"\n{report}")
        return report

    def tails(self) -> str:
        """The ends of all logs, for a failure."""
        return "\n".join(f"--- {one.log.name}\n{one.tail()}" for one in self.processes if one.log.exists())

    # its life

    def close(self) -> None:
        for process in reversed(self.processes):
            process.kill()
        if self.inside is not None:
            self.inside.close()
        self.template.cluster.ensure_started()
        self.template.cluster.drop_database(self.name)

    def _start_simulator(self) -> None:
        words = ["-m", "simulator", "--log", str(self.folder / "oracle.jsonl"), "--smtp-port", "0"]
        words += [
            "--cert-dir",
            str(self.template.shared / "certificates"),
            "--keep",
            str(self.folder / "kept"),
        ]
        words += ["--zone-file", str(self._publish(self.template.seed.zone)), "--control-port", "0"]
        words += ["--policy-port", "0", "--relay-port", "0", "--returns", self.env["AO_RETURNS"]]
        line = self._start(Process, "simulator", words).until_said("simulator ready")
        self.ports = ports = dict(re.findall(r"(\S+)=127\.0\.0\.1:(\d+)", line))
        self.env |= {"AO_NAMESERVERS": f"127.0.0.1:{ports['dns']}", "AO_SMTP_PORT": ports["smtp"]}
        self.env |= {"AO_STS_PORT": ports["policy"], "AO_CA_FILE": str(self.ca_file)}

    def _publish(self, zone: Mapping[str, Sequence[tuple[str, str]]]) -> Path:
        """Leave the zone where the simulator reads it: it sees the old one or the new one, whole."""
        path = self.folder / "zone.json"
        path.with_suffix(".new").write_text(json.dumps(zone))
        return path.with_suffix(".new").replace(path)

    def _start(self, kind: type[P], name: str, words: Sequence[str], env: Mapping[str, str] = {}) -> P:
        log = self.folder / f"{name}-{len(self.processes)}.log"
        started = kind(name, [PYTHON, *words], {**self.env, **env}, log)
        self.processes.append(started)
        return started

    def _serve(self, name: str, application: str, port: str) -> Process:
        words = f"-m granian --interface wsgi --host 127.0.0.1 --port {port} --workers 1 --blocking-threads 8 --no-ws"
        started = self._start(Process, name, [*words.split(), application])
        until(lambda: _answers(port) or not started.alive, 30, f"{name} answers", started.tail)
        assert started.alive, started.tail()
        return started

    def _ring_until(self, condition: Any, seconds: float, worker: Worker) -> None:
        rings = itertools.count()

        def happened() -> bool:
            if condition():
                return True
            assert worker.alive, worker.tail()
            if next(rings) % 15 == 0:
                self.inside.ring()
            return False

        until(happened, seconds, f"{worker.log.name} reaches its crash point", worker.tail)


def _answers(port: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


def environment(urls: Urls, folder: Path) -> dict[str, str]:
    """What every process of an installation is told."""
    port, switch_port = free_port(), free_port()
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        **SECRETS,
        "DATABASE_URL": urls.app,
        "DATABASE_OWNER_URL": urls.owner,
        "CELERY_BROKER_URL": "pgmq://localhost",
        "PORT": str(port),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "AO_SWITCH_PORT": str(switch_port),
        "AO_SWITCH_DATABASE_URL": urls.switch,
        "AO_SWITCH_URL": f"http://127.0.0.1:{switch_port}",
        "AO_NAMESERVERS": "127.0.0.1:9",
        "AO_RETURNS": f"127.0.0.1:{free_port()}",
        "AO_ALLOW_TEST_NAMES": "1",
        "AO_ALLOW_LOOPBACK": "1",
        "AO_LEASE_SECONDS": str(LEASE_SECONDS),
        "AO_BEAT_SCHEDULE": str(folder / "beat"),
        "LOG_LEVEL": "INFO",
    }


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
