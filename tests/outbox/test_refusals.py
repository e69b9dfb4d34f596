"""Refusals are read by kinds of phrases: in the words of many servers, in many tongues, not where it only sounds so."""

import pytest

from outbox.reasons import Reason
from outbox.refusal_causes import Text
from outbox.refusal_rows import STAGES
from outbox.refusals import classify, told

KINDS = {
    Reason.UNKNOWN_RECIPIENT: (
        "sorry, we do not have any user with this address (kim@example.com)",
        "User kim@example.com is not registered here",
        "User (kim@example.com) unknown.",
        "Mailbox ( kim@example.com ) not found",
        "kim@example.com recipient rejected",
        "Recipient address rejected: Not in recipient list",
        "All recipient addresses rejected : Access denied [eop.example.com]",
        "delivery error: dd kim@example.com is no longer valid",
        "#2175041 unavailable mail user",
        "sorry, kim isn't in my list of allowed recipients",
        "not known at this site",
        "Destination server rejected recipients",
        "550_Invalid_recipient",
        "Invalid rcptto",
        "Benutzer nicht bekannt",
        "Este usuario no existe en el servidor",
        "Indirizzo inesistente",
        "L'adresse que vous avez saisie est introuvable",
        "Gebruiker onbekend",
        "Użytkownik nie istnieje",
        "Такого пользователя не существует",
        "宛先のアドレスが見つかりません",
        "该用户不存在",
    ),
    Reason.INACTIVE: (
        "<kim@example.com>... User account not activated",
        "<kim> is now disabled with our service",
        "mailbox has been blocked due to inactivity",
        "Mailbox blocked",
        "Mailbox retired",
        "User hasn't entered during last 180 days",
        "mail is not currently being accepted for this mailbox",
        "Adressat unbekannt oder Mailbox deaktiviert",
        "Esta casilla ha expirado por falta de uso",
        "Questo indirizzo e' bloccato",
        "Почтовый ящик заблокирован",
        "该帐号已被冻结",
    ),
    Reason.MOVED: ("kim has left the company", "My address has changed, please write to kim@example.org"),
    Reason.MAILBOX_FULL: (
        "User has exhausted allowed storage space",
        "mailbox storage limit reached",
        "this inbox has no space left",
        "quota of kim is exhausted",
        "Quota is over for this user",
        "message is larger than the space available in the mailbox",
        "522_mailbox_full",
        "User has too many messages on the server",
        "Postfach ist voll",
        "La boite du destinataire est saturee",
        "Le compte du destinataire a dépassé son quota",
        "L'utente ha superato la quota",
        "Casella piena",
        "メールボックスの容量を超えています",
        "收件人空间不足",
    ),
    Reason.TOO_BIG: (
        "The message was larger than 20480000 bytes",
        "size of the message is over the limit: exceeds the maximum",
        "The length of DATA content is achieved the maximum threshold",
        "メールのサイズが大きすぎます",
    ),
    Reason.UNKNOWN_DOMAIN: ("Recipient domain does not exist", "unable to look up host: Name or service not known"),
    Reason.TAKES_NO_MAIL: ("This domain does not accept mail", "Domain publishes a null MX"),
    Reason.CONTENT: (
        "Message refused by our spam protection",
        "failed several antispam checks",
        "sorry, it seems as a junk mail",
        "Rejecting banned content",
        "Blacklisted high risk file extension detected (exe)",
        "This message is infected: W32/Example",
        "Wiadomosc zostala odrzucona przez system antyspamowy",
        "Message held for human verification",
        "El mensaje fue rechazado por su contenido",
        "Письмо содержит вирус",
        "message rejected. AUP#1260",
    ),
    Reason.POLICY: (
        "Sender verification: sender address on local blacklist",
        "Requested action not taken: mailbox unavailable. Reject due to policy restrictions",
        "host denies relay",
        "this domain is not hosted here",
        "This server is not configured to accept mail for that domain",
        "The user has blocked messages from your address",
        "Sender is on domain's blacklist",
        "You are registered as spammer (by user's reject list)",
        "Remitente bloqueado",
        "The receiver denied your mail",
        "Mail rejected by destination domain",
        "Data command rejected: Multi-recipient bounce",
        "Header-From is not authorised",
        "Relay Disabled",
        "Absender ungültig",
        "发件人被拒绝",
    ),
    Reason.PROTOCOL: (
        "Message headers fail syntax check",
        "Your message does not conform to the RFC2822 standard",
        "Sender domain not found in DNS",
        "Invalid address of sender",
        "Lone CR in message body",
        "Maximum line length exceeded",
        "Line too long",
    ),
    Reason.RATE: (
        "You can only send 100 msgs per 1h",
        "Max concurrent sessions",
        "The maximum number of concurrent connections has exceeded a limit",
        "requests per hour have been exceeded",
        "too much mail from 192.0.2.7",
        "MI:SFQ 163 smtp5",
        "Sender rate quota exceeded",
        "Message submission rate for this client has exceeded the configured limit",
        "deferred due to excessive volume",
        "The number of RCPTs is over size",
        "Limite de conexões simultâneas excedido",
        "Zu viele Verbindungen",
        "Vous avez dépassé votre quota d'envoi",
        "发送频率过高",
    ),
    Reason.BLOCK_LIST: (
        "<192.0.2.7> is blocked",
        "Access from 192.0.2.7 rejected",
        "Your IP 192.0.2.7 is suspected of an attack and is blocked",
        "not accepting messages from 192.0.2.7",
        "mail from 192.0.2.7 is rejected: no mail from hosting providers",
        "Too many spams from your IP",
        "dial-up or dynamic-ip denied",
        "(RTR:BL) Connecting IP: 192.0.2.7",
        "Dictionary attack detected",
        "Your IP(192.0.2.7) is filtered and this connection will be closed",
        "Connection rejected by policy [7.7]",
        "The IP you're using to send mail is not authorized to send email directly to our servers",
        "sender IP-address 192.0.2.7 locally blacklisted",
        "Seu IP 192.0.2.7 está bloqueado",
        "Ваш IP 192.0.2.7 находится в чёрном списке",
        "Helo invalid",
    ),
    Reason.AUTHENTICATION: (
        "The domain owner's policy asks us to reject unaligned mail",
        "Sender is not permitted by v=spf1 record",
        "From domain fails authentication",
    ),
    Reason.PTR: (
        "Client host 192.0.2.7 has no DNS name",
        "IP address does not resolve to a name",
        "no valid rDNS entry for your mail server",
        "SERVICE NOT AVAILABLE (DNS:NR)",
    ),
    Reason.TLS: (
        "Cannot start TLS: handshake failure",
        "Server certificate not verified",
        "the destination's certificate is expired",
    ),
    Reason.SYSTEM: (
        "queue unavailable",
        "The recipient's mail system is full",
        "can not open new email file errno=13",
        "Child process was terminated by signal 11",
        "STOREDRV.Deliver; mailbox server is offline",
        "Command time limit exceeded",
        "Service temporairement indisponible, veuillez réessayer plus tard",
        "服务器忙，请稍后再试",
    ),
    Reason.EXPIRED: (
        "message has exceeded its maximum lifetime",
        "Unable to deliver message after multiple retries",
        "It was in the queue for 72 hours and will not be tried again",
        "Too many failures (Tried all MXs)",
    ),
    Reason.NETWORK: (
        "connection with mx1.example.org is broken",
        "connection died",
        "Remote host closed connection unexpectedly",
        "connect to mx1.example.org[192.0.2.7]:25: Connection refused",
        "接続できません",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("reason", "text"), [(reason, text) for reason in KINDS for text in KINDS[reason]])
def test_a_kind_of_phrase_gives_its_reason(reason, text):
    found = classify(550, None, text)
    assert found.reason is reason, found.why


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "Recipient domain is not hosted here",
            Reason.POLICY,
        ),  # their server is the wrong one; the person may exist
        ("Username and Password not accepted", Reason.POLICY),  # a user, but ours
        ("Error: timeout exceeded", Reason.NETWORK),  # exceeded, but no size
        ("user's Disk Quota Exceeded: too much mail stored", Reason.MAILBOX_FULL),  # too much, but no rate
        ("blocked because the return email domain is invalid", Reason.PROTOCOL),  # a domain, but ours
        ("Client blocked from sending from unregistered domain", Reason.BLOCK_LIST),
        ("Your address is not valid", Reason.PROTOCOL),
        ("Excessive unknown recipients", Reason.RATE),  # as a count, and not one of them
        ("The domain in the From header does not exist in DNS", Reason.PROTOCOL),
        ("Relaying to unknown domains not permitted", Reason.POLICY),
        ("Recipient address rejected: Sender is not a member of allowed users", Reason.POLICY),
        ("The user's mailbox is currently unavailable because it is over its limit", Reason.MAILBOX_FULL),
        ("This user has exceeded the maximum number of messages in his mailbox", Reason.MAILBOX_FULL),
        ("Unable to verify user at this time, database not found", Reason.SYSTEM),
        ("Their inbox is full, or it's getting too much mail right now", Reason.MAILBOX_FULL),
        ("This report was scanned by an antivirus system", Reason.UNKNOWN),  # nobody found one
        ("550 No such user here -- The header of the message follows --", Reason.UNKNOWN_RECIPIENT),
        ("You have been blocked by the recipient", Reason.POLICY),  # and not by their server
        ("The recipient's mail system cannot accept messages", Reason.SYSTEM),
        ("Mailbox temporarily disabled: retry timeout exceeded", Reason.INACTIVE),
        ("Message lifetime exceeded", Reason.EXPIRED),  # exceeded, but no size
        ("message contains a file name that is not allowed", Reason.CONTENT),  # not a name that is unknown
        ("Your host has a bad name", Reason.UNKNOWN),
        # a user, an address, a recipient and a domain are not always theirs
        ("Mail address not verified, please confirm your sender address", Reason.PROTOCOL),
        ("Mail from bad address, rejected", Reason.PROTOCOL),
        ("IP address unknown to DNS", Reason.PTR),
        ("Unknown client host, address not listed in DNS", Reason.PTR),
        ("Your domain does not exist", Reason.PROTOCOL),
        ("URL in message points to a non-existent domain", Reason.CONTENT),
        ("no mailbox quota left", Reason.UNKNOWN),
        ("Invalid recipient count", Reason.RATE),
        ("bad user agent", Reason.UNKNOWN),
        ("unverified address: Address verification in progress", Reason.SYSTEM),
        ("unverified address: host said: 550 user unknown", Reason.UNKNOWN_RECIPIENT),
        ("5.1.0 - Unknown address error 554-'Message refused'", Reason.CONTENT),
        ("It's attached below", Reason.UNKNOWN),  # what reports say of the message they return
        ("an undisclosed address", Reason.UNKNOWN),
        ("I've given up.", Reason.UNKNOWN),
        # who is turned away, and whose list or domain it is
        ("The remote server rejected message", Reason.POLICY),
        ("The domain example.com does not accept mail", Reason.TAKES_NO_MAIL),
        ("Your IP is not authorized to relay", Reason.POLICY),
        ("Cuenta bloqueada", Reason.INACTIVE),
        ("Servidor bloqueado", Reason.BLOCK_LIST),
    ],
)
def test_words_that_only_sound_so_do_not_mislead(text, reason):
    found = classify(550, None, text)
    assert found.reason is reason, found.why


def test_hosts_are_only_that_they_are_hosts():
    assert told("550 Mail from [192.0.2.7] refused (kim@example.com)") == "mail from ip refused"
    assert told("127.255.255.254 open resolver") == "127.255.255.254 open resolver"  # it says why


def test_each_tell_tale_code_of_a_provider_is_a_word_of_its_own():
    """A code must not be found inside a name or an address."""
    rows = [row for row in STAGES[1] if isinstance(row, Text)]
    innocent = (
        "mail-mi.example con.rtr.example hl.report.example.org bl0.example tss.example wmblive es.example"
    )
    assert [row.why for row in rows if row.speaks_of(None, innocent)] == []
