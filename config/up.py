"""`make run`: bring the whole product up on this machine, show one message's life, and take it down again.

    lock this checkout            one supervisor at a time; what a killed one left is ended
    ports, PostgreSQL, secrets    the embedded profile
    migrate, grant, pgmq, seed    nothing of it when there is nothing to do
    simulator, web, worker, beat  the Procfile
    the first message             through the real API, told as it happens

Ctrl-C or SIGTERM ends the processes, then PostgreSQL. A failure says what to do next.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from config.embedded import of_checkout
from config.profile import Places, Ports, environment, of_children
from config.supervisor import AlreadyRunning, Supervisor, alone
from config.wheel import EmbeddedError

CHECKOUT = Path(__file__).resolve().parent.parent


class CannotStart(RuntimeError):
    """Something on this machine is in the way; the text says what, and what to do."""


def main(words: Sequence[str]) -> int:
    """`python -m config.up`, or `python -m config.up remove` for the end of the embedded database."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until the supervisor takes over
    places = Places(CHECKOUT)
    try:
        ports = Ports.following(os.environ.get("PORT", "8000"))
        with alone(places.running, f"http://127.0.0.1:{ports.web}"):
            if list(words) == ["remove"]:
                of_checkout(CHECKOUT).remove()
                return 0
            return _up_and_down(places, ports)
    except AlreadyRunning as other:
        return _fail(f"This checkout runs already, at {other}. Stop that one first (Ctrl-C where it runs).")
    except (ValueError, CannotStart) as error:
        return _fail(str(error))
    except EmbeddedError as error:
        return _fail(f"{error}\n`make clean` starts anew; it removes the data of this checkout.")
    except KeyboardInterrupt:
        return 130


def _up_and_down(places: Places, ports: Ports) -> int:
    if taken := ports.taken():
        raise CannotStart(f"Port {taken[0]} is taken. Choose another: PORT={ports.web + 100} make run")
    cluster = of_checkout(CHECKOUT)
    _tell("PostgreSQL" if cluster.passwords.exists() else "PostgreSQL (making it, once)")
    try:
        said = environment(places, ports, cluster.ensure_started())
        os.environ.update(said)
        _prepare()
        supervisor = Supervisor(
            CHECKOUT / "Procfile", of_children(said, Path(sys.executable)), places.running, places.log
        )
        return supervisor.run(lambda: _show_first_message(supervisor, places))
    finally:
        cluster.stop()
        _tell("stopped")


def _prepare() -> None:
    """Tables, rights, queue and demo rows: as the owner, skipped when they are as they should be."""
    import django
    from django.core.management import CommandError, call_command

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    _tell("tables and demo")
    try:
        call_command("prepare", verbosity=0)
    except CommandError as error:
        raise CannotStart(
            f"{error}\n`make clean` starts anew; it removes the data of this checkout."
        ) from None
    call_command("demo", verbosity=0)


def _show_first_message(supervisor: Supervisor, places: Places) -> None:
    from config.first_message import tell_its_life

    try:
        tell_its_life(places, supervisor.say)
    except Exception as error:  # whatever it is, the product runs on without its first message
        supervisor.say(
            f"The first message failed: {error or type(error).__name__}\n"
            f"The log is in {places.log}. Everything keeps running; Ctrl-C stops it."
        )


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _fail(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
