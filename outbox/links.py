"""What a message's HTML and text link to, what they hide, and what in them would act by itself. Pure.

Guarantees: linear time on any input, since it runs on what agents post; of more than ``READ`` characters the rest is
not looked at, and the reading says so. A host is read as browsers read it: a backslash is a slash, what stands before
an ``@`` is not the host, white space in an address is nothing.
"""

import functools
import re
from dataclasses import dataclass
from html import unescape
from typing import Final, NamedTuple

import idna

from outbox.plaintext import pieces
from reputation.alignment import by_list

READ: Final = 1_000_000
MOST: Final = 1000  # links that are looked at

# Possessive or bounded, so that nothing is tried twice.
_HREF: Final = re.compile(
    r"""(?:^|[\s"'/])(?:href|src|action)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>]++))""", re.IGNORECASE
)
_ON: Final = re.compile(r"""(?:^|[\s"'/])on[a-z]{3,30}\s*+=""", re.IGNORECASE)
_UNSEEN: Final = re.compile(
    r"display\s*+:\s*+none|visibility\s*+:\s*+hidden|font-size\s*+:\s*+0(?![.\d]*[1-9])|opacity\s*+:\s*+0(?![.\d])"
    r"|(?:^|\s)hidden(?:\s|=|$)",
    re.IGNORECASE,
)
_QUOTED_STYLE: Final = re.compile(r"""style\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>]++))""", re.IGNORECASE)
_WHITE: Final = r"#fff(?:fff)?(?![0-9a-f])|white\b|rgba?\(\s*+255\s*+,\s*+255\s*+,\s*+255\b"
_WHITE_TEXT: Final = re.compile(rf"(?<![\w-])color\s*+:\s*+(?:{_WHITE})", re.IGNORECASE)
_BACKGROUND: Final = re.compile(
    r"""(?<![\w-])(?:background(?:-color|-image)?|bgcolor)\s*+[:=]\s*+["']?([^;"'<>}]{0,200}+)""",
    re.IGNORECASE,
)
_AS_PAPER: Final = re.compile(
    r"(?:#fff(?:fff)?|white|rgb\(\s*255\s*,\s*255\s*,\s*255\s*\)|transparent|none|inherit|initial|unset)?\s*(?:!important)?\s*",
    re.IGNORECASE,
)
_PIXEL: Final = re.compile(
    r"""(?:^|[\s"';])(?:width|height)\s*+[:=]\s*+["']?\s*+[0-2](?:px)?(?![\w.%])""", re.IGNORECASE
)
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{0,30}:", re.IGNORECASE)
_AUTHORITY: Final = re.compile(r"(?:https?:)?[/\\]{2,}([^/\\?#]*+)", re.IGNORECASE)
_IN_TEXT: Final = re.compile(r"https?://[^\s<>\"')\]]{1,2000}+", re.IGNORECASE)
_MARKDOWN: Final = re.compile(r"\[([^\[\]\n]{1,300}+)\]\((https?://[^\s()<>]{1,2000}+)\)", re.IGNORECASE)
_SHOWN: Final = re.compile(r"(?:https?://|www\.)([^\s/?#<>\"']{1,253})", re.IGNORECASE)
_BARE: Final = re.compile(r"(?:[^\s/@:.]{1,63}+\.)+?[^\s/@:.\d]{2,63}(?=[/:?#]|$)")
_ADDRESS: Final = re.compile(r"[^\s@<>]{1,64}@((?:[^\s@<>.]{1,63}\.)+[^\s@<>.]{2,63})")

_ACTIVE: Final = frozenset("script iframe frame object embed applet form base portal".split())


