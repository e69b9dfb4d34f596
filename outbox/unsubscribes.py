"""Unsubscribe links: which person leaves which stream, testified by nobody but us, for as long as mail is kept.

Guarantees: `read_token` answers only for a token that `make_token` made with the same key. A token never expires and
needs no row of ours to be understood (RFC 8058 §3.1: the link itself says who and what): it holds the delivery, for
the story, and the stream and the person's mark, which are enough when the delivery is long forgotten. It holds no
address. 61 characters of lower-case base32, so that `u+<token>` stays within the 64 octets of a local part (RFC 5321
§4.5.3.1.1) and survives relays that fold case.

Refuses: guessed, altered, truncated and foreign tokens, each with the same silent None. Pure; the key is passed in.
"""

import base64
import hmac
import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID

MAC_BYTES: Final = 10  # 80 bits: who finds one by trying could unsubscribe one stranger
MARK_BYTES: Final = 10
TOKEN_LENGTH: Final = 61  # 16 + 2 + 10 + 10 bytes
ONE_CLICK: Final = ("List-Unsubscribe", "One-Click")  # RFC 8058 §3.2, to the letter

_PURPOSE: Final = b"agent-outbox unsubscribe\0"  # the same key hashes addresses
_TOKEN: Final = re.compile(r"[A-Za-z2-7]{61}")
_MAILBOX: Final = re.compile(r"u\+([A-Za-z2-7]{61})@rp\.(.+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Leaving:
    """What a genuine token says: who leaves (a mark, see `reputation.suppression`), what, and through which mail."""

    delivery: UUID
    stream_id: int
    mark: bytes


def make_token(leaving: Leaving, key: bytes) -> str:
    """The token of one delivery: the same every time.

    Raises ValueError for a key under 16 bytes, a mark of another length, or a stream past the 65,535th.
    """
    if len(key) < 16 or len(leaving.mark) != MARK_BYTES:
        raise ValueError("an unsubscribe token needs a key of 16 bytes and a mark of 10")
    if not 0 <= leaving.stream_id < 1 << 16:
        raise ValueError(f"no token can speak of stream {leaving.stream_id}")
    payload = leaving.delivery.bytes + leaving.stream_id.to_bytes(2, "big") + leaving.mark
    return base64.b32encode(payload + _mac(payload, key)).decode("ascii").rstrip("=").lower()


def read_token(token: str, key: bytes) -> Leaving | None:
    """What a token says, or None."""
    if _TOKEN.fullmatch(token) is None:
        return None
    raw = base64.b32decode(token.upper() + "===")
    payload, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(payload, key)):
        return None
    return Leaving(UUID(bytes=payload[:16]), int.from_bytes(payload[16:18], "big"), payload[18:])


def link(token: str, base_url: str) -> str:
    """Where a person unsubscribes; by GET a page, by POST at once."""
    return f"{base_url}/u/{token}"


def mailbox(token: str, sending_domain: str) -> str:
    """Where mail unsubscribes, whatever is written in it."""
    return f"u+{token}@rp.{sending_domain}"


def token_in(address: str) -> str | None:
    """The token of an envelope recipient made by `mailbox`, not yet believed; None for any other address."""
    found = _MAILBOX.fullmatch(address)
    return found[1] if found else None


def headers(token: str, base_url: str, sending_domain: str) -> tuple[tuple[str, str], ...]:
    """RFC 2369 §3.2 with exactly one link and one mailbox, and RFC 8058 §3.1."""
    ways = f"<{link(token, base_url)}>, <mailto:{mailbox(token, sending_domain)}>"
    return (("List-Unsubscribe", ways), ("List-Unsubscribe-Post", "=".join(ONE_CLICK)))


def _mac(payload: bytes, key: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + payload, "sha256")[:MAC_BYTES]
