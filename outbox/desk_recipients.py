"""Who received it, as a file: for those who may export, noted in the audit before the first line leaves."""

from datetime import timedelta

from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from outbox import audit, recipients
from outbox.desk_switch import EXPORT, for_people, found_at
from outbox.recipients import Window
from reputation.viewing import download

exports = for_people(EXPORT)


@require_safe
@exports
def everyone(request: HttpRequest, epoch: int) -> HttpResponseBase:
    """Everyone whom mail of a stopped scope reached in the hours before its stop (``hours``), and since."""
    found, hours = found_at(epoch), request.GET.get("hours", "24")
    if hours not in {str(each) for each in recipients.HOURS}:
        raise Http404("There is no such list.")
    first = found.first
    window = Window(first.scope, first.at - timedelta(hours=int(hours)), found.ended_at)
    audit.write(
        request.user.get_username(), "export", f"recipients:{first.scope}", epoch=first.pk, hours=int(hours)
    )
    return download(f"received-before-stop-{first.pk}.csv", recipients.written(window))
