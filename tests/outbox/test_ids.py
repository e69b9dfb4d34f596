"""Keys that sort by time and say which message a delivery belongs to."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbox import ids

moments = st.integers(min_value=0, max_value=(1 << 48) - 1)


@given(moments)
def test_a_key_is_a_uuid_of_version_7_with_its_time(ms: int) -> None:
    key = ids.new_id(ms)
    assert (key.version, key.int >> 80, key.int & 0xFFF) == (7, ms, 0)


@given(moments, st.integers(min_value=1, max_value=ids.MAX_DELIVERIES))
def test_a_delivery_names_its_message_and_lies_in_its_range(ms: int, ordinal: int) -> None:
    message = ids.new_id(ms)
    delivery = ids.delivery_id(message, ordinal)
    assert ids.message_of(delivery) == message
    assert message < delivery <= ids.last_delivery_of(message)


@pytest.mark.parametrize("ordinal", [0, ids.MAX_DELIVERIES + 1, -1])
def test_an_ordinal_that_does_not_fit_is_refused(ordinal: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        ids.delivery_id(ids.new_id(1), ordinal)


@given(st.lists(st.uuids(), min_size=2, max_size=5))
def test_printed_names_sort_as_the_keys_do(keys: list[UUID]) -> None:
    assert sorted(keys) == [
        ids.parsed("msg", name) for name in sorted(ids.printed("msg", key) for key in keys)
    ]


@pytest.mark.parametrize(
    "name",
    [
        "dlv_01m82nz7qyf8sab314rzg88r00",  # another prefix
        "msg_01m82nz7qyf8sab314rzg88r0",  # too short
        "msg_01m82nz7qyf8sab314rzg88r0u",  # not a digit
        "msg_zzzzzzzzzzzzzzzzzzzzzzzzzz",  # 130 bits
        "msg",
        "",
    ],
)
def test_what_is_not_such_a_name_is_nothing(name: str) -> None:
    assert ids.parsed("msg", name) is None
