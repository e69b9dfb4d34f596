"""Numbers in memory: written by one thread, none twice and none lost while the process lives."""

import threading
from collections import Counter
from collections.abc import Callable

import pytest

from outbox import counting

Made = Callable[[Callable[[Counter[str]], object]], counting.Tally[str]]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """Tallies of this test alone."""
    monkeypatch.setattr(counting, "_TALLIES", [])
    return lambda down: counting.Tally("numbers", down)


def test_one_thread_writes_them_all_by_itself(made: Made) -> None:
    written, both = list[tuple[str, Counter[str]]](), threading.Event()

    def down(counts: Counter[str]) -> None:
        written.append((threading.current_thread().name, counts))
        if len(written) == 2:
            both.set()

    one, two = made(down), made(down)
    one.add("a")
    two.add("b", 2)
    assert both.wait(10)
    assert written == [("counts", Counter(a=1)), ("counts", Counter(b=2))]


def test_what_could_not_be_written_is_written_with_the_next(made: Made) -> None:
    written, down_again = Counter[str](), threading.Event()

    def down(counts: Counter[str]) -> None:
        if not down_again.is_set():
            raise RuntimeError("gone")
        written.update(counts)

    tally = made(down)
    tally.add("a", 4)
    counting.write()
    down_again.set()
    tally.add("a")
    counting.write()
    assert written == Counter(a=5)


def test_one_that_fails_costs_the_others_nothing(made: Made) -> None:
    written = Counter[str]()
    made(lambda _: 1 / 0).add("a")
    made(written.update).add("b")
    counting.write()
    assert written == Counter(b=1)


def test_once_it_is_written_nothing_is_under_way(made: Made) -> None:
    begun, go_on, written = threading.Event(), threading.Event(), Counter[str]()

    def down(counts: Counter[str]) -> None:
        begun.set()
        assert go_on.wait(10)
        written.update(counts)

    made(down).add("a")
    assert begun.wait(10)
    threading.Timer(0.05, go_on.set).start()
    counting.write()
    assert written == Counter(a=1)


def test_many_threads_lose_nothing(made: Made) -> None:
    written = Counter[str]()
    tally = made(written.update)
    threads = [
        threading.Thread(target=lambda: [tally.add("a") or counting.write() for _ in range(500)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counting.write()
    assert written == Counter(a=2000)
