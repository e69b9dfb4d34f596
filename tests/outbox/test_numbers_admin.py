"""Numbers in the admin: what they would do, before they are saved; and history judged again."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from outbox import replaying
from reputation import judging, simulating
from reputation.models import Evidence, Judgement, Numbers, Watch
from reputation.rules import Numbers as Values
from tests import factories

pytestmark = pytest.mark.usefixtures("live_db")
FORM = {name: getattr(Values(), name) for name in judging.NUMBERS[:-1]}
ADD = "/admin/reputation/numbers/add/"


@pytest.fixture
def client(monkeypatch) -> Client:
    monkeypatch.setattr(simulating, "LIVES", 2)
    monkeypatch.setattr(simulating, "SHORT_RUNS", 20)
    monkeypatch.setattr(simulating, "BAD_MIXES", 20)
    simulating.consequences.cache_clear()
    boss = User.objects.create_superuser("dora", password="x")
    browser = Client()
    browser.force_login(boss)
    yield browser
    simulating.consequences.cache_clear()


def test_numbers_are_tried_before_they_are_saved(client):
    page = client.get(ADD).content.decode()
    assert "unknown list" in page
    tried = client.post(ADD, FORM | {"stream": "", "bounce_line": "0.01", "_try": "1"}).content.decode()
    assert "Nothing was saved" in tried
    assert "0.02 → 0.01" in tried
    assert "What would have tripped last month" in tried
    assert 'value="0.01"' in tried
    assert not Numbers.objects.exists()


def test_each_change_is_a_version_with_its_author(client):
    assert client.post(ADD, FORM | {"stream": ""}).status_code == 302
    row = Numbers.objects.get()
    assert (row.version, row.changed_by) == (1, "dora")
    path = f"/admin/reputation/numbers/{row.pk}/change/"
    assert client.post(path, FORM | {"running_sum": "6"}).status_code == 302
    row.refresh_from_db()
    assert (row.version, row.running_sum) == (2, 6.0)
    assert judging.numbers()[1] == Values(running_sum=6.0, version=2)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"bounce_window": "5"}, "Between 20"),
        ({"events": "0"}, "At least 1"),
        ({"bounce_line": "0.5"}, "numbers_in_order"),  # above what is called bad
    ],
)
def test_numbers_that_cannot_be_are_refused(client, wrong, words):
    page = client.post(ADD, FORM | {"stream": ""} | wrong)
    assert page.status_code == 200
    assert words in page.content.decode()
    assert not Numbers.objects.exists()


def test_judgements_and_watches_are_shown_and_a_watch_can_begin_anew(client):
    Evidence.objects.create(
        at=timezone.now(),
        stream="agents-support",
        scopes=["stream:agents-support", "agent:ada", "run:ada/r1"],
        provider="gmail",
        trials=90,
        events=[[each, "bounced", f"d{each}.example", "recipient_inactive", False] for each in range(1, 5)],
    )
    judging.judge()
    judgement = Judgement.objects.get(strength="weak")
    page = client.get(f"/admin/reputation/judgement/{judgement.pk}/change/").content.decode()
    assert "trials: 90" in page
    assert "lower: 0.0201" in page
    watches = "/admin/reputation/watch/"
    assert "4 of 90" in client.get(watches).content.decode()
    watch = Watch.objects.get(scope="run:ada/r1", signal="bounces")
    client.post(watches, {"action": "begin_anew", "_selected_action": [watch.pk]})
    assert not Watch.objects.filter(pk=watch.pk).exists()
    assert Judgement.objects.latest("pk").why == "dora let it begin anew."


def test_history_is_judged_again_under_other_numbers():
    from tests.outbox.history import bounced_run

    bounced_run(factories.agent(exempt=False), bad=8, good=52)
    strict = replaying.replay(Values(), None)
    assert strict.outcomes == 60
    assert [each.verdict.scope for each in strict.closed] == ["run:ada/r1"]
    lax = replaying.replay(
        Values(bounce_line=0.2, bounce_bad=0.6, unknown_of_first=20, running_sum=100), None
    )
    assert lax.closed == []
    assert replaying.replay(Values(), ["another"]).outcomes == 0
    assert strict.since < timezone.now() - timedelta(days=29)
