"""The words of a message that are its own: no greeting, thread, signature or footer, no names of who reads it.

Guarantees: two unlike messages with the same thread, signature, list's footer or legal notice below them have no more
in common for it; a link counts by its host and readable words only, so that one made for each reader is the
same. What would leave nothing is left alone: a message that is all quotation or all footer is that. Linear time. Pure.
"""

import functools
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from outbox.folding import folded, skeleton
from outbox.plaintext import text_from_html

# Beyond this many characters nobody reads; fingerprints of what comes before are enough to know it by.
READ: Final = 20_000
MOST_NAMES: Final = 5  # one in so many words may be a name: a display name cannot blank out a text
_FEW_LINES: Final = 12
_TAIL: Final = 8  # blocks at the end that may be a footer's
_LONG_BLOCK: Final = 1_000  # characters; longer ones are not all boilerplate

_QUOTE_TAGS: Final = re.compile(r"<(/?)blockquote\b[^>]*+>", re.IGNORECASE)
_QUOTE_BEGINS: Final = re.compile(
    r"""<(?:div|hr|span)\b[^>]{0,200}?(?:gmail_quote|divRplyFwdMsg|appendonsend|stopSpelling|yahoo_quoted|moz-cite-prefix)"""
)
_IMAGE: Final = re.compile(r"""<img\b[^>]{0,500}?\bsrc\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)

# All on folded text. A thread's head: "On Monday Ada wrote:", Outlook's block of headers, a line that announces it.
_THREAD: Final = re.compile(
    r"^(?:on|am|le|el|il|op|em|den)\b[^\n]{6,200}(?:\n[^\n]{0,80})?\b(?:wrote|schrieb|ecrit|escribio|scritto|schreef"
    r"|escreveu|skrev)\b[^\n]{0,60}:[ \t]*$"
    r"|^[ \t>]*[-_ ]{2,}(?:original|forwarded|ursprungliche|weitergeleitete)\b[^\n]{0,40}$"
    r"|^\*?(?:from|von|de|da):\*?[ \t][^\n]+\n(?:\*?(?:sent|date|gesendet|datum|envoye|enviado|to|an|subject)\b"
    r"[^\n]*\n){2,}",
    re.MULTILINE,
)
_SIGNATURE: Final = re.compile(r"^--[ \t]?$", re.MULTILINE)  # RFC 3676 §4.3, and without its space
_SIGN_OFF: Final = re.compile(
    r"^[ \t]*(?:(?:with |my )?(?:all |the )?(?:very )?(?:best|kind|kindest|warm|warmest|many)"
    r"(?: regards| wishes| thanks)?"
    r"|regards|sincerely(?: yours)?|yours(?: \w+)?|cheers|thanks(?: again| so much| a lot| in advance)?"
    r"|thank you(?: \w+){0,3}"
    r"|respectfully|cordially|take care|talk soon|(?:mit )?(?:freundlichen|besten|herzlichen|lieben|viele|liebe|beste)"
    r" gru(?:ss|\u00df)en?|gru(?:ss|\u00df)e?|cordialement|saludos|un saludo|atentamente|distinti saluti"
    r"|vriendelijke groet(?:en)?)"
    r"[ \t]*[,.!-]*[ \t]*$",
    re.MULTILINE,
)
_RULE: Final = re.compile(r"^[ \t]*(?:[-_=*~#+]{4,}|(?:[-_=*] ){4,})[^\n]{0,20}$", re.MULTILINE)
_BLOCKS: Final = re.compile(r"\n[ \t]*\n|^[ \t]*[-_=*~#]{4,}[ \t]*$\n?", re.MULTILINE)
_SENTENCES: Final = re.compile(r"(?<=[.!?])(?=\s)|(?<=\n)")
_BOILERPLATE: Final = re.compile(
    r"unsubscri|\(un\)subscri|opt[ -]?out|mailing[ -]list|mailman/listinfo|sponsored by|sent from my|abmelden"
    r"|abbestellen"
    r"|manage (?:your )?(?:email |mail |notification )?(?:preferences|subscription)|(?:email|notification) preferences"
    r"|view (?:this (?:e-?mail|message) )?(?:it )?in (?:your|a) browser|all rights reserved|copyright|\u00a9"
    r"|\(c\) ?\d{4}"
    r"|confidential|privileged|intended (?:solely |only )?(?:for|recipient)|disclaimer|vertraulich|virus[ -]free"
    r"|you (?:are )?(?:receiv|received) this|(?:e-?mail|message) was sent to|registered (?:office|in|number|company)"
    r"|no longer wish to|removed? from (?:our|this|the) (?:list|mailing)|to be removed|before printing|terms of service"
    r"|privacy policy|list maintainer|yahoo! groups"
)
_GREETING: Final = re.compile(
    r"\A[\s*_>]*(?:(?:hi|hello|hey|hiya|howdy|dear|greetings|welcome|good (?:morning|afternoon|evening|day)|attn"
    r"|attention"
    r"|hallo|liebe[rs]?|guten (?:tag|morgen|abend)|sehr geehrte[rs]?|moin|servus|bonjour|cher|chere|salut|hola"
    r"|estimad[oa]"
    r"|querid[oa]|buen[oa]s (?:dias|tardes)|ciao|gentile|buongiorno|caro|cara|beste|geachte|ola|prezad[oa])\b"
    r"(?:[ \t]+[\w.'&/()-]+){0,5}?[ \t]*(?:[,!.:;\n]|-+[ \t]|\Z)|to whom it may concern[ \t]*[,:.]?)[,!. \t]*"
)
_RE: Final = re.compile(
    r"\A(?:\s*(?:re|fwd?|aw|wg|sv|vs|antw|tr|rv|ref)(?:\[\d+\])?\s*:|\s*\[[^\]\n]{1,30}\])+"
)
_ADDRESS: Final = re.compile(r"(?:mailto:)?[\w.+%-]{1,64}@[\w-]+(?:\.[\w-]+)+")
_LINK: Final = re.compile(r"(?:https?://|www\.)([\w.-]+)(?::\d+)?([^\s<>\"')\]]*)")
_PATH_WORD: Final = re.compile(r"/([a-z]{2,16}(?:[-_][a-z]{2,16})*)(?=[/.?#]|\Z)")
# Writing without spaces: every character is a word.
_WORD: Final = re.compile(
    r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_\u0e00-\u0eff\u3040-\u9fff\uac00-\ud7af]+"
)
_ASCII_WORD: Final = re.compile(r"[a-z0-9]+")
_ROLES: Final = frozenset(
    "info sales support contact admin office hello mail team service billing post the and for you".split()
)


@dataclass(frozen=True, slots=True)
class Words:
    """Folded words in order: what a message says of its own, and all that stands in it."""

    own: list[str]
    whole: list[str]


def words_of(
    subject: str,
    text: str,
    html: str | None,
    names: Collection[str] = (),
    footers: tuple[str, ...] = (),
) -> Words:
    """The words of a message, its subject's first.

    ``html`` counts, where it says something, since it is what is shown; ``names`` are the readers' (display names,
    local parts of addresses), which may stand anywhere; ``footers`` are blocks that end a stream's mail.
    """
    readers = _name_words(names)
    shown, quoted = _shown(text, html)
    own_text = _own(shown)
    own = _words(own_text)
    left = _without_known(own, _known(footers)) if footers else own
    whole = own_text == shown and not quoted and left is own
    heading = _heading(folded(subject[:READ]), answer=bool(own))
    own = heading + left
    if html and len(own) < 5:
        own += [word for source in _IMAGE.findall(html[:READ]) for word in _words(source.lower())]
    own = _nameless(own, readers)
    return Words(own, own if whole else _nameless(heading + _words(shown + quoted), readers))


def _heading(subject: str, *, answer: bool) -> list[str]:
    """A subject's words; of an answer that says anything none, since they are its thread's."""
    prefix = _RE.match(subject)
    if prefix is None:
        return _words(subject)
    return [] if answer and ":" in prefix[0] else _words(subject[prefix.end() :])


def _shown(text: str, html: str | None) -> tuple[str, str]:
    """What is shown, folded: without and within the page's quotations."""
    if html is not None:
        own, quoted = _unquoted(html[: 4 * READ])
        shown = folded(text_from_html(own)[:READ])
        if _says_something(shown):
            return shown, folded(text_from_html(quoted)[:READ]) if quoted else ""
    return folded(text[:READ]).replace("\r", ""), ""


