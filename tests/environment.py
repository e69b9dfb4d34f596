"""The environment of the tests, set before anything reads the settings; a pytest plugin (see pyproject.toml)."""

import os

DEFAULTS = {
    "AO_CHECKING": "1",
    "SECRET_KEY": "only for tests",
    "AO_SUPPRESSION_KEY": "only for tests, sixteen or more",
    "AO_ALLOW_TEST_NAMES": "1",
    "AO_ALLOW_LOOPBACK": "1",
    "AO_NAMESERVERS": "127.0.0.1:5353",
}

for name, value in DEFAULTS.items():
    os.environ.setdefault(name, value)
