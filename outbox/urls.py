"""URLs of the outbox: the agents' API and the pages that explain it, and the probes."""

from django.urls import URLPattern, path, re_path

from outbox import (
    api,
    api_mcp,
    desk,
    desk_account,
    desk_approvals,
    desk_recipients,
    desk_reopen,
    desk_switch,
    health,
    metrics,
    optout_page,
)
from outbox.door import door

_agents, _app, _namespace = api.api.urls
_behind_the_door = [
    URLPattern(each.pattern, door(each.callback), each.default_args, each.name)
    for each in _agents
    if isinstance(each, URLPattern)
]

urlpatterns = [
    # first, since they are asked for most, and each pattern before them is tried at every request
    re_path(r"^v1/errors/?$", desk.problems, name="errors"),
    path("v1/errors/<path:code>", desk.problem, name="error"),
    path("v1/", (_behind_the_door, _app, _namespace)),
    re_path(r"^v1(?:/|$)", door(api.no_such_path)),
    re_path(r"^mcp/?$", api_mcp.endpoint, name="mcp"),
    path("livez", health.livez),
    path("readyz", health.readyz),
    path("metrics", metrics.metrics),
    path("", desk.home, name="home"),
    path("killswitch/", desk_switch.page, name="killswitch"),
    path("killswitch/ask/", desk_switch.ask, name="killswitch-ask"),
    path("killswitch/now/", desk_switch.now, name="killswitch-now"),
    path("killswitch/stop/", desk_switch.stop, name="killswitch-stop"),
    path("killswitch/sample/<uuid:message>/", desk_switch.sample, name="killswitch-sample"),
    path("killswitch/timeline/", desk_switch.timeline, name="killswitch-timeline"),
    path("killswitch/<int:epoch>/", desk_switch.happening, name="stop-happening"),
    path("killswitch/<int:epoch>/recipients.csv", desk_recipients.everyone, name="stop-recipients"),
    path("killswitch/<int:epoch>/now/", desk_switch.proof, name="stop-now"),
    path("killswitch/<int:epoch>/note/", desk_switch.note, name="stop-note"),
    path("killswitch/<int:epoch>/resume/", desk_reopen.resume, name="stop-resume"),
    path("killswitch/<int:epoch>/glass/", desk_reopen.glass, name="stop-glass"),
    path("killswitch/<int:epoch>/confirm/", desk_reopen.confirm, name="stop-confirm"),
    path("killswitch/<int:epoch>/purge/", desk_reopen.purge, name="stop-purge"),
    path("killswitch/purge/<int:key>/undo/", desk_reopen.undo, name="purge-undo"),
    path("killswitch/purge/<int:key>/affected.csv", desk_reopen.affected, name="purge-affected"),
    path("approvals/", desk_approvals.page, name="approvals"),
    path("approvals/now/", desk_approvals.now, name="approvals-now"),
    path("approvals/health/", desk_approvals.health, name="approvals-health"),
    path("approvals/<str:name>/", desk_approvals.one, name="approval"),
    path("approvals/<str:name>/now/", desk_approvals.one_now, name="approval-now"),
    path("approvals/<str:name>/decide/", desk_approvals.decide, name="approval-decide"),
    path("approvals/<str:name>/messages/<uuid:message>/", desk_approvals.sample, name="approval-sample"),
    path("account/second-factor/", desk_account.page, name="second-factor"),
    path("account/second-factor/begin/", desk_account.begin, name="second-factor-begin"),
    path("account/second-factor/confirm/", desk_account.confirm, name="second-factor-confirm"),
    path("account/second-factor/codes/", desk_account.codes, name="second-factor-codes"),
    path("account/second-factor/remove/", desk_account.remove, name="second-factor-remove"),
    path("killswitch/<int:epoch>/revoke/<int:key>/", desk_switch.revoke, name="stop-revoke"),
    path("u/<str:token>", optout_page.page, name="unsubscribe"),
]
