"""The index of prints on a real database: who had it, how many have it, and who is first of many at once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from outbox import duplicates, ids
from outbox.addresses import parse_mailbox
from outbox.duplicates import Likenesses, Overtaken
from outbox.fingerprints import NOTHING, Likeness
from outbox.keys import Caller
from outbox.models import Band, Cluster, ClusterCount, Print
from outbox.payloads import Attachment, Draft
from reputation import sql

pytestmark = pytest.mark.usefixtures("live_db")

TEXT = (
    "Hi {name},\n\nwe saw that {company} has opened a second warehouse near the harbour and thought you may want to "
    "hear how other importers of that size keep their customs papers in order. Would a call on Thursday suit you?\n"
    "\nBest regards,\nAda"
)
OTHER = (
    "The printer on the third floor is out of magenta again. I have ordered two cartridges, which should be here by "
    "Tuesday; until then please use the one beside the kitchen."
)


def caller(agent_id: int = 1, *, exempt: bool = False) -> Caller:
    return Caller(1, "agent", frozenset(), agent_id, f"agent-{agent_id}", 1, "s", True, exempt, 1, 1)


def draft(*to: str, text: str = TEXT, subject: str = "Your second warehouse", enclosed: bytes = b"") -> Draft:
    name = to[0].partition("@")[0].title()
    said = text.format(name=name, company=f"{name} Ltd")
    nobody: tuple[Any, ...] = ()
    parts = (Attachment("a.pdf", "application/pdf", enclosed, None),) if enclosed else ()
    people = tuple(map(parse_mailbox, to))
    rest = (None, None, 1, None, None, "", "", False, None, b"")
    return Draft(None, people, nobody, nobody, nobody, subject, said, None, nobody, parts, nobody, *rest)


def new_id() -> UUID:
    return ids.new_id(int(datetime.now(UTC).timestamp() * 1000))


def sent(*drafts: Draft, by: int = 1) -> list[UUID]:
    """These were accepted, in one call."""
    with transaction.atomic():
        likenesses = duplicates.read(drafts, caller(by))
        keys = [new_id() for _ in drafts]
        for each, key in zip(drafts, keys, strict=True):
            likenesses.add(each, key)
        likenesses.keep()
    return keys


def likeness(wanted: Draft, by: int = 1, window: timedelta = duplicates.WINDOW) -> Likeness:
    return duplicates.read([wanted], caller(by), window).of(wanted)


def later(**shift: float) -> None:
    sql.count("UPDATE outbox_clockshift SET shift = %s", [timedelta(**shift)], using="owner")


# -- one person


def test_what_nobody_has_said_is_like_nothing() -> None:
    found = likeness(draft("grace@example.org"))
    assert (found.earlier, found.cluster_size) == ({}, 1)
    assert found.cluster is not None


def test_the_same_to_the_same_person_is_found_however_they_are_written_to() -> None:
    [key] = sent(draft("grace@example.org"))
    found = likeness(draft("Grace+news@example.org")).earlier["Grace+news@example.org"]
    assert (found.message_id, found.within_hour) == (key, 1)


def test_another_agents_message_is_known_by_its_age_alone() -> None:
    sent(draft("grace@example.org"), by=2)
    [found] = likeness(draft("grace@example.org")).earlier.values()
    assert found.message_id is None
    assert abs(found.at - datetime.now(UTC)) < timedelta(minutes=1)


def test_another_person_and_another_text_are_no_repeat() -> None:
    sent(draft("grace@example.org"))
    assert not likeness(draft("ada@example.org")).earlier
    assert not likeness(draft("grace@example.org", text=OTHER, subject="Magenta")).earlier


def test_a_correction_may_follow_and_is_the_same_to_all() -> None:
    """So few words are a person's news; to many people it is still one mailing."""
    said = "Your appointment on 3 May at 10:00 is {}."
    confirmed, cancelled = (
        draft("grace@example.org", text=said.format(word), subject="Your appointment")
        for word in ("confirmed", "cancelled")
    )
    sent(confirmed)
    found = likeness(cancelled)
    assert not found.earlier
    assert found.cluster == likeness(confirmed).cluster
    sent(cancelled)
    assert likeness(confirmed).earlier
    assert likeness(cancelled).earlier


