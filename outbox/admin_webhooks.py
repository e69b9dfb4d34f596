"""Endpoints of webhooks and what they were told, for the people who run them.

Guarantees: a secret is shown once, in the answer to the POST that made it, and never read here; what an endpoint was
told stands with its attempts and last words; why one is disabled stands on its page and in the list. Sending again is
for those who may change endpoints, and keeps the webhook-id.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from outbox import endpoints, ids, webhooks
from outbox.models import Endpoint, Notice
from outbox.searching import ClosedListFilter
from outbox.telling import filtered, link
from outbox.webhook_events import EVENTS, TEST
from reputation.viewing import FixedOnce, ReadOnly, block, chip, clock, confirm

if TYPE_CHECKING:
    EndpointModelForm = forms.ModelForm[Endpoint]
else:
    EndpointModelForm = forms.ModelForm

SHOWN: Final = "The secret of endpoint {}, with which its receiver checks what comes:"


class EndpointForm(EndpointModelForm):
    """Where to, and what of."""

    url = forms.CharField(max_length=500, label="URL", widget=forms.URLInput(attrs={"class": "vTextField"}))
    events = forms.MultipleChoiceField(
        choices=[(name, f"{name}: {words}") for name, words in EVENTS.items()],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen: all.",
    )

    class Meta:
        model = Endpoint
        fields = ("name", "url", "stream", "events")

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            endpoints.check_url(url)
        except endpoints.BadUrl as refused:
            raise forms.ValidationError(str(refused)) from None
        return url


class AgainForm(forms.Form):
    """Which notices are sent again."""

    since = forms.DateTimeField(
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="In UTC. Notices are kept for 30 days.",
    )
    taken = forms.BooleanField(required=False, label="Also what it has taken")


@admin.register(Endpoint)
class EndpointAdmin(FixedOnce):
    form = EndpointForm
    fixed = ("name",)
    change_form_template = "admin/outbox/endpoint/change_form.html"
    list_display = ("name", "url", "stream", "state", "told", clock("failing_since"))
    list_filter = ("enabled", "stream")
    list_select_related = ("stream",)
    search_fields = ("name", "url")
    search_help_text = "Name of an endpoint, or part of its URL."
    ordering = ("name",)
    readonly_fields = ("state", clock("failing_since"), "disabled_why", "told", clock("old_until"))
    fields = ("name", "url", "stream", "events", *readonly_fields)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        return super().get_queryset(request).defer("secret_sealed", "old_secret_sealed")

    def get_fields(self, _request: HttpRequest, obj: Any = None) -> Any:
        return self.fields if obj else EndpointForm.Meta.fields

    @admin.display(description="state", ordering="enabled")
    def state(self, endpoint: Endpoint) -> SafeString:
        if not endpoint.enabled:
            return chip("disabled")
        return chip("failing" if endpoint.failing_since else "enabled")

    @admin.display(description="told")
    def told(self, endpoint: Endpoint) -> SafeString:
        return filtered("notice", "what it was told", endpoint__id__exact=endpoint.pk)

    def get_urls(self) -> list[URLPattern]:
        acts = {"rotate": self.rotate, "switch": self.switch, "try": self.try_out, "again": self.again}
        own = [
            path(f"<int:key>/{word}/", self.admin_site.admin_view(act), name=f"outbox_endpoint_{word}")
            for word, act in acts.items()
        ]
        return [*own, *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: Endpoint, form: Any, change: bool) -> None:
        if change:
            obj.save(update_fields=[name for name in form.changed_data if name in EndpointForm.Meta.fields])
            return
        given = form.cleaned_data
        made, secret = endpoints.add(given["name"], given["url"], given["stream"], given["events"])
        obj.pk, obj._state.adding = made.pk, False
        request.shown_once = secret  # type: ignore[attr-defined] # for response_add, of this very request

    def response_add(self, request: HttpRequest, obj: Endpoint, _next: Any = None) -> HttpResponse:
        """The answer that shows the secret."""
        return self._shown(request, obj, request.shown_once)  # type: ignore[attr-defined]

    def rotate(self, request: HttpRequest, key: int) -> HttpResponse:
        """Ask, then make a new secret and show it."""
        row = self._changeable(request, key)
        if request.method == "POST":
            secret = endpoints.rotate(row.pk)
            self.log_change(request, row, "Rotated its secret.")
            return self._shown(request, row, secret)
        question = (
            f"The secret it has now signs too for {endpoints.OVERLAP}, then it is forgotten. "
            "The new one is shown once, on the next page."
        )
        return self._ask(request, row, f"A new secret for {row}", question, "Make it")

    def switch(self, request: HttpRequest, key: int) -> HttpResponse:
        """Ask, then disable what is enabled, or the other way round."""
        row = self._changeable(request, key)
        word, act, question = (
            ("Disable", endpoints.disable, "Nothing is sent to it and nothing more written down for it.")
            if row.enabled
            else ("Enable", endpoints.enable, "What has waited for it is sent first, in order.")
        )
        if request.method != "POST":
            return self._ask(request, row, f"{word} {row}", question, word)
        return self._done(request, row, f"{word}d.", lambda: act(row.pk))

    def try_out(self, request: HttpRequest, key: int) -> HttpResponse:
        """Ask, then send an event that tells of nothing."""
        row = self._changeable(request, key)
        if request.method != "POST":
            question = "It gets a webhook.test event, whatever events it wants."
            return self._ask(request, row, f"Try {row}", question, "Send it")
        event = endpoints.try_out(row.pk)
        said = f"Sent as {event}." if event else "Not sent: it is disabled."
        return self._done(request, row, said, lambda: None)

    def again(self, request: HttpRequest, key: int) -> HttpResponse:
        """Ask since when, then send again what it gave up or has taken."""
        row = self._changeable(request, key)
        form = AgainForm(request.POST or None)
        if not form.is_valid():
            question = "Each is sent under the webhook-id it had."
            return self._ask(request, row, f"Send to {row} again", question, "Send again", form=form)
        given = form.cleaned_data
        n = webhooks.again_since(row.pk, given["since"], taken=given["taken"])
        return self._done(request, row, f"{n:,} are sent again.", lambda: None)

    def _changeable(self, request: HttpRequest, key: int) -> Endpoint:
        if not request.user.has_perm("outbox.change_endpoint"):
            raise PermissionDenied
        return get_object_or_404(self.get_queryset(request), pk=key)

    def _ask(
        self, request: HttpRequest, row: Endpoint, title: str, question: str, button: str, **more: Any
    ) -> HttpResponse:
        return confirm(
            self, request, title=title, question=question, button=button, back=_page_of(row.pk), **more
        )

    def _done(
        self, request: HttpRequest, row: Endpoint, said: str, act: Callable[[], object]
    ) -> HttpResponse:
        act()
        self.log_change(request, row, said)
        self.message_user(request, f"{row}: {said}")
        return HttpResponseRedirect(_page_of(row.pk))

    def _shown(self, request: HttpRequest, row: Endpoint, secret: str) -> HttpResponse:
        once = {"sentence": SHOWN.format(row), "secret": secret}
        return confirm(self, request, title="The new secret", shown_once=once, back=_page_of(row.pk))


class KindFilter(ClosedListFilter):
    """The table is not searched for the events it holds."""

    title, parameter_name, values = "event", "kind", (*EVENTS, TEST)


@admin.register(Notice)
class NoticeAdmin(ReadOnly):
    change_form_template = "admin/outbox/notice/change_form.html"
    list_display = ("event_id", "kind", "to", "how", "attempts", "status", clock("at"))
    list_filter = ("endpoint", "state", KindFilter)
    list_select_related = ("endpoint",)
    search_fields = ("event_id",)
    search_help_text = "A webhook-id, or the id of the message, delivery or scope that it tells of."
    fields = (
        *("event_id", "kind", "to", "subject", "at", "how", "attempts", "status"),
        *("words", "next_attempt_at", "ended_at", "content"),
    )

    def get_search_results(
        self, _request: HttpRequest, queryset: QuerySet[Notice], search_term: str
    ) -> tuple[QuerySet[Notice], bool]:
        word = search_term.strip()
        if not word:
            return queryset, False
        if word.startswith(("evt_", "stop_", "ramp_", "test_")):
            return queryset.filter(event_id=word), False
        # what is told of a delivery is told with its message, and once was by itself
        delivery = ids.parsed("dlv", word)
        message = ids.printed("msg", ids.message_of(delivery)) if delivery else word
        return queryset.filter(subject__in=[word, message]), False

    @admin.display(description="endpoint")
    def to(self, notice: Notice) -> SafeString:
        return link("endpoint", notice.endpoint_id, str(notice.endpoint))

    @admin.display(description="state")
    def how(self, notice: Notice) -> SafeString:
        return chip(notice.state)

    @admin.display(description="last words")
    def words(self, notice: Notice) -> SafeString:
        return block(notice.said)

    @admin.display(description="data")
    def content(self, notice: Notice) -> SafeString:
        return block("\n".join(f"{name}: {value}" for name, value in sorted(notice.data.items())))

    def get_urls(self) -> list[URLPattern]:
        again = self.admin_site.admin_view(self.again)
        return [path("<uuid:key>/again/", again, name="outbox_notice_again"), *super().get_urls()]

    def again(self, request: HttpRequest, key: Any) -> HttpResponse:
        """Ask, then send one notice once more."""
        if not request.user.has_perm("outbox.change_endpoint"):
            raise PermissionDenied
        row = get_object_or_404(Notice.objects.select_related("endpoint"), pk=key)
        back = reverse("admin:outbox_notice_change", args=[row.pk])
        if request.method != "POST":
            question = f"It goes to {row.endpoint} under the webhook-id it had, {row.event_id}."
            return confirm(
                self, request, title="Send it again", question=question, button="Send again", back=back
            )
        said = "It is sent again." if webhooks.again([row.pk]) else "It waits to be sent already."
        self.message_user(request, said)
        return HttpResponseRedirect(back)


def _page_of(key: int) -> str:
    return reverse("admin:outbox_endpoint_change", args=[key])
