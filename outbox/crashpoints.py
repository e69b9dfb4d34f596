"""Named places where a test may kill or freeze this process, so that a crash at every step can be tried.

Off unless ``AO_CRASH`` says ``name``, ``name:nth`` or ``name:nth:SIGNAL`` (default the first time, SIGKILL).
Names, in the order of the walk: before_claim, claimed, connected, ehlo, mail, rcpt, 354, midbody, clearing,
cleared, dotted, replied, settled.
"""

import os
import signal
from itertools import count
from typing import Final

_NAME, _, _REST = os.environ.get("AO_CRASH", "").partition(":")
_NTH, _, _SIGNAL = _REST.partition(":")
_AT: Final = int(_NTH or 1)
_times = count(1)


def reached(name: str) -> None:
    """Say that this place was reached; here the process ends, if it was told to."""
    if name == _NAME and next(_times) == _AT:
        os.kill(os.getpid(), getattr(signal, _SIGNAL or "SIGKILL"))
