"""The token in a link: what it says, and that nobody else can make one."""

from uuid import UUID

import pytest

from outbox import unsubscribes
from outbox.unsubscribes import Leaving, headers, make_token, read_token, token_in

KEY = b"0123456789abcdef"
LEAVING = Leaving(UUID("019aa8c5-9e00-7000-8000-000000000001"), 7, b"0123456789")
TOKEN = make_token(LEAVING, KEY)


def test_a_token_says_what_was_put_into_it_however_it_is_written() -> None:
    assert read_token(TOKEN, KEY) == LEAVING
    assert read_token(TOKEN.upper(), KEY) == LEAVING
    assert make_token(LEAVING, KEY) == TOKEN  # the same in every attempt


def test_a_token_fits_into_a_local_part_and_into_a_url() -> None:
    assert len(unsubscribes.mailbox(TOKEN, "a.example").partition("@")[0]) <= 64
    assert TOKEN.isascii()
    assert TOKEN.isalnum()
    assert TOKEN.islower()


@pytest.mark.parametrize(
    "token",
    [
        "",
        TOKEN[:-1],
        TOKEN + "a",
        TOKEN + "\n",
        TOKEN[:-4] + "aaaa",
        "a" * len(TOKEN),
        TOKEN.replace(TOKEN[3], "1"),
        "=" * len(TOKEN),
        TOKEN[:-1] + "\u0131",
        make_token(LEAVING, b"another key, as long"),
    ],
)
def test_what_we_did_not_make_says_nothing(token: str) -> None:
    assert read_token(token, KEY) is None


def test_every_character_but_the_last_is_under_the_signature() -> None:
    for place in range(len(TOKEN) - 1):
        other = "b" if TOKEN[place] != "b" else "c"
        assert read_token(TOKEN[:place] + other + TOKEN[place + 1 :], KEY) is None


def test_what_cannot_be_held_is_refused() -> None:
    with pytest.raises(ValueError, match="stream"):
        make_token(Leaving(LEAVING.delivery, 1 << 16, LEAVING.mark), KEY)
    with pytest.raises(ValueError, match="mark"):
        make_token(Leaving(LEAVING.delivery, 7, b"short"), KEY)
    with pytest.raises(ValueError, match="key"):
        make_token(LEAVING, b"short")


def test_the_headers_are_those_of_rfc_8058() -> None:
    (name, ways), post = headers(TOKEN, "https://u.agents.acme.example", "agents.acme.example")
    assert name == "List-Unsubscribe"
    assert ways == (f"<https://u.agents.acme.example/u/{TOKEN}>, <mailto:u+{TOKEN}@rp.agents.acme.example>")
    assert post == ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")


@pytest.mark.parametrize(
    ("address", "token"),
    [
        (f"u+{TOKEN}@rp.agents.acme.example", TOKEN),
        (f"U+{TOKEN.upper()}@RP.agents.acme.example", TOKEN.upper()),  # relays fold case
        (f"b+{TOKEN}@rp.agents.acme.example", None),  # a return-path's form
        (f"u+{TOKEN}@agents.acme.example", None),
        (f"u+{TOKEN[1:]}@rp.agents.acme.example", None),
        ("postmaster@rp.agents.acme.example", None),
    ],
)
def test_a_mailbox_gives_its_token_back(address: str, token: str | None) -> None:
    assert token_in(address) == token
