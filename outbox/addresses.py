"""What may stand in a header: mailboxes and header text, judged before anything else sees them.

Guarantees: a `Mailbox` can be written into an SMTP command or a header as it is. Its domain is a lower-case
A-label, its local part a dot-atom, both within the octet limits of RFC 5321 §4.5.3.1, and nothing in it
ends a line, opens an encoded word or turns the reading direction.

Refuses rather than repairs: address lists, comments, source routes, quoted local parts, domain literals. A
parser that takes the first address of `b@y,c@z` mails somebody nobody asked for. No DNS, no clock.
"""

import functools
import re
import unicodedata
from dataclasses import dataclass

from email_validator import EmailNotValidError, validate_email

from reputation.normal_forms import person_form

MAX_TEXT = 998  # RFC 5322 §2.1.1: no single header line can be longer, so no mailbox may be
MAX_LOCAL_OCTETS = 64  # RFC 5321 §4.5.3.1.1
MAX_ADDR_OCTETS = 254  # RFC 5321 §4.5.3.1.3: a path is 256 octets, its angle brackets included
MAX_LABEL_OCTETS = 63  # RFC 1035 §2.3.4

# C0, DEL and C1 (with NEL), the Unicode line ends, bidi controls (UAX #9) and lone surrogates.
# ZWJ and ZWNJ are not among them: emoji and Persian need them.
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

# Atoms and single dots of RFC 5321 §4.1.2 that nobody has ever had to look at twice.
_PLAIN_LOCAL = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*")

_QUOTED_NAME = re.compile(r'"((?:[^"\\]|\\.)*)" *<([^<>]*)>')
_BARE_NAME = re.compile(
    r'([^()<>\[\]:;@\\,"]*)<([^<>]*)>'
)  # RFC 5322 §3.2.3: specials must be quoted, but the dot is usual


class BadText(ValueError):
    """Text that may not stand in a header.

    `code` is a violation code of the HTTP contract (`control_character`, `encoded_word`, `too_long`,
    `bad_value`, `header_not_allowed`), `detail` one sentence that may be shown to anyone.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class BadAddress(BadText):
    """Text that is not one plain mailbox; `code` is `bad_address`, `control_character`, `encoded_word` or
    `too_long`.
    """


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One address with an optional display name, as `parse_mailbox` returns it.

    `name` is NFC and may be empty, `local` is NFC in the case it was given in, `domain` a lower-case A-label.
    """

    name: str
    local: str
    domain: str

    @property
    def addr(self) -> str:
        """`local@a-label`: the RCPT argument, to the letter."""
        return f"{self.local}@{self.domain}"

    @property
    def needs_smtputf8(self) -> bool:
        """True if the local part is not ASCII (RFC 6531); an IDN domain alone does not need it."""
        return not self.local.isascii()

    @property
    def folded(self) -> str:
        """Key of the address as it was given: case and normal form ignored, a plus tag kept."""
        return f"{unicodedata.normalize('NFKC', self.local.lower())}@{self.domain}"

    @property
    def canonical(self) -> str:
        """Key of the person behind it: plus tag dropped, and at Gmail the dots too. Two equal keys get one
        delivery.
        """
        return person_form(self.addr)


def check_text(value: str, what: str) -> None:
    """Refuse what no header text may hold; `what` names the field in the detail.

    Raises BadText: `control_character` for controls, line ends, bidi controls and lone surrogates;
    `encoded_word` for `=?...?=` (RFC 2047), which the receiver would decode into text that nobody here has
    judged.
    """
    if found := _CONTROLS.search(value):
        raise BadText("control_character", f"{what} holds the control character U+{ord(found[0]):04X}.")
    opening = value.find("=?")
    if opening >= 0 and value.find("?=", opening + 2) >= 0:
        raise BadText("encoded_word", f"{what} holds an encoded word; give the text itself.")


def parse_mailbox(text: str) -> Mailbox:
    """Read `a@b`, `Name <a@b>` or `"Name, X" <a@b>`; raises BadAddress for anything else."""
    if len(text) > MAX_TEXT:
        raise BadAddress("too_long", f"The address is longer than {MAX_TEXT} characters.")
    try:
        check_text(text, "The address")
    except BadText as error:
        raise BadAddress(error.code, error.detail) from None
    name, addr = _split(text.strip(" "))
    local, domain = _validated(addr)
    return Mailbox(unicodedata.normalize("NFC", name), local, domain)


def _split(text: str) -> tuple[str, str]:
    if quoted := _QUOTED_NAME.fullmatch(text):
        return re.sub(r"\\(.)", r"\1", quoted[1]).strip(" "), quoted[2]
    if bare := _BARE_NAME.fullmatch(text):
        return bare[1].strip(" "), bare[2]
    return "", text


def _validated(addr: str) -> tuple[str, str]:
    """Local part and A-label of one address without a display name.

    What the library has to say of a plain local part it says of its domain: asked once for each, not once for each
    address.
    """
    local, _, domain = addr.rpartition("@")
    if not _PLAIN_LOCAL.fullmatch(local):
        return _parts(addr)
    found = local, _parts(f"a@{domain}")[1]
    _check_lengths("@".join(found))
    return found


@functools.lru_cache(maxsize=10_000)
def _parts(addr: str) -> tuple[str, str]:
    _check_lengths(addr)
    try:
        # test_environment admits names under .test; whether mail may go there is the route's decision.
        found = validate_email(addr, check_deliverability=False, test_environment=True, strict=True)
    except EmailNotValidError as error:
        raise BadAddress("bad_address", str(error)) from None
    domain = found.ascii_domain.lower()
    _check_lengths(f"{found.local_part}@{domain}")
    return found.local_part, domain


def _check_lengths(addr: str) -> None:
    """Octet limits; the library counts characters, and allows a local part of 65 octets unless it is told
    not to.
    """
    local, _, domain = addr.rpartition("@")
    if len(local.encode()) > MAX_LOCAL_OCTETS:
        raise BadAddress("too_long", f"The part before the @ is longer than {MAX_LOCAL_OCTETS} octets.")
    if any(len(label.encode()) > MAX_LABEL_OCTETS for label in domain.split(".") if label.isascii()):
        raise BadAddress("too_long", f"A label of the domain is longer than {MAX_LABEL_OCTETS} octets.")
    if len(addr.encode()) > MAX_ADDR_OCTETS:
        raise BadAddress("too_long", f"The address is longer than {MAX_ADDR_OCTETS} octets.")
