"""Who may do what: every page there is, each way it is asked, for each kind of person. A page in no table fails.

Nothing that is named exists, so nothing is done: whoever may is told that it is not there, or what is missing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import URLResolver, get_resolver

from outbox.models import Agent
from outbox.pages import for_machines
from tests import factories

Who = frozenset[str]

GROUPS: Final = ("auditors", "reviewers", "deliverability", "responders")


def only(*groups: str) -> Who:
    """These groups, and superusers."""
    return frozenset({*groups, "root"})


NOBODY: Final[Who] = frozenset()
ROOT: Final = only()
LOOKS: Final = only(*GROUPS)
AUDITORS: Final = only("auditors")
ADMINS: Final = only("deliverability")
RESPONDERS: Final = only("responders")
BOTH: Final = only("deliverability", "responders")
REVIEWERS: Final = only("deliverability", "reviewers")
STAFF: Final = only(*GROUPS, "no group")
EVERYBODY: Final = STAFF | {"a stranger", "an agent's key"}

UNSERVED: Final = None  # 405, whoever asks


@dataclass(frozen=True, slots=True)
class Rights:
    """Of a model's pages in the admin."""

    view: Who = LOOKS
    add: Who = NOBODY
    change: Who = NOBODY
    delete: Who = NOBODY

    def of(self, page: str) -> tuple[Who, Who]:
        """Who may get a page, who may post to it."""
        return {
            "changelist": (self.view, self.view),
            "add": (self.add, self.add),
            "change": (self.view, self.change),
            "delete": (self.delete, self.delete),
            "history": (STAFF, STAFF),  # of what is not there; what is there asks for the view
        }[page]


ROOTS: Final = Rights(ROOT, ROOT, ROOT, ROOT)
EDITED: Final = Rights(add=ADMINS, change=ADMINS)
READ: Final = Rights()

MODELS: Final[dict[str, Rights]] = {
    "auth_group": Rights(AUDITORS, ROOT, ROOT, ROOT),
    "auth_user": Rights(AUDITORS, ROOT, ROOT, ROOT),
    "otp_totp_totpdevice": ROOTS,
    "otp_static_staticdevice": ROOTS,
    "outbox_agent": EDITED,
    "outbox_alarm": READ,
    "outbox_answer": READ,
    "outbox_apikey": Rights(add=ADMINS),
    "outbox_attempt": READ,
    "outbox_audit": READ,
    "outbox_delivery": READ,
    "outbox_drill": READ,
    "outbox_endpoint": EDITED,
    "outbox_organisation": EDITED,
    "outbox_event": READ,
    "outbox_lane": READ,
    "outbox_message": READ,
    "outbox_notice": READ,
    "outbox_policy": EDITED,
    "outbox_quarantine": READ,
    "outbox_returncount": READ,
    "outbox_run": READ,
    "outbox_session": READ,
    "outbox_signal": READ,
    "outbox_uncertain": READ,  # what became of it is decided by an action of the list
    "reputation_incident": READ,
    "reputation_judgement": READ,
    "reputation_knowndomain": READ,
    "reputation_numbers": EDITED,
    "reputation_openstop": READ,
    "reputation_organisationaldomain": EDITED,
    "reputation_providerlimit": Rights(add=ADMINS, change=ADMINS, delete=ADMINS),
    "reputation_providersuffix": Rights(add=ADMINS, change=ADMINS, delete=ADMINS),
    "reputation_ramp": READ,
    "reputation_rampevent": READ,
    "reputation_route": EDITED,
    "reputation_sendingdomain": EDITED,
    "reputation_stream": EDITED,
    "reputation_suppression": Rights(add=ADMINS),
    "reputation_switchevent": READ,
    "reputation_tlspolicy": READ,
    "reputation_watch": READ,
    "reputation_witness": READ,
}

