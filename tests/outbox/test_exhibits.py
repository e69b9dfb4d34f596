"""What a reviewer reads: samples from all over a request, lying HTML named, what is attached."""

import itertools
from typing import Any

import pytest

from outbox import exhibits, reach
from outbox.models import Agent
from tests import factories
from tests.outbox import asked

pytestmark = pytest.mark.usefixtures("live_db")

LETTER = "Hi {}, would you have a quarter of an hour on Monday to talk about our invoices?"


@pytest.fixture
def ada(live_db: Any) -> Agent:
    return factories.agent("ada")


def seen(live_db: Any, ada: Agent, *bodies: dict[str, Any]) -> exhibits.Exhibits:
    return exhibits.exhibits(asked.held(live_db, ada, *bodies))


@pytest.mark.parametrize(
    ("text", "html", "says"),
    [
        ("A fair offer for you", "<p>A <b>fair</b> offer for you</p>", ""),
        ("A fair offer for you", "<p>Your account is locked</p>", "Your account is locked"),
        (
            "A fair offer for you",
            "<p>A fair offer for you</p><p>Send your password to us now</p>",
            "password",
        ),
        ("A fair offer for you", "<style>x</style><script>y</script>", ""),
        ("word " * 6_000, f"<p>{'word ' * 6_000}</p>", ""),  # longer than what is read
    ],
)
def test_html_that_says_something_else_is_named(
    live_db: Any, ada: Agent, text: str, html: str, says: str
) -> None:
    [one] = seen(live_db, ada, {"html": html, "text": text}).shown
    assert (says in one.html_says) if says else one.html_says == ""


def test_a_lie_comes_before_an_outlier(live_db: Any, ada: Agent) -> None:
    bodies = [{"text": LETTER.format(name)} for name in ("Bob", "Ann", "Li")]
    lie = {"text": LETTER.format("Tom"), "html": "<p>Click here to keep your account</p>"}
    found = seen(live_db, ada, *bodies, {"text": "Something else altogether"}, lie)
    assert found.shown[0].html_says
    assert found.shown[1].likeness < 0.3 < found.shown[2].likeness


def test_answers_that_go_elsewhere_are_told(live_db: Any, ada: Agent) -> None:
    [one] = seen(live_db, ada, {"reply_to": "eve@evil.test"}).shown
    assert one.reply_to == "eve@evil.test"


def test_the_same_file_in_many_messages_is_one_line(live_db: Any, ada: Agent) -> None:
    part = {"filename": "a.pdf", "content": "aGVsbG8=", "content_type": "application/pdf"}
    found = seen(live_db, ada, *({"to": f"n{n}@x.test", "attachments": [part]} for n in range(3)), {})
    assert found.attached == ((exhibits.Attached("a.pdf", "application/pdf", 5), 3),)


def test_what_takes_a_minute_to_read_is_said_to(live_db: Any, ada: Agent) -> None:
    assert seen(live_db, ada, {"text": "word " * exhibits.WORDS_A_MINUTE}).seconds == 60


def test_messages_that_are_gone_are_nothing(live_db: Any, ada: Agent) -> None:
    found = exhibits.exhibits([])
    assert (found.shown, found.seconds) == ((), 0)
    assert exhibits.before(found.shown) == {}


@pytest.mark.parametrize(("count", "samples"), [(1, 1), (reach.SAMPLES, reach.SAMPLES), (60, 20)])
def test_samples_are_spread_over_all_that_wait(live_db: Any, ada: Agent, count: int, samples: int) -> None:
    keys = sorted(asked.held(live_db, ada, *asked.many(count)))
    request = asked.request().pk
    assert reach.waiting(request) == count
    found = sorted(reach.spread(request, count))
    assert len(found) == samples
    assert found[-1] == keys[-1]
    places = [keys.index(key) for key in found]
    assert {after - before for before, after in itertools.pairwise(places)} <= {count // samples}


def test_a_flood_is_sampled_by_time_and_scaled(live_db: Any, ada: Agent, monkeypatch: Any) -> None:
    keys = sorted(asked.held(live_db, ada, *asked.many(60)))
    request = asked.request().pk
    monkeypatch.setattr(reach, "RANKED", 50)
    found = sorted(reach.spread(request, 60))
    assert 2 <= len(found) <= reach.SAMPLES
    assert (found[0], found[-1]) == (keys[0], keys[-1])
    monkeypatch.setattr(reach, "COUNTED", 20)
    told = reach.reach(request, 60)
    assert (told.cut, told.people, told.domains) == (True, 60, (("example.org", 60),))


def test_of_a_request_that_is_over_its_first_messages_are_shown(live_db: Any, ada: Agent) -> None:
    keys = asked.held(live_db, ada, *asked.many(2))
    asked.request().members.update(decision_id=0)
    request = asked.request().pk
    assert reach.waiting(request) == 0
    assert sorted(reach.spread(request, 0)) == sorted(keys)
