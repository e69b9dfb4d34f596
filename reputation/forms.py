"""What people enter about routes and sending domains, and what is refused of it, with what to do instead.

Guarantees: a relay's password goes in sealed and never comes out. Refuses a sender outside its sending domain, and
declarations whose domain was not typed twice; what else is refused of domains ``domains`` says.
"""

from email.utils import parseaddr
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import available_timezones

from django import forms

from reputation.models import (
    OrganisationalDomain,
    ProviderSuffix,
    Route,
    SendingDomain,
    SigningKey,
    Stream,
    Warmed,
)
from reputation.vault import BadMasterKey, vault

if TYPE_CHECKING:
    RouteModelForm = forms.ModelForm[Route]
    DomainModelForm = forms.ModelForm[SendingDomain]
    SuffixModelForm = forms.ModelForm[ProviderSuffix]
    StreamModelForm = forms.ModelForm[Stream]
    OrganisationModelForm = forms.ModelForm[OrganisationalDomain]
else:
    RouteModelForm = DomainModelForm = SuffixModelForm = StreamModelForm = forms.ModelForm
    OrganisationModelForm = forms.ModelForm

DAYS: Final = dict(enumerate("Mon Tue Wed Thu Fri Sat Sun".split(), start=1))


class StreamForm(StreamModelForm):
    """A stream and the hours in which it sends."""

    sending_days = forms.TypedMultipleChoiceField(
        coerce=int, choices=list(DAYS.items()), widget=forms.CheckboxSelectMultiple, initial=list(DAYS)
    )

    class Meta:
        model = Stream
        fields = "__all__"

    def clean_time_zone(self) -> str:
        zone = str(self.cleaned_data["time_zone"])
        if zone not in available_timezones():
            raise forms.ValidationError(
                "Enter a name of the time zone database, such as Europe/Berlin or UTC."
            )
        return zone


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
        # of the relay: not the one by which whoever fills this in is logged in
        widgets = {"username": forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"})}

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if given.get("means") == Route.Means.RELAY and not given.get("host"):
            self.add_error("host", "A relay needs a host: enter its name, or choose direct.")
        self._seal(given)
        return _with_steps(self, given)

    def _seal(self, given: dict[str, Any]) -> None:
        try:
            if given.get("password"):
                self.instance.password_sealed = vault().seal(given["password"].encode())
            elif given.get("forget_password"):
                self.instance.password_sealed = b""
        except BadMasterKey as error:
            self.add_error("password", f"It cannot be encrypted: {error}. Set AO_MASTER_KEYS and restart.")


class EnrolForm(forms.Form):
    """A domain to be enrolled: ``domains.enrol`` says what is refused of it."""

    stream = forms.ModelChoiceField(
        Stream.objects.filter(domain=None).order_by("name"),
        help_text="The class of traffic that will send from it; each has one domain.",
    )
    name = forms.CharField(
        max_length=230, label="Subdomain", help_text="Such as agents.example.com; IDN labels as xn--..."
    )
    route = forms.ModelChoiceField(Route.objects.order_by("name"), help_text="How its mail leaves.")
    default_sender = forms.CharField(
        max_length=320, help_text="From when the agent names none: robot@agents.example.com."
    )
    preset = forms.ChoiceField(
        choices=[choice for choice in Warmed.Preset.choices if choice[0] != Warmed.Preset.OWN],
        initial=Warmed.Preset.CAREFUL,
        help_text="How it warms up. Own steps can be entered on its page afterwards.",
    )
    ed25519 = forms.BooleanField(required=False, label="Ed25519", help_text="Add a second signature.")


class SendingDomainForm(DomainModelForm):
    """What may change about a sending domain; its name and stream do not."""

    class Meta:
        model = SendingDomain
        fields = "__all__"
        labels = {"require_tls": "Require TLS", "ed25519": "Ed25519"}

    def clean_default_sender(self) -> str:
        sender, name = str(self.cleaned_data["default_sender"]), self.instance.name
        if parseaddr(sender)[1].rpartition("@")[2].lower() != name:
            raise forms.ValidationError(f"Enter an address at {name}, such as robot@{name}.")
        return sender

    def clean(self) -> dict[str, Any]:
        return _with_steps(self, super().clean() or self.cleaned_data)


class WarmingForm(OrganisationModelForm):
    """How an organisational domain warms up; what it is for is declared, not edited."""

    class Meta:
        model = OrganisationalDomain
        fields = ("preset", "own_steps", "target")

    def clean(self) -> dict[str, Any]:
        return _with_steps(self, super().clean() or self.cleaned_data)


class ReasonForm(forms.Form):
    """Why something is done, kept with it."""

    why = forms.CharField(
        max_length=500, required=False, label="Why", help_text="Kept in the story of what happened."
    )


class DeclareForm(forms.Form):
    """What an organisational domain is for, with its name typed, since much follows from it."""

    name = forms.CharField(
        max_length=253, label="Organisational domain", help_text="The registrable domain: example.com."
    )
    use = forms.ChoiceField(
        choices=OrganisationalDomain.Use.choices,
        widget=forms.RadioSelect,
        help_text="Agents send only from below a domain dedicated to them; from below a protected one, never.",
    )
    again = forms.CharField(max_length=253, label="Type the domain again", help_text="As a confirmation.")

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if given.get("again", "").strip().lower() != given.get("name", "").strip().lower():
            self.add_error("again", "This is another name: type the domain that is declared.")
        return given


class RetireForm(forms.Form):
    """A domain's name, typed, since retiring is for good."""

    again = forms.CharField(max_length=253, label="Type the domain")

    def __init__(self, *given: Any, name: str, **more: Any) -> None:
        super().__init__(*given, **more)
        self.name = name

    def clean_again(self) -> str:
        if (again := str(self.cleaned_data["again"]).strip().lower()) != self.name:
            raise forms.ValidationError(f"This is another name than {self.name}.")
        return again


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


def _with_steps(form: forms.BaseForm, given: dict[str, Any]) -> dict[str, Any]:
    if given.get("preset") == Warmed.Preset.OWN and not given.get("own_steps"):
        form.add_error("own_steps", "Enter the steps: recipients a day, rising, separated by commas.")
    return given