# name, or address without one -> who may get it, who may post to it
PAGES: Final[dict[str, tuple[Who | None, Who | None]]] = {
    "home": (EVERYBODY, UNSERVED),
    "errors": (EVERYBODY, UNSERVED),
    "error": (EVERYBODY, UNSERVED),
    "agents:openapi-view": (EVERYBODY, EVERYBODY),  # it shows the same
    # the responder's page
    "killswitch": (LOOKS, UNSERVED),
    "killswitch-ask": (UNSERVED, LOOKS),
    "killswitch-now": (LOOKS, UNSERVED),
    "killswitch-stop": (UNSERVED, RESPONDERS),
    "killswitch-sample": (LOOKS, UNSERVED),
    "killswitch-timeline": (LOOKS, UNSERVED),
    "stop-happening": (LOOKS, UNSERVED),
    "stop-now": (LOOKS, UNSERVED),
    "stop-note": (UNSERVED, RESPONDERS),
    "stop-resume": (UNSERVED, RESPONDERS),
    "stop-glass": (UNSERVED, RESPONDERS),
    "stop-confirm": (UNSERVED, RESPONDERS),
    "stop-purge": (UNSERVED, RESPONDERS),
    "purge-undo": (UNSERVED, RESPONDERS),
    "stop-revoke": (UNSERVED, BOTH),
    "stop-recipients": (BOTH, UNSERVED),  # addresses
    "purge-affected": (BOTH, UNSERVED),  # addresses
    # the reviewers' desk
    "approvals": (LOOKS, UNSERVED),
    "approvals-now": (LOOKS, UNSERVED),
    "approvals-health": (LOOKS, UNSERVED),
    "approval": (LOOKS, UNSERVED),
    "approval-now": (LOOKS, UNSERVED),
    "approval-sample": (LOOKS, UNSERVED),
    "approval-decide": (UNSERVED, REVIEWERS),
    # one's own second factor
    "second-factor": (STAFF, UNSERVED),
    "second-factor-begin": (UNSERVED, STAFF),
    "second-factor-confirm": (UNSERVED, STAFF),
    "second-factor-codes": (UNSERVED, STAFF),
    "second-factor-remove": (UNSERVED, STAFF),
    # the admin's own
    "admin/login/": (EVERYBODY, EVERYBODY),
    "admin:index": (STAFF, STAFF),
    "admin:app_list": (STAFF, STAFF),
    "admin:login": (EVERYBODY, EVERYBODY),
    "admin:logout": (UNSERVED, EVERYBODY),
    "admin:password_change": (STAFF, STAFF),
    "admin:password_change_done": (STAFF, UNSERVED),
    "admin:autocomplete": (NOBODY, UNSERVED),  # no page of ours completes anything
    "admin:jsi18n": (STAFF, UNSERVED),
    "admin:view_on_site": (STAFF, STAFF),
    "admin/(?P<url>.*)$": (STAFF, STAFF),  # not found, for those who are logged in
    "admin:auth_user_password_change": (ROOT, ROOT),
    "admin:otp_totp_totpdevice_config": (NOBODY, NOBODY),  # secrets are not shown
    "admin:otp_totp_totpdevice_qrcode": (NOBODY, NOBODY),
    # acts
    "admin:outbox_apikey_revoke": (BOTH, BOTH),
    "admin:outbox_endpoint_again": (ADMINS, ADMINS),
    "admin:outbox_endpoint_rotate": (ADMINS, ADMINS),
    "admin:outbox_endpoint_switch": (ADMINS, ADMINS),
    "admin:outbox_endpoint_try": (ADMINS, ADMINS),
    "admin:outbox_notice_again": (ADMINS, ADMINS),
    "admin:reputation_organisationaldomain_declare": (ADMINS, ADMINS),
    "admin:reputation_sendingdomain_check": (ADMINS, ADMINS),
    "admin:reputation_sendingdomain_retire": (ADMINS, ADMINS),
    "admin:reputation_sendingdomain_make_key": (ADMINS, ADMINS),
    "admin:reputation_sendingdomain_move_key": (ADMINS, ADMINS),
    "admin:reputation_suppression_lift": (ADMINS, ADMINS),
    "admin:reputation_suppression_erase": (ADMINS, ADMINS),
    "admin:reputation_suppression_import": (ADMINS, ADMINS),
    "admin:reputation_suppression_export": (ADMINS, ADMINS),  # addresses
}

PROBES: Final = {"livez", "readyz", "metrics"}
OF_MODEL: Final = re.compile(r"admin:(\w+)_(changelist|add|change|delete|history)")
# what stands for the parts of an address: nothing is called so
PARTS: Final = {"int": "999999", "uuid": "00000000-0000-7000-8000-000000000000"}
FOLDED: Final = {
    "admin/^(?P<app_label>auth|otp_totp|otp_static|reputation|outbox)/$": "admin/outbox/",
    "admin/(?P<url>.*)$": "admin/no-such-page",
    "^mcp/?$": "mcp",
    "^v1/errors/?$": "v1/errors",
    "^v1(?:/|$)": "v1/no-such-path",
}


@dataclass(frozen=True, slots=True)
class Door:
    """An address that somebody may knock at."""

    name: str
    address: str


def doors(patterns: Sequence[Any], before: str = "", space: str = "") -> Iterator[Door]:
    """All there are, but for the old addresses that the admin sends on."""
    for each in patterns:
        pattern = f"{before}{each.pattern}"
        if isinstance(each, URLResolver):
            inner = f"{each.namespace}:" if each.namespace else space
            yield from doors(each.url_patterns, pattern, inner)
        elif not pattern.endswith("<path:object_id>/") or each.name:
            yield Door(f"{space}{each.name}" if each.name else pattern, f"/{_filled(pattern)}")


