"""What is written by the second while something is gone is a line each; what nobody expected keeps its stack."""

import logging
import sys

import pytest
from django.db import OperationalError

from config.settings import LOGGING, _one_line


def written(logger: str, error: Exception, words: str) -> str:
    try:
        raise error
    except type(error):
        record = logging.LogRecord(logger, logging.ERROR, "", 0, words, (error, "a stack"), sys.exc_info())
    assert _one_line(record)
    return logging.Formatter("%(message)s").format(record)


@pytest.mark.parametrize(
    ("logger", "error"),
    [
        ("celery.beat", ConnectionRefusedError("no broker")),
        ("celery.app.trace", OperationalError("no database")),
    ],
)
def test_what_is_gone_is_told_in_a_line(logger: str, error: Exception) -> None:
    assert written(logger, error, "not done: %s\n%s") == f"not done: {error}"
    assert LOGGING["loggers"][logger] == {"filters": ["one line"]}


def test_a_task_that_breaks_in_any_other_way_keeps_its_stack() -> None:
    told = written("celery.app.trace", KeyError("never thought of"), "not done: %s\n%s")
    assert "a stack" in told
    assert "Traceback" in told