def test_of_several_recipients_those_are_named_who_had_it() -> None:
    sent(draft("grace@example.org", "ada@example.org"))
    found = likeness(draft("bob@example.org", "ada@example.org"))
    assert list(found.earlier) == ["ada@example.org"]


def test_another_attachment_is_another_message_to_a_person_and_the_same_to_all() -> None:
    sent(draft("grace@example.org", enclosed=b"invoice 1"))
    assert likeness(draft("grace@example.org", enclosed=b"invoice 1")).earlier
    found = likeness(draft("grace@example.org", enclosed=b"invoice 2"))
    assert not found.earlier
    assert found.cluster_size == likeness(draft("ada@example.org")).cluster_size - 1 == 1


def test_a_person_is_found_again_until_the_window_is_over() -> None:
    sent(draft("grace@example.org"))
    later(days=6.9)
    assert likeness(draft("grace@example.org")).earlier
    assert not likeness(draft("grace@example.org"), window=timedelta(days=3)).earlier
    later(days=7.1)
    assert not likeness(draft("grace@example.org")).earlier


def test_the_last_hour_is_counted() -> None:
    sent(draft("grace@example.org"))
    later(minutes=50)
    sent(draft("grace@example.org"))
    newest = sent(draft("grace@example.org"), by=2)
    later(minutes=70)
    wanted = draft("grace@example.org")
    likenesses = duplicates.read([wanted], caller(2))
    assert likenesses.of(wanted).earlier["grace@example.org"].within_hour == 2
    assert likenesses.of(wanted).earlier["grace@example.org"].message_id == newest[0]


def test_what_was_turned_away_counts_within_the_hour_and_is_nobodys_earlier_message() -> None:
    wanted = draft("grace@example.org")
    [key] = sent(wanted)
    for _ in range(2):
        with transaction.atomic():
            likenesses = duplicates.read([wanted], caller())
            likenesses.turn_away(wanted)
            likenesses.keep()
    found = likeness(wanted)
    assert (
        found.earlier["grace@example.org"].message_id,
        found.earlier["grace@example.org"].within_hour,
    ) == (key, 3)
    assert found.cluster_size == 1


@pytest.mark.parametrize(
    ("status", "counts"),
    [("cancelled", False), ("refused", False), ("expired", False), ("held", True), ("delivered", True)],
)
def test_what_ended_before_it_was_sent_is_no_earlier_message(status: str, counts: bool) -> None:
    [key] = sent(draft("grace@example.org"))
    final = status not in ("held", "queued")
    codes = {
        "expired": "expires_at_passed",
        "cancelled": "by_agent",
        "refused": "by_reviewer",
        "held": "recheck",
    }
    sql.count(
        """INSERT INTO outbox_delivery (id, message_id, lane_id, next_attempt_at, expires_at, finished_at, attempt,
               tries, rescues, priority, resent, status, code, recipient)
           SELECT %s, %s, 1, now(), now(), CASE WHEN %s THEN now() END, 0, 0, 0, 1, false, %s, %s, 'g@example.org'""",
        [ids.delivery_id(key, 1), key, final, status, codes.get(status, "accepted_by_server")],
    )
    assert bool(likeness(draft("grace@example.org")).earlier) is counts


def test_a_person_with_much_mail_is_still_found_by_what_many_got() -> None:
    """Their newest prints are compared and no more; the last time in a cluster is known however long ago."""
    [key] = sent(draft("grace@example.org"))
    many = [draft("grace@example.org", text=" ".join(f"w{n}x{m}" for m in range(30))) for n in range(40)]
    sent(*many)
    assert likeness(draft("grace@example.org")).earlier["grace@example.org"].message_id == key
    sent(draft("grace@example.org"))


# -- many people


def test_copies_to_many_people_are_one_cluster_across_calls_and_agents() -> None:
    for number in range(6):
        sent(draft(f"p{number}@example.org"), by=number)
    found = likeness(draft("grace@example.org"))
    assert (found.cluster_size, Cluster.objects.count()) == (7, 1)
    assert found.cluster == Cluster.objects.get().pk


def test_drafts_of_one_batch_see_those_before_them() -> None:
    drafts = [draft(f"p{number}@example.org") for number in range(5)]
    likenesses = duplicates.read(drafts, caller())
    sizes, keys = [], set()
    for each in drafts:
        found = likenesses.of(each)
        sizes.append(found.cluster_size)
        assert likenesses.add(each, new_id()) == found.cluster
        keys.add(found.cluster)
    assert (sizes, len(keys)) == ([1, 2, 3, 4, 5], 1)
    assert likenesses.of(drafts[0]).earlier["p0@example.org"].within_hour == 1