def _filled(pattern: str) -> str:
    if pattern in FOLDED:
        return FOLDED[pattern]
    return re.sub(r"<(?:(\w+):)?\w+>", lambda part: PARTS.get(part[1] or "", "999999"), pattern)


def of_people() -> list[Door]:
    every = doors(get_resolver().url_patterns)
    return [door for door in every if not for_machines(door.address) and door.name not in PROBES]


def wanted(door: Door) -> tuple[Who | None, Who | None]:
    """Who may get it and who may post to it."""
    if door.name in PAGES:
        return PAGES[door.name]
    of_model = OF_MODEL.fullmatch(door.name)
    assert of_model, f"{door.name} ({door.address}) is in no table: who may open it?"
    assert of_model[1] in MODELS, f"{of_model[1]} is in no table: who may see and change it?"
    return MODELS[of_model[1]].of(of_model[2])


@pytest.fixture
def somebody(live_db: Any) -> Any:
    """The client of a kind of person: ``somebody("auditors")``."""

    def client(kind: str) -> Client:
        if kind == "an agent's key":
            key = factories.key(factories.agent())
            return Client(raise_request_exception=False, headers={"Authorization": f"Bearer {key}"})
        made = Client(raise_request_exception=False)
        if kind == "a stranger":
            return made
        user = User.objects.create_user("one", is_staff=True, is_superuser=kind == "root")
        if kind in GROUPS:
            user.groups.add(Group.objects.get(name=kind))
        made.force_login(user)
        return made

    return client


def answer(client: Client, method: str, address: str) -> str:
    """Passed in or not: a word for what became of it."""
    cookies = client.cookies.copy()
    response = client.get(address) if method == "GET" else client.post(address)
    client.cookies = cookies  # whoever logs out comes back
    if response.status_code == 302 and "/admin/login/" in response["Location"]:
        return "asked to log in"
    if response.status_code in {403, 405}:
        return {403: "forbidden", 405: "unserved"}[response.status_code]
    return "may" if response.status_code < 500 else f"broke: {response.status_code}"


def expected(may: Who | None, kind: str) -> set[str]:
    if may is UNSERVED:
        return {"unserved", "asked to log in", "forbidden"}
    if kind in may:
        return {"may"}
    return {"asked to log in"} if kind in {"a stranger", "an agent's key"} else {"forbidden"}


@pytest.mark.parametrize("kind", [*sorted(EVERYBODY)])
def test_every_page_lets_in_whom_its_table_names_and_nobody_else(somebody: Any, kind: str) -> None:
    client = somebody(kind)
    wrong = []
    for door in of_people():
        if door.name == "admin:logout":
            continue
        for method, may in zip(("GET", "POST"), wanted(door), strict=True):
            got = answer(client, method, door.address)
            if got not in expected(may, kind):
                wrong.append(f"{method} {door.address} ({door.name}): {got}")
    assert not wrong, "\n".join(wrong)


def test_the_tables_name_only_pages_that_there_are() -> None:
    named = {door.name for door in of_people()}
    of_models = {found[1] for name in named if (found := OF_MODEL.fullmatch(name))}
    assert set(PAGES) - named == set()
    assert set(MODELS) - of_models == set()


def test_a_session_opens_nothing_for_machines(somebody: Any) -> None:
    root = somebody("root")
    for door in doors(get_resolver().url_patterns):
        if (
            for_machines(door.address)
            and door.address.startswith("/v1/")
            and door.name != "agents:openapi-json"
        ):
            codes = {root.get(door.address).status_code, root.post(door.address).status_code}
            assert codes <= {401, 404, 405, 415}, door


def test_an_agents_key_changes_no_agent(somebody: Any) -> None:
    client = somebody("an agent's key")
    agent = Agent.objects.get()
    client.post(f"/admin/outbox/agent/{agent.pk}/change/", {"name": "ada", "recipients_per_hour": 9_000_000})
    agent.refresh_from_db()
    assert agent.recipients_per_hour == 100_000


def test_the_history_of_what_is_there_asks_for_the_right_to_see_it(somebody: Any) -> None:
    agent = factories.agent()
    assert somebody("no group").get(f"/admin/outbox/agent/{agent.pk}/history/").status_code == 403


def test_every_way_to_change_people_is_the_superusers() -> None:
    """Whoever could give rights would have them all."""
    for model in ("auth_user", "auth_group", "otp_totp_totpdevice", "otp_static_staticdevice"):
        rights = MODELS[model]
        assert rights.add == rights.change == rights.delete == ROOT
