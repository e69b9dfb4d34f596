"""What stands below a message that people may leave: who writes, from where, and how to stop it.

Guarantees: every body that is shown, text and HTML, ends with it; in HTML inside the page's body, where there is one.
Everything in it is escaped. Refuses nothing. Pure.
"""

import re
from dataclasses import dataclass
from html import escape
from typing import Final

_BODY_ENDS: Final = re.compile(r"</body\s*>|</html\s*>", re.IGNORECASE | re.ASCII)
_STYLE: Final = "margin-top:2em;padding-top:1em;border-top:1px solid #ccc;color:#666;font:12px/1.5 sans-serif"


@dataclass(frozen=True, slots=True)
class Footer:
    """A link that unsubscribes one person, and the postal address of who writes (may be empty, may have lines)."""

    link: str
    postal_address: str


def below_text(text: str, footer: Footer | None) -> str:
    """The text with its footer; the link in a line of its own, so that programs find where it ends."""
    if footer is None:
        return text
    gap = "\n" if text.endswith("\n") else "\n\n"
    return "".join((text, gap, "\n".join(["--", *_lines(footer), "Unsubscribe:", footer.link]), "\n"))


def below_html(html: str, footer: Footer | None) -> str:
    """The page with its footer at the end of its body."""
    if footer is None:
        return html
    ends = [found.start() for found in _BODY_ENDS.finditer(html, len(html) - 200 if len(html) > 200 else 0)]
    place = ends[0] if ends else len(html)
    lines = "<br>".join(map(escape, _lines(footer)))
    link = f'<a href="{escape(footer.link)}">Unsubscribe</a>'
    block = f'<div style="{_STYLE}">{lines}{"<br>" if lines else ""}{link}</div>'
    return f"{html[:place]}\n{block}\n{html[place:]}"


def _lines(footer: Footer) -> list[str]:
    return [line.strip() for line in footer.postal_address.splitlines() if line.strip()]