def test_a_person_counts_once_in_a_cluster_and_again_when_the_window_is_over() -> None:
    sent(draft("grace@example.org"))
    sent(draft("grace@example.org"))
    assert likeness(draft("ada@example.org")).cluster_size == 2
    later(days=8.1)
    assert likeness(draft("ada@example.org")).cluster_size == 1
    sent(draft("grace@example.org"))
    assert likeness(draft("ada@example.org")).cluster_size == 2


def test_unlike_messages_make_clusters_of_their_own() -> None:
    sent(draft("grace@example.org"), draft("ada@example.org", text=OTHER, subject="Magenta"))
    assert Cluster.objects.count() == 2
    assert likeness(draft("bob@example.org", text=OTHER, subject="Magenta")).cluster_size == 2


def test_a_few_words_are_a_repeat_and_no_campaign() -> None:
    short = {"text": "Thanks, see you", "subject": "Re: lunch"}
    sent(draft("grace@example.org", **short))
    found = likeness(draft("grace@example.org", **short))
    assert (len(found.earlier), found.cluster, found.cluster_size) == (1, None, 0)


def test_a_triple_that_many_clusters_share_is_left_to_them_and_does_not_hide_the_next() -> None:
    """Each begins with the same words; who comes late is found by what only it says."""
    phrase = "please do not hesitate to ask for what you may need of us"
    texts = [f"{phrase} " + " ".join(f"w{n}x{m}" for m in range(25)) for n in range(12)]
    for number, text in enumerate(texts):
        sent(draft(f"p{number}@example.org", text=text, subject="s"))
    assert Cluster.objects.count() == 12
    assert Band.objects.order_by("-slot").first().slot == duplicates.SLOTS - 1  # type: ignore[union-attr]
    for text in texts:
        assert likeness(draft("grace@example.org", text=text, subject="s")).cluster_size == 2


def test_an_exempt_agent_and_a_message_that_says_nothing_pay_nothing() -> None:
    wanted = draft("grace@example.org")
    with transaction.atomic():
        likenesses = duplicates.read([wanted], caller(exempt=True))
        assert (likenesses.of(wanted), likenesses.add(wanted, new_id())) == (NOTHING, None)
        likenesses.keep()
    empty = draft("grace@example.org", text="", subject="")
    sent(empty)
    assert likeness(empty) == NOTHING
    assert not Print.objects.exists()
    assert Likenesses().of(wanted) == NOTHING


def test_looking_writes_nothing() -> None:
    likeness(draft("grace@example.org"))
    assert not any(table.objects.exists() for table in (Cluster, Band, Print, ClusterCount))


def test_a_slot_that_was_forgotten_is_taken_again() -> None:
    """Else a band whose first owner is gone would clash with its second one for ever."""
    phrase = "please do not hesitate to ask for what you may need of us"
    texts = [f"{phrase} " + " ".join(f"w{n}x{m}" for m in range(25)) for n in range(3)]
    sent(*(draft(f"p{n}@example.org", text=text, subject="s") for n, text in enumerate(texts[:2])))
    second = Band.objects.filter(slot=1).values_list("cluster", flat=True)[:1]
    Band.objects.exclude(cluster=second.get()).delete()
    sent(draft("p2@example.org", text=texts[2], subject="s"))
    slots = Band.objects.filter(cluster=Cluster.objects.latest("id").pk).values_list("slot", flat=True)
    assert set(slots) == {0}


# -- at once


def at_once(drafts: Sequence[Draft], *, unique: bool) -> tuple[list[bool], int]:
    """Each posted by a thread and an agent of its own, all having read before the first writes; who was accepted."""
    together = Barrier(len(drafts))

    def post(number: int) -> tuple[bool, int]:
        wanted, tries = drafts[number], 0
        try:
            while True:
                tries += 1
                with suppress(Overtaken), transaction.atomic():
                    likenesses = duplicates.read([wanted], caller(number))
                    if tries == 1:
                        together.wait(30)
                    if unique and likenesses.of(wanted).earlier:
                        return False, tries
                    likenesses.add(wanted, new_id())
                    likenesses.keep()
                    return True, tries
        finally:
            connection.close()

    with ThreadPoolExecutor(len(drafts)) as pool:
        answers = list(pool.map(post, range(len(drafts))))
    return [accepted for accepted, _ in answers], max(tries for _, tries in answers)