class Link(NamedTuple):
    """The words that are shown, and where they lead."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What one message holds. ``active`` names what would act by itself; ``hidden``: text that nobody sees.

    ``pixel``: a picture that nobody sees either, and that tells its server who reads.
    """

    links: tuple[Link, ...] = ()
    active: str | None = None
    hidden: bool = False
    pixel: bool = False
    cut: bool = False

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host linked to, each once."""
        return tuple(dict.fromkeys(host for link in self.links if (host := host_of(link.url))))


# The rules of one draft ask one after the other.
@functools.lru_cache(maxsize=2)
def read(text: str, html: str | None) -> Reading:
    """What the two bodies of a message link to and hide."""
    html_read = _read_html(html[:READ]) if html else Reading()
    written = text[:READ]
    found = [Link(match[1], match[2]) for match in _MARKDOWN.finditer(written)]
    found += [Link("", match[0].rstrip(".,;:!?")) for match in _IN_TEXT.finditer(written)]
    return Reading(
        (*html_read.links, *found)[:MOST],
        html_read.active,
        html_read.hidden,
        html_read.pixel,
        len(text) > READ or len(html or "") > READ or len(html_read.links) + len(found) > MOST,
    )


def host_of(url: str) -> str | None:
    """The host of a web address as an A-label where it can be one; None for other schemes and relative ones."""
    found = _AUTHORITY.match("".join(url.split()))
    return _host(found[1]) if found else None


def lie(link: Link) -> str | None:
    """What is wrong between the words of a link and its address: one clause for the agent, or None."""
    url = "".join(link.url.split())
    if url.lower().startswith("mailto:"):
        return _other_address(link.text, url[7:])
    target = host_of(url)
    if target is None:
        return None
    found = _AUTHORITY.match(url)
    if found and "@" in found[1]:
        return f"a link to {target} hides its host behind an @"
    shown = _shown(link.text)
    if shown is None or by_list(shown) == by_list(target):
        return None
    return f"a link shows {shown} and leads to {target}"


def _read_html(html: str) -> Reading:
    links: list[Link] = []
    active: str | None = "import of a style sheet" if _imports(html) else None
    hidden = white = pixel = False
    url: str | None = None
    words: list[str] = []
    for tag, text in pieces(html):
        if not tag:
            words.append(text)
            continue
        if tag in ("a", "/a"):
            if url is not None:
                links.append(Link(" ".join(unescape("".join(words)).split()), url))
            url, words = (_address(text) if tag == "a" else None), []
        active = active or _acts(tag, text)
        hidden = hidden or tag in ("template", "noscript", "textarea") or _unseen(text)
        white = white or _styled(_WHITE_TEXT, text)
        pixel = pixel or (tag == "img" and _PIXEL.search(text) is not None and _is_far(text))
    return Reading(tuple(links), active, hidden or (white and _on_paper(html)), pixel)


def _imports(html: str) -> bool:
    return re.search(r"@import\b", html, re.IGNORECASE) is not None


def _address(attributes: str) -> str | None:
    found = _HREF.search(attributes)
    return unescape(found[1] or found[2] or found[3] or "").strip() if found else None


def _is_far(attributes: str) -> bool:
    """Whether what is shown has to be fetched from a server."""
    address = _address(attributes)
    return address is not None and host_of(address) is not None


def _acts(tag: str, attributes: str) -> str | None:
    """What of a tag would act by itself in a mail program that lets it."""
    if tag in _ACTIVE:
        return f"<{tag}>"
    if tag == "meta" and "refresh" in attributes.lower():
        return "a refresh"
    if tag == "link" and "stylesheet" in attributes.lower():
        return "a style sheet from elsewhere"
    if _ON.search(_without_values(attributes)):
        return f"a script in <{tag}>"
    for match in _HREF.finditer(attributes):
        value = "".join(unescape(match[1] or match[2] or match[3] or "").split()).lower()
        scheme = _SCHEME.match(value)
        if scheme and (scheme[0] in ("javascript:", "vbscript:") or value.startswith("data:text")):
            return f"a {scheme[0]} address"
    return None


def _without_values(attributes: str) -> str:
    """Attributes with what stands in quotation marks left out."""
    return re.sub(r"\"[^\"]*+\"|'[^']*+'", "", attributes)


def _unseen(attributes: str) -> bool:
    if _UNSEEN.search(_without_values(attributes)):
        return True
    return _styled(_UNSEEN, attributes)


def _styled(pattern: re.Pattern[str], attributes: str) -> bool:
    styles = _QUOTED_STYLE.finditer(attributes)
    return any(pattern.search(match[1] or match[2] or match[3] or "") for match in styles)


def _on_paper(html: str) -> bool:
    """Whether nothing has a background but white: where something has, white words may stand on it."""
    return all(_AS_PAPER.fullmatch(match[1].strip()) for match in _BACKGROUND.finditer(html))


def _host(authority: str) -> str | None:
    host = authority.rpartition("@")[2].partition(":")[0].rstrip(".").lower()
    if host.isascii():
        return host or None
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return host


def _shown(text: str) -> str | None:
    """The host that the words of a link show, if they show one."""
    found = _SHOWN.search(text)
    if found:
        return _host(found[1].rstrip(".,;:!?)"))
    bare = _BARE.match(text.strip().lower())
    if bare is None or not _known(bare[0]):
        return None
    return _host(bare[0])


def _known(name: str) -> bool:
    """Whether a word with dots is a name and no file or abbreviation: its last label is a suffix that exists."""
    return "." in by_list(name) and name.rpartition(".")[2] in SUFFIXES


def _other_address(text: str, target: str) -> str | None:
    shown, meant = _ADDRESS.search(text), _ADDRESS.match(target)
    if shown is None or meant is None or by_list(shown[1].lower()) == by_list(meant[1].lower()):
        return None
    return f"a link shows an address at {shown[1]} and writes to one at {meant[1]}"


# Of bare words in a link only those are hosts that end as most hosts do: a file is called report.md, too.
SUFFIXES: Final = frozenset(
    "com org net io co uk de fr es it nl pl ch at be se no dk fi ie pt eu us ca au nz jp cn in br mx ru ua cz gov edu "
    "mil int info biz dev app ai shop store online site xyz club live bank example test".split()
)
