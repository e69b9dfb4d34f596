"""Processes that start together end together, also those a killed supervisor left behind. All real."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.supervisor import AlreadyRunning, alone
from config.wheel import command_line

PROGRAM = """
import os, sys
from pathlib import Path
from config.supervisor import Supervisor, alone
folder = Path(sys.argv[1])
with alone(folder, "the first one"):
    environment = {**os.environ, "GO": str(folder / "go")}
    supervisor = Supervisor(folder / "Procfile", environment, folder, folder / "log")
    sys.exit(supervisor.run(lambda: supervisor.say("all started")))
"""
# Notes the signals it gets, and those its child gets, and ends at the first.
POLITE = (  # os.write, because print may write a line in pieces, between those of others
    "{name}: python -c \"import os, signal, time; me = '{name}' if os.fork() else '{name}s child'; "
    "tell = lambda what: os.write(1, (me + what + chr(10)).encode()); "
    "signal.signal(signal.SIGTERM, lambda *a: (tell(' was asked'), os._exit(0))); "
    "tell(' is up'); time.sleep(600)\"\n"
)
STUBBORN = (
    '{name}: python -c "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); '
    "print('{name} is up', flush=True); time.sleep(600)\"\n"
)

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a supervisor on a Procfile and returns once it has said what is waited for."""
    started: list[subprocess.Popen[str]] = []

    def _start(procfile: str, *awaited: str) -> subprocess.Popen[str]:
        (tmp_path / "Procfile").write_text(procfile)
        command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(process)
        missing = {"| all started", *(f"| {text}" for text in awaited)}
        while missing:
            line = process.stdout.readline()  # type: ignore[union-attr]
            assert line, f"ended before it said {missing}"
            missing -= {text for text in missing if text in line}
        return process

    yield _start
    for process in started:
        process.kill()
        process.communicate()
    for pid in _pids(tmp_path).values():
        os.killpg(pid, signal.SIGKILL)


def _pids(folder: Path) -> dict[str, int]:
    return {record.stem: int(record.read_text()) for record in folder.glob("*.pid")}


def test_it_asks_only_leaders_and_in_the_reverse_order(start: Start, tmp_path: Path) -> None:
    names = ["database", "web", "worker"]
    up = [f"{who} is up" for name in names for who in (name, f"{name}s child")]
    process = start("".join(POLITE.format(name=name) for name in names), *up)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    asked = [line.split("| ")[1] for line in said.splitlines() if "was asked" in line]
    assert asked == ["worker was asked", "web was asked", "database was asked"]
    assert process.returncode == 0
    assert _pids(tmp_path) == {}


def test_when_one_ends_all_end_and_it_is_a_failure(start: Start, tmp_path: Path) -> None:
    process = start(
        POLITE.format(name="web") + "short: sh -c 'while [ ! -e $GO ]; do sleep 0.01; done'\n", "web is up"
    )
    (tmp_path / "go").touch()
    said, _ = process.communicate(timeout=30)
    assert "short ended (0), so everything ends" in said
    assert "web was asked" in said
    assert process.returncode == 1


def test_a_second_signal_kills_whoever_does_not_end(start: Start, tmp_path: Path) -> None:
    process = start(STUBBORN.format(name="stubborn"), "stubborn is up")
    pid = _pids(tmp_path)["stubborn"]
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=15)
    assert "stubborn does not end: killed" in said
    assert not command_line(pid)


def test_what_a_killed_supervisor_left_behind_is_ended_by_the_next(start: Start, tmp_path: Path) -> None:
    process = start(POLITE.format(name="web") + POLITE.format(name="worker"), "web is up", "worker is up")
    left = _pids(tmp_path)
    process.kill()
    process.wait()
    assert all(command_line(pid) for pid in left.values())
    with alone(tmp_path, "the next"):
        assert not any(command_line(pid) for pid in left.values())
        assert _pids(tmp_path) == {}


def test_a_second_supervisor_is_refused_and_told_of_the_first(start: Start, tmp_path: Path) -> None:
    start(POLITE.format(name="web"))
    web = _pids(tmp_path)["web"]
    with pytest.raises(AlreadyRunning, match="the first one"), alone(tmp_path, "the second"):
        pass
    assert command_line(web)


def test_a_recorded_pid_that_belongs_to_somebody_else_now_is_left_alone(tmp_path: Path) -> None:
    bystander = subprocess.Popen(["sleep", "600"], start_new_session=True)
    (tmp_path / "web.pid").write_text(str(bystander.pid))
    with alone(tmp_path, "the next"):
        assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_the_log_is_kept_without_colours_and_the_one_before_it_too(start: Start, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("yesterday")
    process = start(POLITE.format(name="web"), "web is up", "webs child is up")
    process.terminate()
    process.communicate(timeout=30)
    assert "web is up" in (tmp_path / "log").read_text()
    assert "\033" not in (tmp_path / "log").read_text()
    assert (tmp_path / "log.previous.log").read_text() == "yesterday"
