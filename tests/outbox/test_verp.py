"""Return-path tokens: nobody but us can make one that counts."""

from base64 import b32decode, b32encode
from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest

from outbox.verp import EPOCH, TOKEN_LENGTH, make_token, read_token, return_path, token_in

DELIVERY = UUID("01932f1e-6f2b-7c4d-8a9b-0c1d2e3f4a5b")
KEY, OLD, FOREIGN = b"k" * 32, b"o" * 32, b"f" * 32
TODAY = date(2026, 11, 22)
EXPIRY = TODAY + timedelta(days=30)


@pytest.fixture
def token():
    return make_token(DELIVERY, EXPIRY, KEY)


def test_a_token_comes_back_as_its_delivery(token):
    assert read_token(token, [KEY], TODAY) == DELIVERY


def test_the_return_path_fits_a_local_part_and_survives_case_folding(token):
    path = return_path(token, "agents.acme.example")
    local, _, domain = path.partition("@")
    assert (len(token), domain) == (TOKEN_LENGTH, "rp.agents.acme.example")
    assert len(local) <= 64
    assert path == path.lower()
    assert read_token(token_in(path.upper()), [KEY], TODAY) == DELIVERY


def test_every_attempt_of_a_delivery_has_the_same_token(token):
    assert make_token(DELIVERY, EXPIRY, KEY) == token


@pytest.mark.parametrize("place", [0, 1])
def test_each_key_of_a_rotation_is_tried(token, place):
    keys = [FOREIGN, OLD]
    keys.insert(place, KEY)
    assert read_token(token, keys, TODAY) == DELIVERY


def test_a_foreign_key_or_none_at_all_reads_nothing(token):
    assert read_token(token, [FOREIGN, OLD], TODAY) is None
    assert read_token(token, [], TODAY) is None


def test_a_token_is_good_on_its_last_day_and_not_after(token):
    assert read_token(token, [KEY], EXPIRY) == DELIVERY
    assert read_token(token, [KEY], EXPIRY + timedelta(days=1)) is None


@pytest.mark.parametrize("bit", range(240))
def test_no_bit_can_be_changed(token, bit):
    raw = bytearray(b32decode(token.upper()))
    raw[bit // 8] ^= 1 << bit % 8
    assert read_token(b32encode(raw).decode().lower(), [KEY], TODAY) is None


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda t: "", "nothing"),
        (lambda t: t[:-1], "truncated"),
        (lambda t: t[:-8], "truncated by a whole block, so that base32 still decodes"),
        (lambda t: t + "a", "longer"),
        (lambda t: t + "a" * 8, "longer by a whole block"),
        (lambda t: t[:-1] + "=", "padded"),
        (lambda t: t + "=", "padding behind it"),
        (lambda t: t + "\n", "a line end behind it"),
        (lambda t: " " + t[1:], "a space"),
        (lambda t: "0" + t[1:], "a digit that base32 does not have"),
        (lambda t: "1" + t[1:], "another, which some decoders take for an l"),
        (lambda t: "ı" + t[1:], "a letter that upper-cases into the alphabet"),
        (lambda t: "\udcff" + t[1:], "not text at all"),
    ],
)
def test_other_spellings_are_refused(token, spoil, why):
    assert read_token(spoil(token), [KEY], TODAY) is None, why


def test_tokens_of_two_deliveries_cannot_be_mixed():
    one, other = (b32decode(make_token(uuid4(), EXPIRY, KEY).upper()) for _ in range(2))
    assert read_token(b32encode(one[:18] + other[18:]).decode(), [KEY], TODAY) is None


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("b+{}@rp.agents.acme.example", True),
        ("B+{}@RP.agents.acme.example", True),  # a relay that shouts
        ("b+{}@agents.acme.example", False),  # where people reply
        ("c+{}@rp.agents.acme.example", False),
        ("b-{}@rp.agents.acme.example", False),
        ("b+{}x@rp.agents.acme.example", False),
        ("{}", False),
        ("", False),
    ],
)
def test_only_a_return_path_holds_a_token(token, address, found):
    assert token_in(address.format(token)) == (token if found else None)


@pytest.mark.parametrize("day", [EPOCH - timedelta(days=1), EPOCH + timedelta(days=1 << 16)])
def test_a_day_that_two_octets_cannot_hold_is_refused(day):
    with pytest.raises(ValueError, match="no token can expire"):
        make_token(DELIVERY, day, KEY)


def test_a_short_key_is_refused():
    with pytest.raises(ValueError, match="at least 16 bytes"):
        make_token(DELIVERY, EXPIRY, b"short")
