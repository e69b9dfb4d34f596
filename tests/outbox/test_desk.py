"""The pages that need no login: they open, name everything, and run nothing inline. No database."""

import re
from html import unescape

import pytest
from django.test import Client, RequestFactory
from django.views.defaults import server_error

from outbox.desk import VIOLATION_WORDS, marked
from outbox.problems import CODES

INLINE = re.compile(r"<style|<script|\sstyle\s*=|\son[a-z]+\s*=", re.IGNORECASE)


def page(path: str, status: int = 200) -> str:
    response = Client().get(path)
    assert response.status_code == status, path
    assert "default-src 'none'" in response["Content-Security-Policy"]
    shown = unescape(response.content.decode())
    assert not INLINE.search(shown)
    return shown


def test_the_front_page_leads_to_the_api_the_problems_and_the_admin() -> None:
    shown = page("/")
    for path in ("/v1/docs", "/v1/errors", "/approvals/", "/killswitch/", "/admin/"):
        assert f'href="{path}"' in shown
    assert Client().post("/").status_code == 405


@pytest.mark.parametrize("path", ["/nowhere", "/killswitch/x/", "/approvals/x/y"])
def test_a_page_that_is_not_there_says_where_to_look(path: str) -> None:
    shown = page(path, 404)
    assert "There is no such page" in shown
    assert "Resolver404" not in shown
    for way in ("/approvals/", "/killswitch/", "/admin/"):
        assert shown.count(f'href="{way}"') == 2, "in the header, and in words"


def test_a_page_that_fails_says_how_to_stop_all_the_same() -> None:
    shown = server_error(RequestFactory().get("/")).content.decode()
    assert "Something is wrong here" in shown
    assert 'href="/killswitch/"' in shown


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_page_without_markup_left_in_it(code: str) -> None:
    shown = page(f"/v1/errors/{code}")
    assert CODES[code].title in shown
    assert "`" not in shown


@pytest.mark.parametrize("path", ["/v1/errors", "/v1/errors/"])
def test_there_is_a_page_of_all_codes(path: str) -> None:
    shown = page(path)
    assert all(f'id="{code}"' in shown for code in CODES)


def test_the_page_of_invalid_messages_names_every_violation() -> None:
    shown = page("/v1/errors/validation_failed")
    assert all(f"<code>{code}</code>" in shown for code in VIOLATION_WORDS)
    assert "unknown_field" not in page("/v1/errors/not_found")


@pytest.mark.parametrize("code", ["nonsense", "with.dot", "a/b", "%3Cscript%3E"])
def test_an_unknown_code_is_a_page_that_leads_to_the_list(code: str) -> None:
    response = Client().get(f"/v1/errors/{code}")
    assert response.status_code == 404
    assert 'href="/v1/errors"' in response.content.decode()
    assert b"<script" not in response.content


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("Wait until `retry_at`.", "Wait until <code>retry_at</code>."),
        ("`a` <b> `c&d`", "<code>a</code> &lt;b&gt; <code>c&amp;d</code>"),
        ("plain", "plain"),
    ],
)
def test_what_stands_between_backticks_is_code(text: str, html: str) -> None:
    assert marked(text) == html
