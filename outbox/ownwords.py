"""The words of a message that are its own: no greeting, thread, signature or footer, no names of who reads it.

Guarantees: two unlike messages with the same thread, signature, list's footer or legal notice below them have no more
in common for it; a link counts by its host and readable words only, so that one made for each reader is the
same. What would leave nothing is left alone: a message that is all quotation or all footer is that. Linear time. Pure.
"""

import re
from collections.abc import Collection, Iterable
from typing import Final

from outbox.folding import folded, skeleton
from outbox.plaintext import text_from_html

# Beyond this many characters nobody reads; fingerprints of what comes before are enough to know it by.
READ: Final = 60_000
MOST_NAMES: Final = 5  # one in so many words may be a name: a display name cannot blank out a text
_FEW_LINES: Final = 12

_QUOTE_TAGS: Final = re.compile(r"<(/?)blockquote\b[^>]*+>", re.IGNORECASE)
_QUOTE_BEGINS: Final = re.compile(
    r"""<(?:div|hr|span)\b[^>]*?(?:gmail_quote|divRplyFwdMsg|appendonsend|stopSpelling|yahoo_quoted|moz-cite-prefix)"""
)
_IMAGE: Final = re.compile(r"""<img\b[^>]*?\bsrc\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)

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


def words_of(
    subject: str, text: str, html: str | None, names: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """The subject's own words and the body's, folded, in order.

    ``html`` counts, where it says something, since it is what is shown; ``names`` are the readers' (display names,
    local parts of addresses), which may stand anywhere.
    """
    own_subject = _words(_RE.sub("", folded(subject[:READ])))
    body = _words(_own(_body(text, html)))
    if html and len(body) < 5:
        body += [
            word for source in _IMAGE.findall(html[:READ]) for word in _words(_plain_links(source.lower()))
        ]
    return _nameless(own_subject, body, _name_words(names))


def _body(text: str, html: str | None) -> str:
    """What is shown, folded."""
    if html is not None:
        shown = folded(text_from_html(_unquoted(html[: 4 * READ]))[:READ])
        if _WORD.search(shown):
            return shown
    return folded(text[:READ]).replace("\r", "")


def _unquoted(html: str) -> str:
    """The page without its quotations; as it is, if there is nothing else."""
    kept, depth, at = [], 0, 0
    for tag in _QUOTE_TAGS.finditer(html):
        if depth == 0:
            kept.append(html[at : tag.start()])
        depth = max(depth + (-1 if tag[1] else 1), 0)
        at = tag.end()
    if depth == 0:
        kept.append(html[at:])
    own = " ".join(kept) if at else html
    begins = _QUOTE_BEGINS.search(own)
    own = own[: begins.start()] if begins else own
    return own if own is html or _says_something(text_from_html(own)) else html


def _own(text: str) -> str:
    """A folded body without greeting, thread, signature and footer."""
    own = _without_thread(text)
    own = _without_signature(own)
    own = _GREETING.sub("", _without_footer(own))
    return own if _says_something(own) else text


def _without_thread(text: str) -> str:
    own = text
    found = _THREAD.search(own)
    if found and _says_something(own[: found.start()]):
        own = own[: found.start()]
    elif found:  # answers below or between what they quote
        own = own[found.end() :]
    if "\n>" in own or own.startswith(">"):
        own = "\n".join(line for line in own.split("\n") if not line.lstrip().startswith(">"))
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
    """Drop the last blocks while they are boilerplate."""
    ends = [0, *(found.end() for found in _BLOCKS.finditer(text))]
    end = len(text)
    for start in reversed(ends):
        block = text[start:end]
        if block.strip(" \t\n-_=*~#") and not _BOILERPLATE.search(block):
            break
        end = start
    return text[:end]


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


def _nameless(subject: list[str], body: list[str], names: Collection[str]) -> tuple[list[str], list[str]]:
    """Both without names, unless too many would go."""
    if not names:
        return subject, body
    left = [[word for word in each if word not in names] for each in (subject, body)]
    gone = len(subject) + len(body) - len(left[0]) - len(left[1])
    return (
        (left[0], left[1]) if gone * MOST_NAMES <= len(subject) + len(body) + MOST_NAMES else (subject, body)
    )