def _unquoted(html: str) -> tuple[str, str]:
    """The page without its quotations, and they; the page as it is, if there is nothing else."""
    parts: tuple[list[str], list[str]] = ([], [])
    depth, at = 0, 0
    for tag in _QUOTE_TAGS.finditer(html):
        parts[depth > 0].append(html[at : tag.start()])
        depth = max(depth + (-1 if tag[1] else 1), 0)
        at = tag.end()
    parts[depth > 0].append(html[at:])
    own, quoted = (" ".join(each) for each in parts)
    if begins := _QUOTE_BEGINS.search(own):
        own, quoted = own[: begins.start()], own[begins.start() :] + quoted
    return (own, quoted) if not quoted or _says_something(text_from_html(own)) else (html, "")


def _own(text: str) -> str:
    """A folded body without greeting, thread, signature and footer."""
    own = _without_signature(_without_thread(text))
    own = _GREETING.sub("", _without_footer(own))
    return own if _says_something(own) else text


def _without_thread(text: str) -> str:
    """What is quoted line by line goes, wherever the answers stand; else all below the thread's head."""
    lines = text.split("\n")
    own = "\n".join(line for line in lines if not line.lstrip().startswith(">")) if ">" in text else text
    if len(own) < len(text):
        own = _THREAD.sub("", own)
    elif (found := _THREAD.search(own)) and _says_something(_GREETING.sub("", own[: found.start()])):
        own = own[: found.start()]
    return own if _says_something(own) else text


