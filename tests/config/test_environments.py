"""Whoever makes an environment for the product makes one in which it starts: the profile, the walks, the benchmarks."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bench import installation as bench
from bench.sink import Ports as BenchPorts
from config import profile
from config.embedded import Cluster
from tests.conftest import Database
from tests.walks.harness import installation as walks

CHECKOUT = Path(__file__).resolve().parents[2]
# Made-up names, and the world's resolver.
UNSOUND = {"AO_NAMESERVERS": "192.0.2.53:53"}
OURS = ("SECRET_KEY", "AO_SUPPRESSION_KEY", "AO_CHECKING")  # what the tests themselves are told
START = "import django; django.setup(); from outbox.checks import refuse_to_start; refuse_to_start()"


@pytest.fixture(autouse=True)
def as_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OURS:
        monkeypatch.delenv(name, raising=False)


def of_the_profile(cluster: Cluster, folder: Path) -> Mapping[str, str]:
    said = profile.environment(profile.Places(folder), profile.Ports.following("8000"), cluster.urls())
    return profile.of_children(said, Path(sys.executable))


def of_the_walks(cluster: Cluster, folder: Path) -> Mapping[str, str]:
    return walks.environment(cluster.urls(), folder) | {"AO_NAMESERVERS": "127.0.0.1:53"}


def of_the_benchmarks(cluster: Cluster, folder: Path) -> Mapping[str, str]:
    return bench.environment(cluster, BenchPorts(), folder, 8000)


@pytest.mark.parametrize("made", [of_the_profile, of_the_walks, of_the_benchmarks])
def test_the_product_finds_nothing_to_refuse_in_it(
    made: Callable[[Cluster, Path], Mapping[str, str]],
    database: Database,
    tmp_path: Path,
) -> None:
    ran = said_by([sys.executable, "-c", START], made(database.cluster, tmp_path))
    assert ran == (0, "")


@pytest.mark.parametrize("process", ["worker", "beat"])
def test_nothing_of_celery_starts_with_what_is_refused(
    process: str, database: Database, tmp_path: Path
) -> None:
    told = {**of_the_walks(database.cluster, tmp_path), **UNSOUND}
    status, said = said_by([sys.executable, "-m", "celery", "--app", "config", process], told)
    assert status == 1
    assert "AO_ALLOW_TEST_NAMES is set" in said


@pytest.mark.parametrize("command", ["status", "trip"])
def test_a_stop_is_possible_with_what_is_refused(command: str, database: Database, tmp_path: Path) -> None:
    told = {**of_the_walks(database.cluster, tmp_path), **UNSOUND}
    named = ["agent", "nobody"] if command == "trip" else []
    _, said = said_by([sys.executable, "manage.py", command, *named], told)
    assert "AO_ALLOW_TEST_NAMES is set" not in said


def test_the_benchmarks_begin_without_any_environment() -> None:
    status, said = said_by([sys.executable, "-m", "bench", "nothing"], {"PATH": os.environ["PATH"]})
    assert (status, said.splitlines()[-1]) == (2, "Not a measure: nothing")


def said_by(words: list[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """How a command ended, and what it complained of."""
    ran = subprocess.run(
        words, cwd=CHECKOUT, env=dict(environment), capture_output=True, text=True, check=False
    )
    return ran.returncode, ran.stderr
