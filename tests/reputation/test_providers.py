"""A mail host tells the family of mailboxes behind it."""

import pytest

from reputation.providers import DEFAULT_SUFFIXES, DOMAIN_FAMILIES, domain_family, family


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("gmail-smtp-in.l.google.com", "gmail"),
        ("alt4.gmail-smtp-in.l.google.com", "gmail"),
        ("aspmx.l.google.com", "google-workspace"),
        ("alt1.aspmx.l.google.com", "google-workspace"),
        ("aspmx2.googlemail.com", "google-workspace"),
        ("smtp.google.com", "google-workspace"),  # the single host of newer Workspace domains
        ("outlook-com.olc.protection.outlook.com", "microsoft-consumer"),
        ("example-com.mail.protection.outlook.com", "microsoft-365"),
        ("example-com.r-v1.mx.microsoft", "microsoft-365"),
        ("mta5.am0.yahoodns.net", "yahoo"),
        ("mx01.mail.icloud.com", "icloud"),
        ("mxa-001.gslb.pphosted.com", "proofpoint"),
        ("eu-smtp-inbound-1.mimecast.com", "mimecast"),
        ("d1.ess.barracudanetworks.com", "barracuda"),
        ("mx1.hc1.iphmx.com", "cisco"),
        ("ASPMX.L.Google.COM.", "google-workspace"),  # as DNS may write it
        ("gmail-smtp-in.l.google.com.test", "gmail"),  # the simulator's
        ("m365-test.mail.protection.outlook.com.test", "microsoft-365"),
        ("notgoogle.com", "other"),  # whole labels only
        ("google.com.evil.example", "other"),  # a suffix, not a prefix
        ("mx.example.com", "other"),
        ("", "other"),
    ],
)
def test_the_longest_suffix_of_whole_labels_names_the_family(host, expected):
    assert family(host) == expected


def test_an_installation_may_bring_its_own_table():
    table = [("example.com", "broad"), ("mx.example.com", "narrow")]
    assert family("a.mx.example.com", table) == "narrow"
    assert family("b.example.com", table) == "broad"
    assert family("aspmx.l.google.com", table) == "other"


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("gmail.com", "gmail"),
        ("Outlook.COM", "microsoft-consumer"),
        ("yahoo.co.uk", "yahoo"),
        ("me.com", "icloud"),
        ("gmail.test", "gmail"),
        ("workspace.test", "google-workspace"),
        ("outlook.test", "microsoft-consumer"),
        ("m365.test", "microsoft-365"),
        ("yahoo.test", "yahoo"),
        ("icloud.test", "icloud"),
        ("corp.test", None),  # only DNS knows
        ("sub.gmail.com", None),  # no mailbox is there by that name
    ],
)
def test_a_lane_can_be_chosen_without_dns_for_the_great_domains(domain, expected):
    assert domain_family(domain) == expected


def test_no_suffix_and_no_domain_is_listed_twice():
    assert len({suffix for suffix, _ in DEFAULT_SUFFIXES}) == len(DEFAULT_SUFFIXES)
    families = {name for _, name in DEFAULT_SUFFIXES}
    assert set(DOMAIN_FAMILIES.values()) <= families
