"""Which addresses are one mailbox, and which mailboxes one person."""

import pytest

from reputation.normal_forms import forms, mailbox_form, person_form

ADA = "ada@example.org"


@pytest.mark.parametrize(
    ("address", "mailbox", "person"),
    [
        ("Ada@Example.ORG", ADA, ADA),  # case
        ("ada@example.org.", ADA, ADA),  # the root's dot
        ("ada+news@example.org", "ada+news@example.org", ADA),  # a server without tags knows another mailbox
        ("a.d.a@example.org", "a.d.a@example.org", "a.d.a@example.org"),  # dots count
        ("a.d.a+x@gmail.com", "ada@gmail.com", "ada@gmail.com"),  # but not there, nor do tags
        ("A.da@GoogleMail.com", "ada@gmail.com", "ada@gmail.com"),  # one service, two names
        ("a.d.a+x@acme.gmail.com.example", "a.d.a+x@acme.gmail.com.example", "a.d.a@acme.gmail.com.example"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),  # U-label
        ("ada@FAß.example", "ada@xn--fa-hia.example", "ada@xn--fa-hia.example"),  # IDNA 2008, not 2003
        ("ａｄａ@example.org", ADA, ADA),  # full width
        ("+news@example.org", "+news@example.org", "+news@example.org"),  # nobody is left of it
        ("..@gmail.com", "..@gmail.com", "..@gmail.com"),
        ("no address", "no address", "no address"),  # what is not an address is at least itself
    ],
)
def test_an_address_has_the_form_of_its_mailbox_and_of_its_person(
    address: str, mailbox: str, person: str
) -> None:
    assert (mailbox_form(address).removeprefix("@"), person_form(address).removeprefix("@")) == (
        mailbox,
        person,
    )


def test_forms_name_each_once() -> None:
    assert forms(ADA) == (ADA,)
    assert forms("ada+1@example.org") == ("ada+1@example.org", ADA)


@pytest.mark.parametrize("address", ["Ada+x@Bücher.example", "a.b+c@googlemail.com", "ｘ+y@example.org"])
def test_a_form_of_a_form_is_itself(address: str) -> None:
    for form in forms(address):
        assert mailbox_form(form) == form
    assert person_form(person_form(address)) == person_form(address)
