"""The suppression list in the admin: who may see, add, lift and erase, and lists that come and go."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from reputation import suppression, suppression_lists
from reputation.models import Suppression
from reputation.suppression import ALL, Entry, Reason, look_up
from reputation.suppression_lists import BadList
from reputation.vault import new_master_key
from tests import factories
from tests.pages.desk import HOSTILE, person, root

LIST = "/admin/reputation/suppression/"
VIEW = "reputation.view_suppression"
SALES = ("agents-support", "agents")
GIVEN = Entry("", Reason.BY_PERSON, ALL, "person:dana", why="the old list")


@pytest.fixture(autouse=True)
def sealed(live_db: Any) -> Iterator[None]:
    factories.stream()
    with override_settings(AO_MASTER_KEYS=[new_master_key()]):
        yield


def complain(*addresses: str) -> None:
    suppression.suppress(suppression.complaint(address, "arf") for address in addresses)


def page(client: Any, path: str = "", **query: str) -> str:
    response = client.get(LIST + path, query)
    assert response.status_code == 200
    return response.content.decode()


# -- looking -------------------------------------------------------------------------------------------------


def test_an_address_is_shown_only_to_those_who_may_see_it() -> None:
    complain("ada@example.org")
    key = Suppression.objects.get().pk
    for path in ("", f"{key}/change/"):
        assert "ada@example.org" in page(person(f"a{path}", VIEW, "reputation.unseal_suppression"), path)
        assert "ada@" not in page(person(f"b{path}", VIEW), path)


def test_search_is_by_one_whole_address_in_any_spelling() -> None:
    complain("ada@example.org", "grace@example.org")
    client = root()
    for words in ("ada@example.org", " ADA+x@Example.org "):
        shown = page(client, q=words)
        assert "ada@example.org" in shown
        assert "grace@example.org" not in shown
    assert "ada@example.org" not in page(client, q="ada")


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ({}, {"bounced", "complained", "lifted"}),
        ({"reason__exact": "hard_bounce"}, {"bounced"}),
        ({"scope": "agents"}, {"complained", "lifted"}),
        ({"standing": "now"}, {"bounced", "complained"}),
        ({"standing": "lifted"}, {"lifted"}),
        ({"standing": "expired"}, set()),
    ],
)
def test_filters_show_what_they_say(query: dict[str, str], seen: set[str]) -> None:
    complain("complained@x.example", "lifted@x.example")
    suppression.suppress([suppression.hard_bounce("bounced@x.example", "dsn")])
    suppression.lift(
        Suppression.objects.get(person=suppression.person_mark("lifted@x.example")).pk, "dana", "asked"
    )
    shown = page(root(), **query)
    assert {name for name in ("bounced", "complained", "lifted") if f"{name}@x.example" in shown} == seen


def test_a_page_costs_the_same_for_one_row_and_for_fifty() -> None:
    client = root()
    complain("p0@example.org")
    page(client)
    with CaptureQueriesContext(connection) as few:
        page(client)
    complain(*(f"p{number}@example.org" for number in range(50)))
    with CaptureQueriesContext(connection) as many:
        page(client)
    assert len(many) == len(few)


def test_what_people_wrote_is_shown_and_never_run() -> None:
    suppression.suppress([Entry("a@example.org", Reason.BY_PERSON, ALL, HOSTILE[:150], why=HOSTILE)])
    key = Suppression.objects.get().pk
    for path in ("", f"{key}/change/"):
        assert "<script>alert" not in page(root(f"root{path}"), path)


# -- doing ---------------------------------------------------------------------------------------------------


def test_somebody_is_suppressed_by_hand_with_a_reason() -> None:
    client = person("dana", VIEW, "reputation.add_suppression")
    asked = {"address": "Ada@example.org", "scope": "all", "why": "She wrote to us", "expires_at": ""}
    assert client.post(f"{LIST}add/", asked | {"why": ""}).status_code == 200
    assert client.post(f"{LIST}add/", asked | {"address": "nonsense"}).status_code == 200
    assert client.post(f"{LIST}add/", asked | {"scope": "run:x"}).status_code == 200
    assert not Suppression.objects.exists()
    assert client.post(f"{LIST}add/", asked).status_code == 302
    row = Suppression.objects.get()
    assert (row.reason, row.scope, row.source, row.why) == (
        "by_person",
        "all",
        "person:dana",
        "She wrote to us",
    )
    assert look_up(["ada@example.org"], "resets", "transactional")


def test_lifting_asks_for_a_reason_and_leaves_a_trace() -> None:
    complain("ada@example.org")
    path = f"{LIST}{Suppression.objects.get().pk}/lift/"
    client = person("dana", VIEW, "reputation.lift_suppression")
    assert client.get(path).status_code == 200
    assert client.post(path, {"why": "  "}).status_code == 200
    assert look_up(["ada@example.org"], *SALES)
    assert client.post(path, {"why": "asked by phone"}).status_code == 302
    assert not look_up(["ada@example.org"], *SALES)
    row = Suppression.objects.get()
    assert (row.lifted_by, row.lifted_why) == ("person:dana", "asked by phone")
    assert "asked by phone" in LogEntry.objects.get().change_message


def test_erasing_takes_the_address_out_and_keeps_them_suppressed() -> None:
    complain("ada@example.org")
    suppression.suppress([suppression.hard_bounce("ada+x@example.org", "dsn")])
    key = Suppression.objects.earliest("pk").pk
    client = root()
    assert client.post(f"{LIST}{key}/erase/", {"why": ""}).status_code == 200
    assert client.post(f"{LIST}{key}/erase/", {"why": "Art. 17, ticket 12"}).status_code == 302
    assert "ada@example.org" not in page(client)
    assert "erased" in page(client)
    assert look_up(["ada@example.org"], *SALES)


@pytest.mark.parametrize(
    ("path", "permission"),
    [
        ("add/", "add"),
        ("import/", "add"),
        ("export/", "unseal"),
        ("{key}/lift/", "lift"),
        ("{key}/erase/", "erase"),
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_each_thing_wants_its_own_permission(path: str, permission: str, method: str) -> None:
    complain("ada@example.org")
    verbs = {"add", "lift", "erase", "unseal", "change", "delete"} - {permission}
    someone = person("dana", VIEW, *(f"reputation.{verb}_suppression" for verb in verbs))
    where = LIST + path.format(key=Suppression.objects.get().pk)
    assert getattr(someone, method)(where, {"why": "x"}).status_code == 403
    assert look_up(["ada@example.org"], *SALES)


def test_nobody_changes_or_deletes_an_entry() -> None:
    complain("ada@example.org")
    key = Suppression.objects.get().pk
    assert root().post(f"{LIST}{key}/delete/", {"post": "yes"}).status_code == 403
    assert root("second").post(f"{LIST}{key}/change/", {"scope": "all"}).status_code == 403
    assert Suppression.objects.get().scope == "agents"


# -- lists ---------------------------------------------------------------------------------------------------


def exported(client: Any, **query: str) -> list[dict[str, str]]:
    response = client.get(f"{LIST}export/", query)
    assert response.streaming
    assert response["Content-Type"].startswith("text/csv")
    text = b"".join(response.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_an_export_holds_the_list_as_it_is_filtered() -> None:
    complain("ada@example.org", "grace@example.org")
    suppression.suppress([suppression.hard_bounce("joan@example.org", "dsn")])
    suppression.erase("grace@example.org")
    client = root()
    assert [row["address"] for row in exported(client)] == ["ada@example.org", "", "joan@example.org"]
    (row,) = exported(client, reason__exact="hard_bounce")
    assert (row["scope"], row["reason"], row["source"]) == ("all", "hard_bounce", "dsn")


def test_an_export_costs_the_same_for_one_row_and_for_thousands() -> None:
    client = root()
    complain("p0@example.org")
    with CaptureQueriesContext(connection) as few:
        exported(client)
    complain(*(f"p{number}@example.org" for number in range(2500)))
    with CaptureQueriesContext(connection) as many:
        assert len(exported(client)) == 2500
    assert len(many) == len(few)


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "'plain", "plain"]
)
def test_no_cell_is_a_formula_and_every_cell_comes_back(cell: str) -> None:
    escaped = suppression_lists._escaped(cell)
    assert not escaped.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert suppression_lists._unescaped(escaped) == cell


def test_what_was_exported_can_be_imported_elsewhere() -> None:
    complain("ada@example.org", "=cmd@example.org", "lifted@example.org", "grace@example.org")
    suppression.erase("grace@example.org")
    suppression.lift(
        Suppression.objects.get(person=suppression.person_mark("lifted@example.org")).pk, "dana", "asked"
    )
    lines = list(suppression_lists.written(Suppression.objects.order_by("pk")))
    Suppression.objects.all().delete()
    done = suppression_lists.read(lines, GIVEN)
    assert (done.lines, done.fresh, done.wrong) == (4, 2, ())
    rows = {suppression.address_in(row): row for row in Suppression.objects.all()}
    assert set(rows) == {"ada@example.org", "=cmd@example.org"}
    row = rows["ada@example.org"]
    assert (row.scope, row.reason, row.source, row.why) == (
        "agents",
        "complaint",
        "person:dana",
        "the old list",
    )


def test_a_list_is_read_line_by_line_and_wrong_ones_are_named() -> None:
    text = (
        "Email,scope,reason,expires_at\n"
        "ada@example.org,,,\n"
        "\n"
        "no address,,,\n"
        "joan@example.org,stream:agents-support,unsubscribed,2999-01-01\n"
        "x@example.org,run:1,,\n"
        "y@example.org,,bored,\n"
        "z@example.org,,,tomorrow\n"
        "a@b@c,,,\n"
        "short@example.org\n"
        '"with ""quotes""@example.org",,,\n'
    )
    done = suppression_lists.read(io.StringIO(text), GIVEN)
    assert (done.lines, done.fresh, done.wrong) == (9, 3, (4, 6, 7, 8, 9, 11))
    found = {suppression.address_in(row): row for row in Suppression.objects.all()}
    assert set(found) == {"ada@example.org", "joan@example.org", "short@example.org"}
    joan = found["joan@example.org"]
    assert (joan.scope, joan.reason) == ("stream:agents-support", "unsubscribed")
    assert joan.expires_at is not None
    assert joan.expires_at.year == 2999


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name,phone\nx,1\n",  # no column of addresses
        "ada@example.org\n",  # no header
        "address\nada@example.org\n" + "x" * 200_000,  # a cell that would not end
    ],
)
def test_what_is_no_list_is_refused_whole(text: str) -> None:
    with pytest.raises(BadList):
        suppression_lists.read(io.StringIO(text), GIVEN)
    assert not Suppression.objects.exists()


def test_a_list_that_is_too_long_changes_nothing(monkeypatch: Any) -> None:
    monkeypatch.setattr(suppression_lists, "MAX_LINES", 1500)
    lines = ["address\n", *(f"p{number}@example.org\n" for number in range(2001))]
    with pytest.raises(BadList, match="split"):
        suppression_lists.read(lines, GIVEN)
    assert not Suppression.objects.exists()


def test_a_file_is_imported_by_a_person_with_a_reason() -> None:
    client = person("dana", VIEW, "reputation.add_suppression")

    def upload(content: bytes, **more: str) -> Any:
        given = {"scope": "agents", "why": "from the old system", "expires_at": "", **more}
        return client.post(f"{LIST}import/", given | {"file": SimpleUploadedFile("list.csv", content)})

    assert b'enctype="multipart/form-data"' in client.get(f"{LIST}import/").content
    assert upload(b"address\nada@example.org\n", why="").status_code == 200
    assert upload(b"address\n\xff\xfe@example.org\n").status_code == 200  # not UTF-8
    assert not Suppression.objects.exists()
    assert upload("\ufeffaddress\r\nada@example.org\r\njoan@example.org\r\n".encode()).status_code == 302
    assert Suppression.objects.count() == 2
    row = Suppression.objects.earliest("pk")
    assert (row.source, row.scope, row.why) == ("person:dana", "agents", "from the old system")
