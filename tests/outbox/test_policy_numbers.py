"""A stream's numbers: as they are stored and read again."""

from dataclasses import replace

import orjson
import pytest

from outbox.policy_numbers import DEFAULT, TRANSACTIONAL, read, stored

WISHED = replace(
    DEFAULT, new_agent=3, repeats=(), own_domains=("acme.example",), quiet_from=20, quiet_until=7
)


def test_what_is_stored_is_read_again() -> None:
    assert read(orjson.dumps(stored(WISHED)).decode(), "agents") == WISHED


@pytest.mark.parametrize(("kind", "policy"), [("agents", DEFAULT), ("transactional", TRANSACTIONAL)])
def test_what_nobody_has_set_is_the_default_of_the_kind(kind: str, policy: object) -> None:
    assert read(None, kind) == policy
    assert read('{"number_of_a_later_version": 1}', kind) == policy


def test_what_cannot_be_is_not_read_as_something_else() -> None:
    with pytest.raises(ValueError, match="cluster_size"):
        read('{"cluster_size": "many"}', "agents")
