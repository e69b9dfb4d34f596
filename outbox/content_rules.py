"""What is wrong with the words and files of a draft: unfilled placeholders, secrets, invisible text, files that lie.

Each function answers with one clause about the first thing it found, or None. Guarantees: linear time on any input (no
pattern is tried twice over the same text, only the first ``links.READ`` characters are looked at); a secret that was
found is never repeated in the answer. Pure. Refuses to open attachments: nothing is ever decompressed here.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from outbox import links
from outbox.compose import Attachment
from outbox.payloads import Draft
from outbox.plaintext import text_from_html

MANY_LINKS: Final = 100

# Zero-width space, byte order mark, soft hyphen: nobody types them. The joiners stay: emoji and Persian need them.
_INVISIBLE: Final = re.compile("[\u200b\ufeff\u00ad\u2060]")

# marks, one of which stands in every match (a quick look before a slow one); pattern; words. Over lower-case text.
_PLACEHOLDERS: Final[tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...]] = tuple(
    (marks, re.compile(pattern), words)
    for marks, pattern, words in (
        (("{{",), r"\{\{[^{}\n]{0,100}\}\}", "a template's placeholder"),
        (("{%", "<%"), r"\{%[^{}\n]{1,100}%\}|<%[^<>\n]{1,100}%>", "a template's placeholder"),
        (("${", "#{", "*|"), r"[$#]\{[\w. ]{1,60}\}|\*\|[a-z0-9_:]{2,40}\|\*", "a template's placeholder"),
        (
            ("{",),
            r"(?<![\w$#{%])\{(?:[a-z_]{0,20}_)?(?:(?:first|last|full|user)?name|date|company|title|email|amount)\}",
            "a placeholder in braces",
        ),
        (
            ("name%", "mail%", "company%", "date%", "title%"),
            r"%(?:[a-z]{1,20}[_-]?)?(?:name|e?mail|company|date|title)%",
            "a template's placeholder",
        ),
        (("%s", "%d", "%("), r"(?<![\w%])%(?:\(\w{1,40}\))?[sd](?![\w%])", "%s"),
        (
            ("[",),
            r"\[(?:your|the|first|last|full|recipient|customer|client|company|sender|contact|insert|enter|add)"
            r"(?:[ _-][\w']{1,20}){0,4}\]|\[(?:name|date|title|position|email|phone|address|link|url|amount)\]",
            "a placeholder in brackets",
        ),
        (
            ("undefined", "null", "none", "nan", "nil"),
            r"\b(?:dear|hi|hello|hey)[ \t]{1,5}(?:undefined|null|none|nan|nil)[ \t]{0,5}(?:[,!.<\n]|$)",
            "a greeting to nobody",
        ),
        (
            ("[object", "undefined"),
            r"\[object object\]|\bundefined undefined\b",
            "a value that was never filled in",
        ),
        (("lorem",), r"\blorem ipsum\b", "lorem ipsum"),
        (("language model",), r"\b(?:as|am|i'm) an ai (?:language )?model\b", "a language model's own words"),
    )
)

# What opens a door, by its own marks. A token in the address of a link is how people are let in: not looked at.
_SECRETS: Final[tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...]] = tuple(
    (marks, re.compile(pattern), words)
    for marks, pattern, words in (
        (("PRIVATE",), r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----", "a private key"),
        (("ao_live_",), r"\bao_live_[a-z0-9A-Z]{4,32}_[0-9a-zA-Z]{16,100}", "an API key of this gateway"),
        (("whsec_",), r"\bwhsec_[A-Za-z0-9+/=]{24,100}", "a webhook secret"),
        (("AKIA", "ASIA"), r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", "an AWS access key"),
        (("gh", "github_"), r"\b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{30,255}", "a GitHub token"),
        (("glpat-",), r"\bglpat-[\w-]{20,100}", "a GitLab token"),
        (("xox",), r"\bxox[abeoprs]-[A-Za-z0-9-]{10,255}", "a Slack token"),
        (("k_live_",), r"\b[rs]k_live_[A-Za-z0-9]{16,255}", "a Stripe key"),
        (
            ("sk-",),
            r"(?<![\w-])sk-(?:ant-|proj-)?(?=[\w-]{0,60}\d)[A-Za-z0-9_-]{20,255}",
            "a model provider's key",
        ),
        (("AIza",), r"\bAIza[0-9A-Za-z_-]{35}", "a Google API key"),
        (("ya29.",), r"\bya29\.[0-9A-Za-z_-]{20,255}", "a Google token"),
        (("npm_",), r"\bnpm_[A-Za-z0-9]{36}\b", "an npm token"),
        (("pypi-",), r"\bpypi-[A-Za-z0-9_-]{50,255}", "a PyPI token"),
        (("SG.",), r"\bSG\.[\w-]{16,64}\.[\w-]{16,64}", "a SendGrid key"),
        (
            (".eyJ",),
            r"(?<![\w/=?&#%.-])eyJ[\w-]{10,2000}\.eyJ[\w-]{10,4000}\.[\w-]{16,1000}",
            "a signed token",
        ),
        (
            ("://",),
            r"\b(?:postgres(?:ql)?|mysql|mongodb(?:\+srv)?|redis|amqps?)://[^\s:/@]{1,100}:[^\s@/]{3,200}@",
            "a password",
        ),
    )
)
_CARD: Final = re.compile(r"(?<![\w.+-])[3-6]\d{3}(?:[ -]?\d){9,12}(?![\w-])")
_CODE: Final = re.compile(r"(?<![\w.+-])(?:\d{4,8}|\d{3}[ -]\d{3}|[A-Z0-9]{4}-[A-Z0-9]{4})(?![\w-])")

# How a file of a type begins; a type that is not here may begin in any way.
_BEGINS: Final[Mapping[str, tuple[bytes, ...]]] = {
    "pdf": (b"%PDF-",),
    "png": (b"\x89PNG",),
    "jpg": (b"\xff\xd8\xff",),
    "jpeg": (b"\xff\xd8\xff",),
    "gif": (b"GIF8",),
    "webp": (b"RIFF",),
    "docx": (b"PK",),
    "xlsx": (b"PK",),
    "pptx": (b"PK",),
    "odt": (b"PK",),
    "ods": (b"PK",),
    "ics": (b"BEGIN:VCALENDAR", b"\xef\xbb\xbfBEGIN:VCALENDAR"),
}
_PROGRAMS: Final = (b"MZ", b"\x7fELF", b"#!", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe")
_ACTIVE_TYPES: Final = (
    "html",
    "javascript",
    "ecmascript",
    "x-msdownload",
    "x-sh",
    "x-msdos",
    "hta",
    "svg",
    "xml",
)


def placeholder(draft: Draft) -> str | None:
    """What was left unfilled, or what a person would not have written."""
    for part in _written(draft):
        plain = part.lower()
        for marks, pattern, words in _PLACEHOLDERS:
            if any(mark in plain for mark in marks) and (found := pattern.search(plain)):
                written = part if len(part) == len(plain) else plain
                return f"it holds {words} ({_short(written[found.start() : found.end()])})"
        if any(_is_card(match[0]) for match in _CARD.finditer(part)):
            return "it holds a card number"
    return None


def oddity(draft: Draft) -> str | None:
    """What nobody would see, or what makes it look like something that it is not."""
    senders = (*filter(None, [draft.sender]), *draft.reply_to)
    if any(map(_INVISIBLE.search, (draft.subject, *(each.name for each in (*senders, *draft.recipients))))):
        return "its subject or a name holds invisible characters"
    if draft.subject[:3].lower() == "re:" and not any(
        name.lower() == "in-reply-to" for name, _ in draft.headers
    ):
        return "its subject says Re: and it names nothing that it answers (In-Reply-To)"
    reading = links.read(draft.text, draft.html)
    if reading.hidden:
        return "its HTML holds text that nobody sees"
    if reading.pixel:
        return "its HTML holds a picture too small to see, which tells its server who reads it"
    if len(reading.links) > MANY_LINKS:
        return f"it holds more than {MANY_LINKS} links"
    return "it is longer than can be looked through" if reading.cut else None


def secret(draft: Draft) -> str | None:
    """Which kind of secret its words hold."""
    # tags split a word that a reader sees whole
    shown = text_from_html(draft.html[: links.READ]) if draft.html else ""
    for part in (*_written(draft), shown, *(value for _, value in draft.headers)):
        visible = part if part.isascii() else _INVISIBLE.sub("", part)
        for marks, pattern, words in _SECRETS:
            if any(mark in visible for mark in marks) and pattern.search(visible):
                return words
    return None


def active(draft: Draft) -> str | None:
    """What in its HTML would act by itself."""
    return links.read(draft.text, draft.html).active


def lie(draft: Draft) -> str | None:
    """The first link whose words say one thing and whose address another."""
    return next(
        (words for link in links.read(draft.text, draft.html).links if (words := links.lie(link))), None
    )


def code_in(draft: Draft) -> bool:
    """Whether there is something in it that may be a one-time code."""
    return _CODE.search(f"{draft.subject}\n{draft.text[:2000]}") is not None


def bad_file(parts: Collection[Attachment], allowed: Collection[str]) -> str | None:
    """The first attachment of a kind that is not allowed, or that is not what its name says."""
    return next((words for part in parts if (words := _of_file(part, allowed))), None)


def _of_file(part: Attachment, allowed: Collection[str]) -> str | None:
    kind = part.filename.rstrip(". ").rpartition(".")[2].lower() if "." in part.filename else ""
    if kind not in allowed:
        return f"files of type {_short(kind) or 'unknown'} are not on the list"
    content_type = part.content_type.lower()
    if any(word in content_type for word in _ACTIVE_TYPES) and "openxmlformats" not in content_type:
        return f"a .{kind} file is said to be {_short(content_type)}"
    start = bytes(part.content[:1024])
    begins = _BEGINS.get(kind)
    if begins and not (
        any(start.startswith(each) for each in begins) or (kind == "pdf" and b"%PDF-" in start)
    ):
        return f"a file that is called .{kind} is none"
    if not begins and start.startswith(_PROGRAMS):
        return f"a file that is called .{kind} is a program"
    # the names inside an Office file stand there in plain
    return "an Office file holds macros" if b"vbaProject.bin" in part.content else None


def _written(draft: Draft) -> Iterator[str]:
    """What the agent wrote, as far as it is looked at."""
    yield draft.subject
    yield draft.text[: links.READ]
    if draft.html:
        yield draft.html[: links.READ]


def _is_card(text: str) -> bool:
    """Luhn, ISO/IEC 7812-1 annex B; 13 to 16 digits."""
    digits = [int(each) for each in text if each.isdigit()]
    doubled = [
        each if place % 2 == 0 else sum(divmod(2 * each, 10)) for place, each in enumerate(reversed(digits))
    ]
    return 13 <= len(digits) <= 16 and sum(doubled) % 10 == 0 and len(set(digits)) > 1


def _short(text: str) -> str:
    return " ".join(text.split())[:40]
