"""What people enter to issue an API key, and what is refused of it, with what to do instead."""

from typing import Any, Final

from django import forms
from django.utils import timezone

from outbox import keys
from outbox.models import Agent, ApiKey

SCOPES: Final = {
    "send": "send: post messages and cancel them",
    "read": "read: see what became of its own messages",
    "stop": "stop: trip its own agent or runs, never resume",
}
assert set(SCOPES) == keys.SCOPES


class IssueKeyForm(forms.Form):
    """A key to be issued. Agent keys have an agent and scopes; the others have neither."""

    kind = forms.ChoiceField(
        choices=ApiKey.Kind.choices,
        initial=ApiKey.Kind.AGENT,
        help_text="agent: sends and reads. returns: hands in bounces. operator: trips, never resumes.",
    )
    agent = forms.ModelChoiceField(
        Agent.objects.order_by("name"), required=False, help_text="For an agent key only."
    )
    scopes = forms.MultipleChoiceField(
        choices=list(SCOPES.items()),
        required=False,
        initial=["send", "read"],
        widget=forms.CheckboxSelectMultiple,
        help_text="For an agent key only. No key approves, resumes or raises a limit.",
    )
    name = forms.CharField(max_length=100, required=False, help_text="What it is for, and where it is kept.")
    expires_at = forms.DateTimeField(
        required=False,
        label="Expires at",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="In UTC. Empty: it does not expire; it can be revoked at any time.",
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        expires_at = given.get("expires_at")
        if expires_at and expires_at <= timezone.now():
            self.add_error("expires_at", "Choose an instant in the future, or leave it empty.")
        if given.get("kind") == ApiKey.Kind.AGENT:
            self._want_agent_and_scopes(given)
        elif given.get("agent"):
            self.add_error("agent", f"Leave it empty: a key of kind {given['kind']} belongs to nobody.")
        return given

    def _want_agent_and_scopes(self, given: dict[str, Any]) -> None:
        if not given.get("agent"):
            self.add_error("agent", "Choose the agent that will send with it.")
        if not given.get("scopes"):
            self.add_error("scopes", "Choose at least one: without a scope the key opens nothing.")
