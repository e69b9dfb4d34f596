"""How each relay service is told whose delivery a message is, so that its webhooks can name it again.

A service that takes mail by SMTP reads such fields from the message and takes them off. One that is not in the table
keeps our Message-ID, or shows the header of the message (``X-AO-Ref``). Pure data.
"""

import json
from collections.abc import Callable, Mapping
from typing import Final

NAME: Final = "ao_ref"


def _object(token: str) -> str:
    return json.dumps({NAME: token})


MARKS: Final[Mapping[str, tuple[str, Callable[[str], str]]]] = {
    "amazon_ses": ("X-SES-MESSAGE-TAGS", lambda token: f"{NAME}={token}"),
    "brevo": ("X-Mailin-custom", _object),
    "mailgun": ("X-Mailgun-Variables", _object),
    "mailjet": ("X-MJ-EventPayload", _object),
    "mailtrap": ("X-MT-Custom-Variables", _object),
    "mandrill": ("X-MC-Metadata", _object),
    "postmark": (f"X-PM-Metadata-{NAME}", str),
    "sendgrid": ("X-SMTPAPI", lambda token: json.dumps({"unique_args": {NAME: token}})),
    "sparkpost": ("X-MSYS-API", lambda token: json.dumps({"metadata": {NAME: token}})),
}
FIELDS: Final = tuple(name for name, _ in MARKS.values())


def mark(service: str, token: str) -> tuple[tuple[str, str], ...]:
    """The field that tells a service the token, or none."""
    found = MARKS.get(service)
    return ((found[0], found[1](token)),) if found else ()
