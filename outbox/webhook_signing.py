"""What proves to a receiver that a webhook is ours and fresh: Standard Webhooks' secrets and signatures.

Outbound only; what providers sign is for `esp`. While a secret is changed both sign, so that the receiver may change
over at any instant. The timestamp is the attempt's, not the event's: receivers refuse what is older than five minutes.
"""

import base64
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from standardwebhooks.webhooks import Webhook

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32  # 24 to 64, says the specification


def new_secret() -> str:
    """A fresh secret in its printed form."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signed(keys: Sequence[str], webhook_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of one attempt, signed with each of these secrets."""
    moment = at.astimezone(UTC)
    signatures = (Webhook(key).sign(webhook_id, moment, body.decode()) for key in keys)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
        "Content-Type": "application/json",
    }
