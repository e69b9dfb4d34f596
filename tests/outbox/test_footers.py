"""What stands below a message: in every body, inside the page, escaped."""

from html.parser import HTMLParser

import pytest

from outbox.footers import Footer, below_html, below_text

LINK = "https://u.acme.example/u/abc"
FOOTER = Footer(LINK, "Acme Ltd\r\n\r\n 1 Main St <5th floor> ")


@pytest.mark.parametrize("text", ["Hi Grace", "Hi Grace\n"])
def test_a_text_ends_with_address_and_link(text: str) -> None:
    ending = f"\n\n--\nAcme Ltd\n1 Main St <5th floor>\nUnsubscribe:\n{LINK}\n"
    assert below_text(text, FOOTER) == f"Hi Grace{ending}"


def test_without_a_footer_nothing_is_changed() -> None:
    assert below_text("Hi", None) == "Hi"
    assert below_html("<p>Hi</p>", None) == "<p>Hi</p>"


def test_without_a_postal_address_there_is_still_the_link() -> None:
    bare = Footer(LINK, "")
    assert below_text("Hi", bare) == f"Hi\n\n--\nUnsubscribe:\n{LINK}\n"
    assert "<br>" not in below_html("Hi", bare)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<html><body><p>Hi</p>", "</body></html>"),
        ("<p>Hi</p>", "</BODY >\n</HTML>\n"),
        ("<html><p>Hi</p>", "</html>"),
        ("<p>Hi</p>", ""),
        ("<p>\u0130\u0130\u0130</p>", "</body>"),  # longer in lower case
        ("<p></body></p>" + "x" * 300, "</body>"),  # the last one counts
    ],
)
def test_a_page_has_it_at_the_end_of_its_body(before: str, after: str) -> None:
    shown = below_html(before + after, FOOTER)
    assert shown.startswith(before + "\n<div")
    assert shown.endswith("</div>\n" + after)


def test_everything_in_it_is_escaped() -> None:
    hostile = Footer('https://x/"><script>alert(1)</script>', "<img src=x onerror=alert(1)>")
    tags: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            tags.append(tag)

    Reader().feed(below_html("<p>Hi</p>", hostile))
    assert tags == ["p", "div", "br", "a"]
