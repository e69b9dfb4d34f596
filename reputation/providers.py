"""Which family of mailbox providers stands behind a mail host or a recipient domain.

A family is a set of mailboxes with one filter, one set of codes and one feed: ramps, limits and stops are
kept per family, and the family of a delivery is part of its lane. Pure tables; the host decides where it is
known, and the domains serve when a lane must be chosen before anybody asked DNS. A wrong guess costs
accuracy, never safety: what is unknown is `other`.
"""

from collections.abc import Iterable
from typing import Final

OTHER: Final = "other"

# (suffix of the mail host's name, family); the longest suffix wins.
DEFAULT_SUFFIXES: Final[tuple[tuple[str, str], ...]] = (
    ("gmail-smtp-in.l.google.com", "gmail"),
    ("google.com", "google-workspace"),  # aspmx.l.google.com and its alternates, smtp.google.com
    ("googlemail.com", "google-workspace"),  # aspmx2.googlemail.com and its like
    ("olc.protection.outlook.com", "microsoft-consumer"),
    ("hotmail.com", "microsoft-consumer"),
    ("mail.protection.outlook.com", "microsoft-365"),
    ("mx.microsoft", "microsoft-365"),  # hosts with DNSSEC, *.<letter>-v1.mx.microsoft
    ("eo.outlook.com", "microsoft-365"),
    ("yahoodns.net", "yahoo"),
    ("mail.icloud.com", "icloud"),
    ("pphosted.com", "proofpoint"),
    ("ppe-hosted.com", "proofpoint"),
    ("gpphosted.com", "proofpoint"),
    ("mimecast.com", "mimecast"),
    ("mimecast.co.za", "mimecast"),
    ("barracudanetworks.com", "barracuda"),
    ("iphmx.com", "cisco"),
    ("messagelabs.com", "broadcom"),
    ("trendmicro.com", "trendmicro"),
    ("trendmicro.eu", "trendmicro"),
    ("sophos.com", "sophos"),
    ("fireeyecloud.com", "trellix"),
    ("mailcontrol.com", "forcepoint"),
    ("hornetsecurity.com", "hornetsecurity"),
    ("antispameurope.com", "hornetsecurity"),
    ("spamexperts.com", "spamexperts"),
    ("antispamcloud.com", "spamexperts"),
    ("mx.cloudflare.net", "cloudflare"),
    ("inbound-smtp.us-east-1.amazonaws.com", "amazon"),  # one by one: other hosts there are anybody's
    ("inbound-smtp.us-west-2.amazonaws.com", "amazon"),
    ("inbound-smtp.eu-west-1.amazonaws.com", "amazon"),
    ("zoho.com", "zoho"),
    ("zoho.eu", "zoho"),
    ("zoho.in", "zoho"),
    ("messagingengine.com", "fastmail"),
    ("protonmail.ch", "proton"),
    ("gmx.net", "gmx"),
    ("web.de", "gmx"),
    ("mail.com", "gmx"),
    ("kundenserver.de", "ionos"),
    ("ionos.com", "ionos"),
    ("ionos.de", "ionos"),
    ("1and1.com", "ionos"),
    ("t-online.de", "t-online"),
    ("orange.fr", "orange"),
    ("laposte.net", "laposte"),
    ("free.fr", "free"),
    ("ovh.net", "ovh"),
    ("gandi.net", "gandi"),
    ("secureserver.net", "godaddy"),
    ("registrar-servers.com", "namecheap"),
    ("privateemail.com", "namecheap"),
    ("emailsrvr.com", "rackspace"),
    ("mail.ru", "mail.ru"),
    ("yandex.net", "yandex"),
    ("yandex.ru", "yandex"),
    ("qq.com", "qq"),
    ("netease.com", "netease"),
    ("163.com", "netease"),
    ("naver.com", "naver"),
    ("comcast.net", "comcast"),
    ("charter.net", "charter"),
    ("cox.net", "cox"),
    ("libero.it", "libero"),
    ("seznam.cz", "seznam"),
    ("wp.pl", "wp"),
)

_CONSUMER: Final[tuple[tuple[str, str], ...]] = (
    ("gmail", "gmail.com googlemail.com gmail.test"),
    ("google-workspace", "workspace.test"),
    (
        "microsoft-consumer",
        "outlook.com hotmail.com live.com msn.com passport.com windowslive.com outlook.de outlook.fr"
        " outlook.es outlook.it outlook.jp outlook.co.th outlook.com.br hotmail.co.uk hotmail.fr hotmail.de"
        " hotmail.it hotmail.es live.co.uk live.fr live.de live.nl live.it live.com.au live.ca outlook.test",
    ),
    ("microsoft-365", "m365.test"),
    (
        "yahoo",
        "yahoo.com ymail.com rocketmail.com aol.com aim.com verizon.net att.net sbcglobal.net bellsouth.net"
        " yahoo.co.uk yahoo.fr yahoo.de yahoo.it yahoo.es yahoo.ca yahoo.in yahoo.co.in yahoo.com.br"
        " yahoo.com.mx yahoo.com.au yahoo.co.id yahoo.com.ph netscape.net aol.co.uk aol.de aol.fr yahoo.test",
    ),
    ("icloud", "icloud.com me.com mac.com icloud.test"),
    ("fastmail", "fastmail.com fastmail.fm messagingengine.com"),
    ("proton", "proton.me protonmail.com pm.me protonmail.ch"),
    ("zoho", "zoho.com zohomail.com zoho.eu zoho.in"),
    ("gmx", "gmx.net gmx.de gmx.com gmx.at gmx.ch web.de mail.com"),
    ("t-online", "t-online.de magenta.de"),
    ("orange", "orange.fr wanadoo.fr"),
    ("laposte", "laposte.net"),
    ("free", "free.fr"),
    ("comcast", "comcast.net xfinity.com"),
    ("mail.ru", "mail.ru bk.ru inbox.ru list.ru"),
    ("yandex", "yandex.ru yandex.com ya.ru"),
    ("qq", "qq.com foxmail.com"),
    ("netease", "163.com 126.com yeah.net"),
    ("naver", "naver.com"),
    ("libero", "libero.it"),
    ("seznam", "seznam.cz"),
    ("wp", "wp.pl o2.pl"),
)

# Recipient domains whose family is known without DNS (and the simulator's, RFC 6761).
DOMAIN_FAMILIES: Final = {domain: name for name, domains in _CONSUMER for domain in domains.split()}


def family(mx_host: str, table: Iterable[tuple[str, str]] = DEFAULT_SUFFIXES) -> str:
    """The family of a mail host by the longest suffix of whole labels, `other` if none fits.

    A trailing `.test` is not looked at: the simulator's hosts are called after the real ones.
    """
    host = _bare(mx_host).removesuffix(".test")
    families = dict(table)
    labels = host.split(".")
    tails = (".".join(labels[start:]) for start in range(len(labels)))
    return next((families[tail] for tail in tails if tail in families), OTHER)


def domain_family(domain: str) -> str | None:
    """The family of a recipient domain where it is known without DNS, None where DNS must be asked."""
    return DOMAIN_FAMILIES.get(_bare(domain))


def _bare(name: str) -> str:
    return name.lower().removesuffix(".")
