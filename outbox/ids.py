"""Names that sort by time: UUIDv7 (RFC 9562 §5.7), and their printed form.

A message's key ends in twelve zero bits, and its n-th delivery carries n there. So a delivery's key says
which message it belongs to, one range of the primary key holds a message's deliveries, and the hot table
needs no second index for that. Printed, a key is a prefix and 26 characters of Crockford's base32.
"""

import secrets
from typing import Final
from uuid import UUID

MAX_DELIVERIES: Final = 0xFFF
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}


def new_id(unix_ms: int) -> UUID:
    """A UUIDv7 of that millisecond whose last twelve bits are zero."""
    random_a = secrets.randbits(12)
    random_b = secrets.randbits(50) << 12
    return UUID(int=(unix_ms << 80) | (0x7 << 76) | (random_a << 64) | (0b10 << 62) | random_b)


def delivery_id(message: UUID, ordinal: int) -> UUID:
    """The key of a message's n-th delivery, counted from 1.

    Raises:
        ValueError: the ordinal does not fit into twelve bits.
    """
    if not 1 <= ordinal <= MAX_DELIVERIES:
        raise ValueError(f"ordinal {ordinal} is outside 1..{MAX_DELIVERIES}")
    return UUID(int=message.int | ordinal)


def message_of(delivery: UUID) -> UUID:
    """The key of the message that a delivery belongs to."""
    return UUID(int=delivery.int & ~MAX_DELIVERIES)


def last_delivery_of(message: UUID) -> UUID:
    """The greatest key a delivery of this message can have: the end of its range."""
    return UUID(int=message.int | MAX_DELIVERIES)


def printed(prefix: str, key: UUID) -> str:
    """``msg_...`` and the like: 26 characters that sort as the keys do."""
    number, digits = key.int, []
    for _ in range(26):
        digits.append(_ALPHABET[number & 31])
        number >>= 5
    return f"{prefix}_{''.join(reversed(digits))}"


def parsed(prefix: str, text: str) -> UUID | None:
    """The key behind a printed name, or None if it is not one of this prefix."""
    head, _, tail = text.partition("_")
    if head != prefix or len(tail) != 26:
        return None
    number = 0
    for character in tail:
        value = _VALUES.get(character)
        if value is None:
            return None
        number = number << 5 | value
    return UUID(int=number) if number < 1 << 128 else None
