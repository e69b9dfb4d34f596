"""Signing keys for tests: a name server that is told what to show, keys in any state, two at the same lock."""

import threading
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import connections

from reputation import keyring, sql
from reputation.keyring import Question
from reputation.models import KeyEvent, SendingDomain, SigningKey
from reputation.record_values import Found, Outcome

RSA, ED25519 = SigningKey.Algorithm.RSA, SigningKey.Algorithm.ED25519
FIRST = "s1"  # the active key of the cast's domain


class Dns:
    """The only thing faked: TXT records by name; a name in ``silent`` gets no answer."""

    def __init__(self) -> None:
        self.zone: dict[str, tuple[str, ...]] = {}
        self.silent: set[str] = set()

    def show(self, *keys: SigningKey) -> None:
        self.zone |= {str(key): (key.public_record,) for key in keys}

    def __call__(self, questions: Iterable[Question]) -> Iterator[tuple[Question, Found]]:
        for name, rdtype in questions:
            values = self.zone.get(name, ())
            outcome = Outcome.ANSWERED if values else Outcome.ABSENT
            failed = Found((), Outcome.FAILED)
            yield (name, rdtype), failed if name in self.silent else Found(values, outcome)


def made(domain: SendingDomain, state: str = "created", algorithm: str = RSA) -> SigningKey:
    """A key that is already in this state, whatever its story."""
    key = keyring.make(domain, algorithm, who="ada")
    at = keyring.now()
    times = {name: at for name in ("published_at", "retired_at") if state.startswith(name[:6])}
    SigningKey.objects.filter(pk=key.pk).update(state=state, **times)
    key.refresh_from_db()
    return key


def states(domain: SendingDomain) -> dict[str, str]:
    return dict(SigningKey.objects.filter(domain=domain).values_list("selector", "state"))


def story(key: SigningKey) -> list[tuple[str, str, str]]:
    return list(KeyEvent.objects.filter(key=key).order_by("pk").values_list("kind", "who", "why"))


def first() -> SigningKey:
    return SigningKey.objects.get(selector=FIRST)


def together(*acts: Any) -> Any:
    """Start these at once, wait until each waits for the lock the caller holds; call the answer after it is let go."""
    answers: list[Any] = [None] * len(acts)

    def run(place: int) -> None:
        try:
            answers[place] = acts[place]()
        except Exception as error:
            answers[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(acts))]
    for thread in threads:
        thread.start()
    while len(sql.rows("SELECT DISTINCT pid FROM pg_locks WHERE NOT granted")) < len(acts):
        assert all(thread.is_alive() for thread in threads), f"nobody waited: {answers}"

    def finish() -> list[Any]:
        for thread in threads:
            thread.join()
        return answers

    return finish
