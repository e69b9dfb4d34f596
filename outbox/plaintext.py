"""The text alternative of an HTML message, for agents that send none.

Guarantees: linear time on any input, because it runs on what agents post, up to megabytes: each character
is looked at a fixed number of times, and what is never closed ends the text instead of being searched
again. (The standard library's HTMLParser needs a minute for 100 KB of `<a <a <a`.) Scripts, styles and
comments never show; links keep their address.

Refuses nothing and sanitises nothing: the result is plain text, to be read by people and shown escaped. Pure.
"""

import functools
import re
from collections.abc import Iterator
from html import unescape
from typing import NamedTuple

_OPENING = re.compile(r"<(?:!--|[a-zA-Z/!?])")
# Possessive, so that a failed match is not tried another way. Quotes count only after `=`, as in browsers.
_TAG = re.compile(r"""<[/!?]?([a-zA-Z0-9]*+)((?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+')|=)*+)>""")
_HREF = re.compile(r"""(?:^|\s)href\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>]++))""", re.IGNORECASE)

_HIDDEN = frozenset({"script", "style", "title", "template", "noscript", "textarea", "iframe", "object"})
_BREAKS = frozenset({"div", "dd", "dt", "tr", "address", "figcaption", "form", "option"})
_PARAGRAPHS = frozenset(
    {"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "dl", "table", "blockquote", "pre", "hr"}
    | {"section", "article", "header", "footer", "main", "nav", "aside", "figure"}
)
_LINKS = ("http://", "https://", "mailto:", "tel:")


class Piece(NamedTuple):
    """Text between tags (`tag` empty), or a tag with its raw attributes; closing ones start with a slash."""

    tag: str
    text: str


# The readers of one message ask one after the other.
@functools.lru_cache(maxsize=2)
def text_from_html(html: str) -> str:
    """Plain text of an HTML body: block elements break lines, list items get a dash, links become `text
    (url)`.

    Lines end in LF, white space is reduced as browsers do, at most one line in a row is blank.
    """
    out: list[str] = []
    link: str | None = None
    link_start = 0
    begun = False
    for tag, text in pieces(html):
        if not tag:
            piece = " ".join(f".{unescape(text)}.".split())[1:-1]
            begun = begun or (not piece.isspace() and bool(piece))
        elif tag in ("a", "/a"):
            piece = _address(link, "".join(out[link_start:]))
            link = _href(text) if tag == "a" else None
            link_start = len(out) + 1
        else:
            piece = _break(tag, begun)
            begun = begun and "\n" not in piece
        out.append(piece)
    return _tidy("".join(out))


def pieces(html: str) -> Iterator[Piece]:
    """Text and tags in order; nothing of comments and hidden elements."""
    at = 0
    while opening := _OPENING.search(html, at):
        yield Piece("", html[at : opening.start()])
        found = None if opening[0] == "<!--" else _TAG.match(html, opening.start())
        if found is None:
            at = _after(html, "-->", opening.end()) if opening[0] == "<!--" else len(html)
            continue
        at = found.end()
        name = found[1].lower()
        if name in _HIDDEN and html[found.start() + 1] != "/":
            at = _after_element(html, name, at)
        yield Piece(f"/{name}" if html[found.start() + 1] == "/" else name, found[2])
    yield Piece("", html[at:])


def _after(html: str, end: str, at: int) -> int:
    place = html.find(end, at)
    return len(html) if place < 0 else place + len(end)


def _after_element(html: str, name: str, at: int) -> int:
    closing = re.compile(rf"</{name}[^>]*+>", re.IGNORECASE).search(html, at)
    return closing.end() if closing else len(html)


def _href(attributes: str) -> str | None:
    found = _HREF.search(attributes)
    url = unescape(found[1] or found[2] or found[3] or "").strip() if found else ""
    return url if url.lower().startswith(_LINKS) else None


def _address(link: str | None, text: str) -> str:
    """What to put behind a link's text: its address, unless the text says it already."""
    if link is None or text.strip() in ("", link, link.partition(":")[2].lstrip("/")):
        return link if link and not text.strip() else ""
    return f" ({link})"


def _break(tag: str, begun: bool) -> str:
    """What a tag does to the text; `begun` tells whether the line so far holds anything."""
    name = tag.removeprefix("/")
    if tag == "li":
        return "\n- "
    if name in _PARAGRAPHS:
        return "\n\n"
    if tag == "br" or (name in _BREAKS and begun):
        return "\n"
    return " " if name in ("td", "th") else ""


def _tidy(text: str) -> str:
    """Outer spaces of lines gone, and every second blank line."""
    kept: list[str] = []
    for line in (" ".join(line.split()) for line in text.split("\n")):
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).strip("\n")
