"""A sender killed in the middle of a request loses nothing and repeats under the same webhook-id."""

import socket
import threading
from collections.abc import Iterator

import pytest

from outbox.webhook_signing import new_secret
from reputation.vault import Vault
from tests.walks.harness.installation import Installation
from tests.walks.harness.processes import Process
from tests.walks.harness.waiting import until

ADD = """
INSERT INTO outbox_endpoint (name, url, events, secret_sealed, old_secret_sealed, enabled, disabled_why)
VALUES ('hook', %s, '{}', %s, '', true, '')
"""


class Receiver:
    """Takes requests; while `mute` it hears them and never answers."""

    def __init__(self) -> None:
        self.mute = True
        self.heard: list[str] = []
        self.answered: list[str] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer:
            text = peer.recv(65536).decode()
            name = next(line for line in text.split("\r\n") if line.startswith("webhook-id: "))
            self.heard.append(name)
            if self.mute:
                peer.recv(1)  # until the sender is gone
                return
            self.answered.append(name)
            peer.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    there = Receiver()
    yield there
    there.close()


def notify(here: Installation) -> Process:
    started = here._start(Process, "notify", ["manage.py", "notify"])
    started.until_said("notify ready")
    return started


def test_a_killed_sender_loses_nothing_and_repeats_under_the_same_id(
    here: Installation, receiver: Receiver
) -> None:
    sealed = Vault([here.env["AO_MASTER_KEYS"]]).seal(new_secret().encode())
    here.ask(ADD, f"http://localhost:{receiver.port}/in", sealed)
    first = notify(here)
    here.post("ok@gmail.test")
    until(lambda: receiver.heard, 15, "a request under way", first.tail)
    first.kill()
    receiver.mute = False
    second = notify(here)
    until(lambda: receiver.answered, 20, "it comes again", second.tail)
    assert receiver.answered == receiver.heard[:1]
    until(lambda: here.ask("SELECT id FROM outbox_notice WHERE state = 'taken'"), 10, "taken", second.tail)
    assert second.alive
    second.kill()
