"""The embedded PostgreSQL: made once, found again after every crash, closed to others."""

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from config import embedded
from config.embedded import Cluster, EmbeddedError, throwaway
from config.wheel import command_line, server_folder, write_private


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with throwaway() as started:
        yield started


def ask(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
        return row[0] if row else None


def test_it_is_postgresql_18_with_two_roles_and_the_owner_owns_the_database(cluster: Cluster) -> None:
    urls = cluster.urls()
    assert str(ask(urls.owner, "SHOW server_version")).startswith("18.")
    assert ask(urls.app, "SELECT current_user") == "outbox_app"
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'outbox'"
    assert ask(urls.owner, owner) == "outbox_owner"
    assert ask(urls.owner, "SELECT count(*) FROM pg_roles WHERE rolsuper") == 1


def test_the_switch_still_connects_when_all_ordinary_connections_are_used_up(cluster: Cluster) -> None:
    urls = cluster.urls()
    with contextlib.ExitStack() as taken:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                taken.enter_context(psycopg.connect(urls.app))
        with pytest.raises(psycopg.OperationalError, match="reserved for roles with privileges"):
            psycopg.connect(urls.app)
        assert ask(urls.switch, "SELECT pg_has_role('outbox_app', 'USAGE')") is True
    with psycopg.connect(urls.switch) as mine:
        end = f"SELECT pg_terminate_backend({mine.info.backend_pid})"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):  # what killswitch.END_HOLDERS leaves alone
            ask(urls.app, end)


def test_the_application_may_not_create_tables(cluster: Cluster) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(cluster.urls().app, "CREATE TABLE mine ()")


def test_nobody_gets_in_without_the_password(cluster: Cluster) -> None:
    for role in ("postgres", "outbox_owner", "outbox_app"):
        with pytest.raises(psycopg.OperationalError, match=r"no password supplied|authentication failed"):
            psycopg.connect(host=str(cluster.socket_dir), user=role, dbname="outbox")


def test_others_can_read_neither_data_nor_socket_nor_passwords(cluster: Cluster) -> None:
    for path in (cluster.data, cluster.socket_dir, cluster.passwords):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_server_never_runs_as_root(cluster: Cluster) -> None:
    pid = cluster.running_pid()
    assert pid is not None
    assert Path(f"/proc/{pid}").stat().st_uid != 0


def test_starting_a_running_cluster_leaves_it_alone(cluster: Cluster) -> None:
    before = cluster.running_pid()
    cluster.ensure_started()
    assert cluster.running_pid() == before


def test_committed_work_survives_an_immediate_restart(cluster: Cluster) -> None:
    with psycopg.connect(cluster.urls().owner) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    assert ask(cluster.restart("immediate").owner, "SELECT n FROM kept") == 7


def test_it_starts_again_after_the_server_was_killed(cluster: Cluster) -> None:
    pid = cluster.running_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while command_line(pid):  # a signal is delivered when it is, also this one
        os.sched_yield()
    assert ask(cluster.ensure_started().app, "SELECT 1") == 1


def test_a_lock_file_that_names_somebody_else_is_no_server(cluster: Cluster) -> None:
    # After a reboot, or in a new container, the pid in the file belongs to any process, here to this one.
    cluster.stop()
    lock = cluster.data / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{cluster.data}\n0\n5432\n{cluster.socket_dir}\n\n0\nready\n")
    assert cluster.running_pid() is None
    assert cluster.stop() is False
    assert ask(cluster.ensure_started().app, "SELECT 1") == 1


def test_databases_are_copied_from_a_template_and_dropped_under_their_users(cluster: Cluster) -> None:
    template = cluster.create_database("blueprint")
    with psycopg.connect(template.owner) as connection:
        connection.execute("CREATE TABLE room ()")
    copy = cluster.create_database("house", "blueprint")
    tenant = psycopg.connect(copy.owner)
    tenant.execute("SELECT FROM room")
    cluster.drop_database("house")
    with pytest.raises(psycopg.OperationalError):
        tenant.execute("SELECT FROM room")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(copy.owner)


def test_data_without_their_passwords_are_set_aside_and_a_new_cluster_made(cluster: Cluster) -> None:
    cluster.create_database("unreachable")
    cluster.stop()
    cluster.passwords.unlink()
    assert (
        ask(cluster.ensure_started().owner, "SELECT count(*) FROM pg_database WHERE datname ~ 'unreach'") == 0
    )
    assert (cluster.home / "data.previous" / "PG_VERSION").exists()


def test_urls_of_a_cluster_that_was_never_made_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match="make run"):
        Cluster(tmp_path, tmp_path, tmp_path / "passwords").urls()


def test_tcp_is_offered_on_loopback_only_when_a_port_is_asked_for(cluster: Cluster, unused_port: int) -> None:
    assert ask(cluster.urls().app, "SHOW listen_addresses") == ""
    url = (
        Cluster(cluster.home, cluster.socket_dir, cluster.passwords, unused_port, durable=False)
        .ensure_started()
        .app
    )
    assert ask(url, "SHOW listen_addresses") == "127.0.0.1"
    password = json.loads(cluster.passwords.read_text())["outbox_app"]
    assert ask(f"postgresql://outbox_app:{password}@127.0.0.1:{unused_port}/outbox", "SELECT 1") == 1
    cluster.ensure_started()


def test_a_socket_folder_somebody_else_prepared_is_refused(tmp_path: Path) -> None:
    planted = tmp_path / "socket"
    planted.symlink_to(tmp_path)
    with pytest.raises((EmbeddedError, FileExistsError)):
        server_folder(planted)


def test_a_folder_open_to_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "socket").mkdir(mode=0o755)
    with pytest.raises(EmbeddedError, match="not ours alone"):
        server_folder(tmp_path / "socket")


@pytest.mark.parametrize("depth", [1, 30])  # 30: a socket path below it would not fit into sockaddr_un
def test_the_socket_path_is_short_however_deep_the_checkout(tmp_path: Path, depth: int) -> None:
    checkout = tmp_path.joinpath(*["deeper"] * depth)
    cluster = embedded.of_checkout(checkout)
    assert len(str(cluster.socket_dir)) <= embedded.SOCKET_PATH_LIMIT
    assert cluster != embedded.of_checkout(checkout / "other")


def test_a_killed_test_run_leaves_nothing_for_ever() -> None:
    program = (
        "import os, config.embedded as e\n"
        "with e.throwaway() as c: print(c.home, flush=True); os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    home = Path(killed.stdout.strip())
    pid = int((home / "data" / "postmaster.pid").read_text().split()[0])
    assert command_line(pid)
    with throwaway():
        assert not home.exists()
        assert not command_line(pid)


def test_a_private_file_is_replaced_whole_and_never_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "var" / "secret"
    for text in ("first", "second"):
        write_private(path, text)
        assert path.read_text() == text
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [*path.parent.iterdir()] == [path]


def test_a_zombie_has_no_command_line() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert command_line(child.pid) == ""
    child.wait()