def _without_signature(text: str) -> str:
    """Cut where the signature begins; at a phrase of good-bye only if little comes after it."""
    marked = _SIGNATURE.search(text)
    own = text[: marked.start()] if marked and _says_something(text[: marked.start()]) else text
    for found in _SIGN_OFF.finditer(own):
        rest = own[found.end() :]
        before = own[: found.start()]
        if (
            rest.count("\n") <= 3 * _FEW_LINES
            and len(rest) < max(len(before), 400)
            and _says_something(before)
        ):
            return before
    return own


def _without_footer(text: str) -> str:
    """Drop what is boilerplate of the last blocks; of a long one, its sentences that are."""
    ends = [0, *(found.end() for found in _BLOCKS.finditer(text)), len(text)]
    blocks = [text[start:end] for start, end in pairwise(ends)]
    kept = [_cleared(block) if _BOILERPLATE.search(block) else block for block in blocks[-_TAIL:]]
    return "".join((*blocks[:-_TAIL], *kept))


def _cleared(block: str) -> str:
    if len(block) <= _LONG_BLOCK:
        return "\n\n"
    return "".join(part for part in _SENTENCES.split(block) if not _BOILERPLATE.search(part))


@functools.lru_cache(maxsize=100)
def _known(footers: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The words of each block of footers, the longest first."""
    blocks = {tuple(_words(block)) for footer in footers for block in _BLOCKS.split(folded(footer))}
    return tuple(sorted(blocks - {()}, key=len, reverse=True))


def _without_known(words: list[str], blocks: tuple[tuple[str, ...], ...]) -> list[str]:
    """Cut what ends it, block by block, however its lines are broken; all words if none would be left."""
    end = len(words)
    while block := next(
        (each for each in blocks if tuple(words[max(end - len(each), 0) : end]) == each), None
    ):
        end -= len(block)
    return words[:end] if 0 < end < len(words) else words


def _says_something(text: str) -> bool:
    return _WORD.search(text) is not None


def _plain_links(text: str) -> str:
    """Links by host and readable words of the path: not their parameters, tokens and numbers."""
    if "@" in text:
        text = _ADDRESS.sub(" ", text)
    return _LINK.sub(_readable, text) if "://" in text or "www." in text else text


def _readable(link: re.Match[str]) -> str:
    return f" {link[1].removeprefix('www.').replace('.', '')} {' '.join(_PATH_WORD.findall(link[2]))} "


def _words(text: str) -> list[str]:
    plain = skeleton(_plain_links(text))
    return (_ASCII_WORD if plain.isascii() else _WORD).findall(plain)


def _name_words(names: Iterable[str]) -> set[str]:
    found = (word for name in names for word in _words(folded(name[:100]))[:4])
    return {word for word in found if len(word) > 1 and not word.isdigit()} - _ROLES


def _nameless(words: list[str], names: Collection[str]) -> list[str]:
    """Without names, unless too many words would go."""
    left = [word for word in words if word not in names] if names else words
    return left if (len(words) - len(left)) * MOST_NAMES <= len(words) + MOST_NAMES else words
