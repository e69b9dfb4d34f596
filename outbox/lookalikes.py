"""Does a name pose as another: as the organisation's own, or as one that people trust? Pure, and asks no DNS.

A name is compared by what a reader sees: letters and digits that look alike are one (``folding``). Guarantees: a name
of the organisation, a name the admin knows and a mailbox provider's own are never look-alikes, and the answer takes
time linear in the name. A wrong guess costs a person's look at the message, so that in doubt it is one.
"""

import functools
import unicodedata
from collections.abc import Iterator
from typing import Final

import idna

from outbox.folding import folded, skeleton
from reputation.alignment import by_list
from reputation.providers import DOMAIN_FAMILIES

# What is posed as most: mailbox providers, payment, parcels, software. Registrable domains.
BRANDS: Final = frozenset(
    "adobe.com amazon.com apple.com bankofamerica.com barclays.co.uk binance.com chase.com coinbase.com dhl.com "
    "docusign.com dropbox.com ebay.com facebook.com fedex.com github.com gitlab.com gmail.com google.com hotmail.com "
    "hsbc.com icloud.com instagram.com linkedin.com microsoft.com netflix.com office.com office365.com "
    "microsoftonline.com outlook.com paypal.com revolut.com salesforce.com santander.com shopify.com slack.com "
    "spotify.com stripe.com tiktok.com twitter.com ups.com usps.com wellsfargo.com whatsapp.com yahoo.com "
    "zoom.us".split()
)
# Beside a trusted name these turn a name into bait.
_BAIT: Final = frozenset(
    "access account accounts alert alerts auth billing care confirm customer help helpdesk id info invoice login mail "
    "my notice online pay payment payments portal secure security service services signin sso support team update "
    "updates verification verify web".split()
)
# Names shorter than this are one typing error away from too many others.
_EDITED: Final = 6
# Of an own name, the least that says anything inside a longer word.
_TELLING: Final = 4

# What names are misspelt with besides the look-alikes of ``folding``.
_DIGITS: Final = str.maketrans("345789$", "eastbgs")


@functools.lru_cache(maxsize=10_000)
def resembles(host: str, own: frozenset[str], known: frozenset[str] = frozenset()) -> str | None:
    """What a host name poses as, in words for the agent, or None.

    ``own`` are the organisation's names, registrable or below; ``known`` are names that pose as nothing.
    """
    readable = _readable(host)
    name = by_list(host)
    ours = frozenset(by_list(each) for each in own)
    if name in ours | BRANDS | known or name in DOMAIN_FAMILIES or host in known:
        return None
    if _mixed(readable):
        return f"{host} mixes alphabets"
    for brand in (*sorted(ours), *sorted(BRANDS)):
        if words := _poses(readable, by_list(readable), brand, brand in ours):
            return f"{host} {words} {brand}"
    return None


def _poses(host: str, name: str, brand: str, own: bool) -> str | None:
    """How one name poses as another. ``host`` and its registrable ``name`` are as people read them."""
    label, other = name.partition(".")[0], brand.partition(".")[0]
    seen, meant = _seen(label), _seen(other)
    if label != other and seen == meant and len(other) >= 3:
        return "is written so as to look like"
    if f".{brand}." in f".{host.removesuffix(name)}." or (own and label == other and len(other) >= _TELLING):
        return "carries the name of"
    words = set(label.split("-"))
    if other in words and (words & _BAIT or (own and len(other) >= _TELLING)):
        return "carries the name of"
    if own and len(other) >= _EDITED and other in label:
        return "carries the name of"
    if min(len(label), len(other)) >= _EDITED - 2 and label[0] == other[0] and _one_apart(seen, meant):
        far = len(other) >= _EDITED or f"{other}.com" in DOMAIN_FAMILIES
        return "is one letter away from" if far else None
    return None


def _readable(host: str) -> str:
    """A name with its A-labels turned into the characters that people see."""
    return ".".join(_unicode(label) for label in host.lower().rstrip(".").split("."))


def _unicode(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return str(idna.decode(label))
    except (idna.IDNAError, UnicodeError):
        return label


def _seen(label: str) -> str:
    """The skeleton of a label: equal for two that look alike."""
    return skeleton(folded(label)).translate(_DIGITS).replace("ci", "d")  # cl, once it is folded


def _mixed(host: str) -> bool:
    """Whether one label mixes Latin, Greek, Cyrillic or Armenian (UTS #39 §5.2: not even moderately restrictive)."""
    return any(len(set(_alphabets(label))) > 1 for label in host.split(".") if not label.isascii())


def _alphabets(label: str) -> Iterator[str]:
    for each in label:
        script = unicodedata.name(each, "").partition(" ")[0]
        if script in ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "CHEROKEE"):
            yield script


def _one_apart(one: str, two: str) -> bool:
    """Whether one letter more, less or other, or two neighbours swapped, make one word of the other."""
    if one == two or abs(len(one) - len(two)) > 1:
        return False
    start = next(
        (at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two))
    )
    a, b = one[start:], two[start:]
    if len(a) == len(b):
        return a[1:] == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])
    return a[1:] == b if len(a) > len(b) else a == b[1:]
