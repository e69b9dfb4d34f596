"""One small internet for the whole folder, and a client so simple that nothing in it can be clever."""

import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from simulator import Config, Simulator, oracle, running

PATIENCE = 10.0
_NUMBERS = count(1)
_WHOLE = re.compile(rb"(?:^|\r\n)\d{3}(?: [^\r\n]*)?\r\n\Z")


class Peer:
    """A raw SMTP client: says bytes, reads one reply, and remembers nothing."""

    def __init__(self, address: str, port: int, *, banner: bool = True) -> None:
        self.sock: socket.socket = socket.create_connection((address, port), timeout=PATIENCE)
        self.banner = self.reply() if banner else b""

    def reply(self) -> bytes:
        """One whole reply; b"" if the connection ended before it was whole."""
        got = b""
        while not _WHOLE.search(got):
            chunk = self.sock.recv(1)
            if not chunk:
                return b""
            got += chunk
        return got

    def say(self, line: str | bytes) -> bytes:
        """A command, and its reply."""
        self.sock.sendall((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return self.reply()

    def envelope(self, rcpt: str, mail_from: str = "b+token@rp.agents.acme.test") -> bytes:
        """EHLO, MAIL, RCPT; the reply to RCPT."""
        assert self.say("EHLO sender.acme.test").startswith(b"250")
        assert self.say(f"MAIL FROM:<{mail_from}>").startswith(b"250")
        return self.say(f"RCPT TO:<{rcpt}>")

    def body(self, content: bytes) -> bytes:
        """Content and dot; the reply."""
        self.sock.sendall(content + b".\r\n")
        return self.reply()

    def ended(self) -> bool:
        """Whether the server has hung up; waits for it."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def secure(self, context: ssl.SSLContext, name: str = "localhost") -> None:
        """STARTTLS and the handshake."""
        assert self.say("STARTTLS").startswith(b"220")
        self.sock = context.wrap_socket(self.sock, server_hostname=name)


class Internet:
    """A running simulator, its log, and peers that are hung up at the end of the test."""

    def __init__(self, sim: Simulator, log: Path) -> None:
        self.sim = sim
        self.log = log
        self.peers: list[Peer] = []

    def dial(self, address: str = "127.0.0.1", *, banner: bool = True, port: int = 0) -> Peer:
        """Connect to the SMTP server at `address`."""
        peer = Peer(address, port or self.sim.smtp_port, banner=banner)
        self.peers.append(peer)
        return peer

    def message(self) -> tuple[str, bytes]:
        """A Message-ID nobody has used yet, and a message with it."""
        message_id = f"<{next(_NUMBERS)}@acme.test>"
        head = f"Message-ID: {message_id}\r\nX-AO-Ref: ref\r\nSubject: hello\r\n\r\n"
        return message_id, head.encode() + b"line one\r\n"

    def talks_to(self, port: int) -> bool:
        """Whether the simulator still holds a connection from this local port."""
        return any(talk.peer.endswith(f":{port}") for talk in tuple(self.sim.world.talking))

    def stops_talking_to(self, port: int) -> bool:
        """Wait until it holds none; False if that takes too long."""
        until = time.monotonic() + PATIENCE
        while self.talks_to(port) and time.monotonic() < until:
            time.sleep(0.02)
        return not self.talks_to(port)

    def kept(self, message_id: str) -> list[oracle.Entry]:
        """What the oracle knows of a message."""
        return [entry for entry in oracle.load(self.log) if entry.message_id == message_id]


@pytest.fixture(scope="session")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Simulator, Path]]:
    folder = tmp_path_factory.mktemp("internet")
    config = Config(
        log=folder / "oracle.jsonl",
        keep=folder / "kept",
        relay_port=0,
        relay_tls_port=0,
        control_port=0,
        zone={"agents.acme.test": [("TXT", "v=spf1 -all")]},
    )
    with running(config) as sim:
        yield sim, config.log


@pytest.fixture
def internet(_running: tuple[Simulator, Path]) -> Iterator[Internet]:
    """The shared simulator, with no peer left over."""
    internet = Internet(*_running)
    yield internet
    for peer in internet.peers:
        peer.sock.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Internet]]:
    """Start one more simulator with a configuration of its own."""
    with ExitStack() as stack:

        def start_one(**settings: object) -> Internet:
            log = tmp_path / "oracle.jsonl"
            return Internet(stack.enter_context(running(Config(log=log, **settings))), log)  # type: ignore[arg-type]

        yield start_one
