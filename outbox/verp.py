"""The return-path token: which delivery a bounce is about, testified by nobody but us.

Guarantees: `read_token` answers only for a token that `make_token` made with one of the given keys and that
has not expired. A token is 48 characters of lower-case base32, so `b+<token>` stays within the 64 octets of
a local part (RFC 5321 §4.5.3.1.1), survives relays that fold case, and looks the same for every attempt of
a delivery.

Refuses: guessed, altered, truncated, padded, expired and foreign tokens, each with the same silent None.
Stdlib only; keys and today's date are passed in.
"""

import base64
import hmac
import re
from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

EPOCH = date(2020, 1, 1)
MAC_BYTES = 12  # 96 bits: outsiders can try tokens by the million, and one hit is a false testimony
TOKEN_LENGTH = 48  # 16 + 2 + 12 bytes are a multiple of five, so base32 has one spelling and no padding

_PURPOSE = b"agent-outbox return path\0"  # keeps the MACs apart should the key ever serve something else
_TOKEN = re.compile(r"[A-Za-z2-7]{48}")
_RETURN_PATH = re.compile(r"b\+([A-Za-z2-7]{48})@rp\.(.+)", re.IGNORECASE)


def make_token(delivery_id: UUID, expires_on: date, key: bytes) -> str:
    """Token for one delivery, good up to and including `expires_on`.

    Raises ValueError for a key under 16 bytes or a day outside the 65,536 that follow EPOCH.
    """
    if len(key) < 16:
        raise ValueError("the return-path key must have at least 16 bytes")
    day = (expires_on - EPOCH).days
    if not 0 <= day < 1 << 16:
        raise ValueError(f"no token can expire on {expires_on}")
    payload = delivery_id.bytes + day.to_bytes(2, "big")
    return base64.b32encode(payload + _mac(payload, key)).decode("ascii").lower()


def read_token(token: str, keys: Sequence[bytes], today: date) -> UUID | None:
    """The delivery a token speaks of, or None; every key is tried, in a time that does not tell which one
    fitted.
    """
    if _TOKEN.fullmatch(token) is None:
        return None
    raw = base64.b32decode(token.upper())
    payload, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
    genuine = [hmac.compare_digest(mac, _mac(payload, key)) for key in keys]
    if not any(genuine) or today > EPOCH + timedelta(days=int.from_bytes(payload[16:], "big")):
        return None
    return UUID(bytes=payload[:16])


def return_path(token: str, sending_domain: str) -> str:
    """Envelope sender of a delivery. Its own host, so that replies by people never reach the bounce
    listener.
    """
    return f"b+{token}@rp.{sending_domain}"


def token_in(address: str) -> str | None:
    """The token of an envelope recipient made by `return_path`, not yet believed; None for any other
    address.
    """
    found = _RETURN_PATH.fullmatch(address)
    return found[1] if found else None


def _mac(payload: bytes, key: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + payload, "sha256")[:MAC_BYTES]
