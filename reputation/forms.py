"""What people enter about routes and sending domains, and what is refused of it, with what to do instead.

Guarantees: a relay's password goes in sealed and never comes out; an organisational domain is looked up in the
public suffix list, not believed. Refuses to enrol one for agents, and a sender outside its sending domain.
"""

from email.utils import parseaddr
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.core.validators import DomainNameValidator
from publicsuffixlist import PublicSuffixList

from reputation.models import (
    Kind,
    OrganisationalDomain,
    ProviderSuffix,
    Route,
    SendingDomain,
    SigningKey,
    Stream,
)
from reputation.vault import BadMasterKey, vault

if TYPE_CHECKING:
    RouteModelForm = forms.ModelForm[Route]
    DomainModelForm = forms.ModelForm[SendingDomain]
    SuffixModelForm = forms.ModelForm[ProviderSuffix]
else:
    RouteModelForm = DomainModelForm = SuffixModelForm = forms.ModelForm

_check_name = DomainNameValidator(
    message="Enter a domain name; write its IDN labels as xn--...", accept_idna=False
)


class RouteForm(RouteModelForm):
    """A route; its password is only ever entered."""

    password = forms.CharField(
        required=False,
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Stored encrypted and never shown. Leave it empty to keep the one there is.",
    )
    forget_password = forms.BooleanField(required=False, help_text="Remove the password there is.")

    class Meta:
        model = Route
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if given.get("means") == Route.Means.RELAY and not given.get("host"):
            self.add_error("host", "A relay needs a host: enter its name, or choose direct.")
        self._seal(given)
        return given

    def _seal(self, given: dict[str, Any]) -> None:
        try:
            if given.get("password"):
                self.instance.password_sealed = vault().seal(given["password"].encode())
            elif given.get("forget_password"):
                self.instance.password_sealed = b""
        except BadMasterKey as error:
            self.add_error("password", f"It cannot be encrypted: {error}. Set AO_MASTER_KEYS and restart.")


class SendingDomainForm(DomainModelForm):
    """A sending domain of one stream. When it exists already, its name and stream are not among the fields."""

    class Meta:
        model = SendingDomain
        fields = "__all__"

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"]).strip().lower()
        _check_name(name)
        if _organisation_of(name) is None:
            raise forms.ValidationError("This is a public suffix. Enter a domain that you have registered.")
        return name

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        name = given.get("name") or self.instance.name
        if name:
            above = _organisation_of(name) or name
            self.instance.organisation, _ = OrganisationalDomain.objects.get_or_create(name=above)
            self._check_sender(given.get("default_sender"), name)
            self._check_stream(given.get("stream"), name)
        return given

    def _check_sender(self, sender: str | None, name: str) -> None:
        if sender and parseaddr(sender)[1].rpartition("@")[2].lower() != name:
            self.add_error("default_sender", f"Enter an address at {name}, such as robot@{name}.")

    def _check_stream(self, stream: Stream | None, name: str) -> None:
        if stream and stream.kind == Kind.AGENTS and name == self.instance.organisation.name:
            text = f"Agents never send from an organisational domain. Take one below it: agents.{name}."
            self.add_error("name", text)
        elif stream and stream.kind == Kind.AGENTS and self.instance.organisation.use != "agents":
            text = (
                f"Declare {self.instance.organisation} dedicated to agents first, or take a domain that is."
            )
            self.add_error("name", text)


class MakeKeyForm(forms.Form):
    """Which kind of key to make."""

    algorithm = forms.ChoiceField(
        choices=[(value, value) for value in SigningKey.Algorithm.values],
        help_text="RSA is needed; Ed25519 is a second signature, where the domain asks for it.",
    )


class ProviderSuffixForm(SuffixModelForm):
    """One ending of MX names and the family it tells."""

    class Meta:
        model = ProviderSuffix
        fields = "__all__"

    def clean_suffix(self) -> str:
        return str(self.cleaned_data["suffix"]).strip().strip(".").lower()


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def _organisation_of(name: str) -> str | None:
    return cast("str | None", _suffixes().privatesuffix(name))