@pytest.mark.parametrize("known", [False, True])
def test_of_many_agents_at_once_one_is_first_with_a_person(known: bool) -> None:
    if known:
        sent(draft("ada@example.org"))
    for round_ in range(5):
        copies = [draft(f"grace{round_}@example.org") for _ in range(8)]
        accepted, tries = at_once(copies, unique=True)
        assert (accepted.count(True), tries) == (1, 2)
    assert Cluster.objects.count() == 1


def test_of_many_dressed_up_copies_at_once_one_is_first() -> None:
    plain = TEXT.format(name="Grace", company="Hopper Ltd")
    dressed = [
        plain.replace("a", "а"),
        plain.replace("Thursday", "Friday"),
        plain.replace(" ", "\u200b "),
        plain.upper(),
    ]
    copies = [draft("grace@example.org", text=text) for text in dressed]
    accepted, _ = at_once(copies, unique=True)
    assert accepted.count(True) == 1


def test_a_flood_at_once_is_one_cluster_and_everybody_is_counted() -> None:
    flood = [draft(f"p{number}@example.org") for number in range(16)]
    accepted, tries = at_once(flood, unique=True)
    assert (accepted.count(True), tries <= 3) == (16, True)
    assert Cluster.objects.count() == 1
    assert likeness(draft("p0@example.org")).cluster_size == 16
    assert likeness(draft("q@example.org")).cluster_size == 17


def test_unlike_messages_at_once_that_share_a_phrase_do_not_overtake_each_other() -> None:
    phrase = "please do not hesitate to ask for what you may need of us"
    texts = [f"{phrase} " + " ".join(f"w{n}x{m}" for m in range(25)) for n in range(8)]
    drafts = [draft(f"p{n}@example.org", text=text, subject="s") for n, text in enumerate(texts)]
    accepted, tries = at_once(drafts, unique=True)
    assert (accepted.count(True), tries) == (8, 1)
    assert Cluster.objects.count() == 8


def test_two_batches_at_once_in_opposite_order_do_not_lock_each_other_out() -> None:
    texts = [" ".join(f"w{n}x{m}" for m in range(30)) for n in range(20)]
    forth = [draft("grace@example.org", text=text, subject="s") for text in texts]
    both = Barrier(2)

    def post(drafts: Sequence[Draft]) -> int:
        try:
            for _ in range(5):
                with suppress(Overtaken), transaction.atomic():
                    likenesses = duplicates.read(drafts, caller())
                    fresh = [each for each in drafts if not likenesses.of(each).earlier]
                    if not both.broken and both.n_waiting < 2 and fresh == list(drafts):
                        both.wait(30)
                    for each in fresh:
                        likenesses.add(each, new_id())
                    likenesses.keep()
                    return len(fresh)
            return -1
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        written = list(pool.map(post, [forth, forth[::-1]]))
    assert sorted(written) == [0, 20]


# -- forgotten


def test_what_no_window_reaches_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "PAGE", 2)
    sent(*(draft(f"p{number}@example.org") for number in range(5)))
    sent(draft("grace@example.org", text=OTHER, subject="Magenta"))
    later(days=20)
    sent(draft("bob@example.org", text=OTHER, subject="Magenta"))
    later(days=31.1)
    duplicates.forget()
    assert [Print.objects.count(), Cluster.objects.count(), ClusterCount.objects.count()] == [1, 1, 1]
    assert set(Band.objects.values_list("cluster", flat=True)) == {Cluster.objects.get().pk}
    assert likeness(draft("ada@example.org", text=OTHER, subject="Magenta")).cluster_size == 1
    later(days=52)
    duplicates.forget()
    assert not any(table.objects.exists() for table in (Cluster, Band, Print, ClusterCount))


def test_a_cluster_that_was_forgotten_while_a_draft_was_judged_is_no_error() -> None:
    wanted = draft("grace@example.org")
    sent(draft("ada@example.org"))
    with transaction.atomic():
        likenesses = duplicates.read([wanted], caller())
        later(days=40)
        duplicates.forget()
        likenesses.add(wanted, new_id())
        likenesses.keep()
    assert likeness(draft("grace@example.org")).earlier
    sent(draft("grace@example.org"))
