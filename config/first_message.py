"""The first message of `make run`: posted through the real API, followed to the server's 250, and told.

It is an agent like any other: a key, HTTP, and nothing it could not do from another machine.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from config.profile import Places

READY_SECONDS, LIFE_SECONDS = 60.0, 30.0
RECIPIENT = "ok.grace@gmail.test"
FINAL = {"delivered", "relayed", "bounced", "expired", "suppressed", "cancelled", "refused"}


class FirstMessageFailed(RuntimeError):
    """The product is not ready, or the message did not arrive; the text says what was seen."""


def tell_its_life(places: Places, say: Callable[[str], None]) -> None:
    """Wait for readiness, send one message, and say what became of it and where to look next.

    Raises FirstMessageFailed.
    """
    demo = json.loads(places.demo.read_text())
    _wait_until_ready(demo["api_url"])
    try:
        say("\n".join(["", *_life_of_one(demo)]))
    finally:
        say("\n".join(["", *_next_steps(demo, places)]))


def _life_of_one(demo: Mapping[str, Any]) -> list[str]:
    asked = time.time()
    accepted = _call(demo, "/v1/messages", _draft(demo["sender"]))
    took = time.time() - asked
    path = f"/v1/messages/{accepted['id']}"
    message = _follow(demo, path)
    events = _call(demo, f"{path}/events?limit=100")["data"]
    story = _story(accepted, took, message, events)
    if message["status"] != "delivered":
        told = "\n".join(story)
        raise FirstMessageFailed(f"The first message is {message['status']}, not delivered.\n{told}")
    return story


def _draft(sender: str) -> dict[str, Any]:
    return {
        "from": sender,
        "to": [RECIPIENT],
        "subject": "The first message",
        "text": "Hello Grace,\n\nthis is the first message through this outbox.\n",
        "agent": {"run_id": "first-message", "purpose": "show that it works"},
    }


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    seen = "no answer"
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):  # noqa: S310 our own address
                return
        except urllib.error.HTTPError as error:
            seen = f"{error.code} {error.read(300).decode(errors='replace')}"
        except OSError as error:
            seen = str(error)
        time.sleep(0.1)
    raise FirstMessageFailed(f"{url}/readyz is not ready after {READY_SECONDS:.0f} s: {seen}")


def _follow(demo: Mapping[str, Any], path: str) -> dict[str, Any]:
    deadline = time.monotonic() + LIFE_SECONDS
    message = _call(demo, path)
    while message["status"] not in FINAL and time.monotonic() < deadline:
        message = _call(demo, f"{path}?wait=5&after_version={message['version']}")
    return message


def _call(demo: Mapping[str, Any], path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {demo['api_key']}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(demo["api_url"] + path, data, headers)  # noqa: S310 our own address
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        told = error.read(1000).decode(errors="replace")
        raise FirstMessageFailed(f"{path} answered {error.code}: {told}") from None
    except OSError as error:
        raise FirstMessageFailed(f"{path} did not answer: {error}") from None


def _story(
    accepted: Mapping[str, Any], took: float, message: Mapping[str, Any], events: list[dict[str, Any]]
) -> list[str]:
    start = _moment(accepted["created_at"])
    lines = [
        f"The life of {accepted['id']}, to {RECIPIENT}",
        f"  POST /v1/messages: 202 in {took * 1000:.0f} ms",
    ]
    for event in events:
        after = (_moment(event["at"]) - start).total_seconds() * 1000
        lines.append(f"  {after:6.0f} ms  {event['type']:<10} {_detail(event)}".rstrip())
        if attempt := event.get("attempt"):
            lines += [f"  {'':9}  {line}" for line in _conversation(attempt, _signatures(accepted["id"]))]
    return [*lines, f"  Its status now: {message['status']}"]


def _detail(event: Mapping[str, Any]) -> str:
    told = [
        event["status"],
        event.get("code"),
        event.get("note"),
        event.get("actor") and f"by {event['actor']}",
    ]
    return ", ".join(str(each) for each in told if each and each != event["type"])


def _conversation(attempt: Mapping[str, Any], signatures: str) -> list[str]:
    host = f"{attempt['host']} [{attempt['address']}] {attempt['tls'] or 'without TLS'}"
    took = "" if attempt["seconds"] is None else f" after {attempt['seconds'] * 1000:.0f} ms"
    return [
        f"signed     {signatures}",
        f"spoke to   {host}",
        f"it said    {attempt['reply_code']} {attempt['reply']}{took}",
    ]


def _signatures(message_id: str) -> str:
    """The DKIM selectors of the message's attempts; the API keeps them to itself, the admin shows them."""
    from django.db import connection

    from outbox.ids import last_delivery_of, parsed
    from outbox.models import Attempt

    key = parsed("msg", message_id)
    assert key is not None
    try:
        found = Attempt.objects.filter(delivery__gte=key, delivery__lte=last_delivery_of(key))
        return ", ".join(found.values_list("selectors", flat=True)) or "not"
    finally:
        connection.close()


def _next_steps(demo: Mapping[str, Any], places: Places) -> list[str]:
    draft = json.dumps({"to": ["nobody.ada@outlook.test"], "subject": "Hello", "text": "Hello, Ada."})
    return [
        f"  Admin  {demo['admin_url']}  {demo['admin_user']} / {demo['admin_password']}",
        f"  Desk   {demo['api_url']}/approvals/  {_login(demo['reviewer'])}  (what strict_api_key sends waits there)",
        f"  Stop   {demo['killswitch_url']}  {_login(demo['responders'][0])}",
        f"  Logs   {places.log}",
        f"  What the simulated internet accepted  {demo['oracle_log']}",
        f"  Keys, logins, addresses  {places.demo}",
        "  Send one yourself (nobody@ bounces; ok@, grey@, full@, block@ do what they say):",
        f"    curl -s {demo['api_url']}/v1/messages -H 'Authorization: Bearer {demo['api_key']}' \\",
        f"      -H 'Content-Type: application/json' -d '{draft}'",
        "  Ctrl-C stops everything.",
    ]


def _login(person: Mapping[str, str]) -> str:
    return f"{person['user']} / {person['password']}"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
