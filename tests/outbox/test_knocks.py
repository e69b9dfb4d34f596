"""Who still knocks: refused posts are counted by agent, minute and code, and nothing else is."""

import re
from typing import Any

import pytest
from django.test import Client

from outbox import counting, keys, knocks
from outbox.models import Agent, ApiKey, RefusedPosts
from reputation import killswitch, sql
from tests import factories
from tests.pages.desk import posted, root

pytestmark = pytest.mark.usefixtures("live_db")

MESSAGE = {"to": ["grace@example.org"], "subject": "Hello", "text": "Hi"}


@pytest.fixture
def ada(live_db: Any) -> Agent:
    return factories.agent("ada")


def post(key: str, path: str = "/v1/messages", body: Any = MESSAGE) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return Client().post(path, body, content_type="application/json", headers=headers).status_code


def counted() -> dict[str, int]:
    counting.write()
    return dict(RefusedPosts.objects.values_list("code", "posts"))


def test_posts_of_a_stopped_agent_are_counted_those_of_a_batch_each(ada: Agent) -> None:
    key = factories.key(ada)
    killswitch.trip("agent:ada", who="rita", why="")
    assert [post(key), post(key)] == [403, 403]
    assert post(key, "/v1/messages/batch", {"messages": [MESSAGE] * 5}) == 200
    assert counted() == {"stopped": 7}
    assert knocks.knocking([ada.pk]).posts == 7
    assert knocks.knocking([ada.pk + 1]).posts == 0


def test_a_revoked_key_and_a_wrong_secret_are_their_agents(ada: Agent) -> None:
    key, other = factories.key(ada), factories.key(ada)
    keys.revoke(ApiKey.objects.get(prefix=other.split("_")[2]).pk)
    forged = keys.Key(key.split("_")[2], keys.new().secret)
    body = f"ao_live_{forged.prefix}_{forged.secret[:40]}"
    assert [post(other), post(body + keys._checksum(body)), post("ao_live_nobody")] == [401, 401, 401]
    assert counted() == {"unauthenticated": 2}
    assert Client().get("/v1/whoami", headers={"Authorization": f"Bearer {other}"}).status_code == 401
    assert counted() == {"unauthenticated": 2}, "reading is not knocking"


def test_what_is_accepted_or_refused_for_another_reason_is_not_counted(ada: Agent) -> None:
    posted(ada, {})
    assert post(factories.key(ada), body={"to": []}) == 422
    assert counted() == {}


def test_a_storm_is_one_row_a_minute(ada: Agent) -> None:
    for _ in range(3):
        for _ in range(1000):
            knocks.note(ada.pk, "stopped")
        counting.write()
    assert RefusedPosts.objects.count() <= 2, "one, or two where a minute has just begun"
    assert {row.minute.second for row in RefusedPosts.objects.all()} == {0}
    seen = knocks.knocking([ada.pk])
    assert seen.posts == sum(seen.minutes[-2:]) == 3000


def test_they_are_shown_as_bars_beside_the_keys_and_forgotten(ada: Agent) -> None:
    done = killswitch.trip("agent:ada", who="rita", why="")
    sql.count(
        "INSERT INTO outbox_refusedposts (minute, agent_id, code, posts)"
        " SELECT date_trunc('minute', statement_timestamp()) - n * interval '1 minute', %s, 'stopped', 10 * (n + 1)"
        " FROM generate_series(0, 2) AS n",
        [ada.pk],
    )
    told = root().get(f"/killswitch/{done.epoch}/").content.decode()
    assert "60 in the last half hour: 60 <code>stopped</code>" in told
    assert len(re.findall(r"<rect ", told)) == 3
    assert "<b>20</b> refused posts a minute" in told
    sql.count("UPDATE outbox_refusedposts SET minute = minute - interval '31 days' WHERE posts > 10")
    assert knocks.forget() == 2
