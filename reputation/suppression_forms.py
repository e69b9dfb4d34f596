"""What people enter about suppressions: always a reason."""

import io
from collections.abc import Iterator
from typing import Any, Final

from django import forms
from django.core.validators import validate_email
from django.utils import timezone

from reputation.models import Stream

MAX_OCTETS: Final = 20 * 1024 * 1024


def scopes() -> list[tuple[str, str]]:
    """Every scope that somebody can be suppressed for."""
    streams = Stream.objects.order_by("name").values_list("name", flat=True)
    first = [("agents", "all agent and marketing streams"), ("all", "all streams, password resets too")]
    return [*first, *((f"stream:{name}", f"stream {name}") for name in streams)]


class WhyForm(forms.Form):
    """A reason."""

    why = forms.CharField(label="Why", max_length=500, widget=forms.Textarea(attrs={"rows": 3}))


class LiftForm(WhyForm):
    """Why somebody may be mailed again."""


class EraseForm(WhyForm):
    """Why an address is erased: who asked, and where that is kept."""


class ScopedForm(WhyForm):
    """For which streams, until when, and why."""

    scope = forms.ChoiceField(choices=scopes)
    expires_at = forms.DateTimeField(
        required=False,
        label="Until",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="In UTC. Empty: until a person lifts it.",
    )

    def clean_expires_at(self) -> Any:
        """Refuse what is over already."""
        until = self.cleaned_data["expires_at"]
        if until and until <= timezone.now():
            raise forms.ValidationError("Choose an instant in the future, or leave it empty.")
        return until


class SuppressForm(ScopedForm):
    """One address."""

    address = forms.CharField(max_length=320, strip=True)
    field_order = ("address", "scope", "expires_at", "why")

    def clean_address(self) -> str:
        """Refuse what is no address, so that a slip does not pass for a protection."""
        address = str(self.cleaned_data["address"])
        validate_email(address)
        return address


class ImportForm(ScopedForm):
    """A list."""

    file = forms.FileField(
        label="CSV",
        help_text="In UTF-8. The first line names the columns: address (or email) and, if wanted, scope, reason, "
        "expires_at; where they say nothing, what is entered here holds.",
    )
    field_order = ("file", "scope", "expires_at", "why")

    def clean_file(self) -> Any:
        """Refuse what is too large to be read while somebody waits."""
        file = self.cleaned_data["file"]
        if file.size > MAX_OCTETS:
            raise forms.ValidationError("The file is larger than 20 MiB; split it.")
        return file

    def lines(self) -> Iterator[str]:
        """The file as text; raises UnicodeDecodeError where it is none."""
        yield from io.TextIOWrapper(self.cleaned_data["file"], encoding="utf-8-sig", newline="")
