"""When two addresses are one mailbox, and when two mailboxes are one person.

Guarantees: an address has two normal forms. Its *mailbox* form ignores what every server in use ignores (case,
Unicode normal form, U-label or A-label), and at Gmail the dots and the tag as well, which are known not to matter
there. Its *person* form also drops a plus tag elsewhere: whoever asked to be left alone as ``ada+news@`` is ``ada@``.
A server that knows no tags may well refuse ``ada+news@`` as unknown, so a bounce speaks of the mailbox, a complaint of
the person.

Refuses nothing: text that is not an address comes back folded. Pure.
"""

import unicodedata
from typing import Final

import idna

# Google Workspace is not among them: there dots count.
GMAIL: Final = frozenset({"gmail.com", "googlemail.com"})


def mailbox_form(address: str) -> str:
    """The address as its server tells mailboxes apart."""
    local, domain = _split(address)
    return _at_gmail(local) if domain in GMAIL else f"{local}@{domain}"


def person_form(address: str) -> str:
    """The address of the person behind it: equal for all tags of a mailbox."""
    local, domain = _split(address)
    return _at_gmail(local) if domain in GMAIL else f"{_untagged(local)}@{domain}"


def forms(address: str) -> tuple[str, ...]:
    """Every form that a suppression of this address may be kept under: its mailbox's and its person's."""
    return tuple(dict.fromkeys((mailbox_form(address), person_form(address))))


def _split(address: str) -> tuple[str, str]:
    local, _, domain = address.strip().rpartition("@")
    return unicodedata.normalize("NFKC", local.lower()), _a_label(domain.lower().rstrip("."))


def _a_label(domain: str) -> str:
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return domain


def _untagged(local: str) -> str:
    return local.partition("+")[0] or local


def _at_gmail(local: str) -> str:
    bare = _untagged(local)
    return f"{bare.replace('.', '') or bare}@gmail.com"
