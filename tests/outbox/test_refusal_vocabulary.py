"""Refusals are read by their vocabulary: whatever a mailbox is called and whatever became of it, the family is one.

Each line is a list of things and a list of what is said of them; every pair must be understood. Servers say the same in
more ways than anybody collects, so a word is taught once and holds for all of its like.
"""

from itertools import product

import pytest

from outbox.reasons import FAMILIES, Family
from outbox.refusals import classify

BOX = (
    "user|recipient|mailbox|account|address|e-mail address|email account|alias|customer|subscriber|recipient address"
    "|mail box|inbox|addressee"
)
US = (
    "your IP address|IP 192.0.2.7|client host [192.0.2.7]|192.0.2.7|your mail server|your host|the sending IP"
    "|host mx.example.org [192.0.2.7]|connection from 192.0.2.7|your network"
)
MESSAGE = "message|mail|this message|your mail|the email"
SENDER = "sender|sender address|sender domain|envelope sender|mail from|return path|from address|the sender"

SAID = [
    (
        Family.RECIPIENT,
        BOX,
        "unknown|is unknown|does not exist|doesn't exist|not found|cannot be found|can't be found|unable to be found"
        "|is invalid|not valid|unrecognized|could not be located|no longer exists|is undefined|isn't registered here"
        "|is not on this server|does not appear to exist|was deleted",
    ),
    (
        Family.RECIPIENT,
        "no such|unknown|invalid|nonexistent|unrecognized|undefined|unavailable|misspelled|illegal",
        BOX,
    ),
    (
        Family.RECIPIENT,
        "cannot find|could not locate|unable to locate|failed to find|we do not have|there is no|don't know this",
        "user|such user|mailbox|such recipient|account|mailbox by that name",
    ),
    (
        Family.RECIPIENT,
        BOX,
        "disabled|has been disabled|is inactive|suspended|is deactivated|locked|closed|terminated"
        "|expired|not activated"
        "|is not yet active|temporarily disabled|no longer in use|cancelled|out of service|is barred|retired|archived"
        "|is temporarily unavailable|is not accepting messages|is unable to receive mail|is obsolete",
    ),
    (
        Family.RECIPIENT,
        "disabled|inactive|suspended|locked|expired|terminated|cancelled",
        "user|mailbox|account|alias",
    ),
    (
        Family.MAILBOX,
        "mailbox|inbox|account|user|the recipient's mailbox|maildir|mail folder|mail drop|mail file",
        "is full|over quota|has exceeded its quota|quota exceeded|exceeds storage limit|is out of space|storage full"
        "|has reached its maximum size|has no more space|does not have enough space|over its limit|overquota"
        "|has exceeded the limit|disk quota exceeded",
    ),
    (
        Family.MAILBOX,
        "message|e-mail|your message|message body|attachment|message size",
        "too large|is too big|exceeds size limit|exceeds the maximum message size|larger than allowed|is oversized"
        "|bigger than allowed|greater than maximum allowed|size violation",
    ),
    (
        Family.POLICY,
        MESSAGE,
        "looks like spam|was considered spam|detected as spam|contains a virus|is infected|contains malware|rejected"
        "|contains a malicious URL|contains forbidden attachment|content rejected|rejected for policy reasons|blocked"
        "|looks suspicious|is phishing|rejected by filter|denied|not accepted|is not allowed|failed security checks",
    ),
    (
        Family.POLICY,
        SENDER,
        "rejected|denied|invalid|unknown|does not exist|not found|could not be verified|cannot be resolved|forbidden"
        "|is not permitted|is blocked|has no MX|domain does not exist|malformed|is banned",
    ),
    (Family.POLICY, "blocked|rejected|forbidden|unauthorized|illegal", "sender|sender address|envelope sender"),
    (
        Family.POLICY,
        "relay|relaying",
        "denied|access denied|not permitted|prohibited|disabled|refused|not authorized|forbidden",
    ),
    (
        Family.REPUTATION,
        US,
        "is blocked|blacklisted|is on our blocklist|is listed in bl.example.net|has been banned|denied|was rejected"
        "|is not permitted to connect|has a poor reputation|is a known spam source|is temporarily blocked|is deferred"
        "|temporarily deferred|is not welcome here|is rate limited|was found in a DNS blacklist|is denylisted",
    ),
    (
        Family.REPUTATION,
        "too many|maximum number of|excessive",
        "connections|messages|recipients|sessions|errors|invalid recipients|messages from your IP|bad commands",
    ),
    (
        Family.REPUTATION,
        "rate limit|connection limit|hourly quota|sending limit|outbound limit|message rate limit|rate",
        "exceeded|reached|has been exceeded|hit",
    ),
    (
        Family.RECIPIENT,
        "recipient domain|destination domain|mail domain|domain",
        "not found|does not exist|is unknown|could not be found|has no MX records"
        "|does not accept mail|accepts no mail",
    ),
    (
        Family.TRANSPORT,
        "server|remote server|host",
        "did not respond|not responding|is unavailable|is down|unreachable|too busy|overloaded"
        "|not ready|shutting down",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("family", "things", "fates"), SAID)
def test_whatever_it_is_called_and_whatever_became_of_it(family, things, fates):
    texts = [f"{thing} {fate}" for thing, fate in product(things.split("|"), fates.split("|"))]
    found = {text: classify(550, None, f"550 {text}") for text in texts}
    assert {text: each.why for text, each in found.items() if FAMILIES[each.reason] is not family} == {}


@pytest.mark.parametrize("status", ["5.0.0", "5.1.0", "5.1.1", "5.2.0", "5.3.0", "5.5.0", "5.7.0", "5.7.1"])
@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("Mailbox full", Family.MAILBOX),
        ("User unknown", Family.RECIPIENT),
        ("Account suspended", Family.RECIPIENT),
        ("Message too large", Family.MAILBOX),
        ("Message rejected as spam", Family.POLICY),
        ("Relaying denied", Family.POLICY),
        ("Client host [192.0.2.7] blocked using zen.spamhaus.org", Family.REPUTATION),
        ("Too many connections", Family.REPUTATION),
        ("SPF check failed", Family.REPUTATION),
    ],
)
def test_plain_words_weigh_more_than_a_careless_status(status, text, family):
    found = classify(550, status, f"550 {status} {text}")
    assert FAMILIES[found.reason] is family, found.why


TONGUES = [
    (
        Family.RECIPIENT,
        "Unbekannter Benutzer|Kein solcher Benutzer|Das Postfach existiert nicht|Utilisateur inconnu"
        "|Cette adresse n'existe pas|Destinatario inexistente|Usuario no encontrado"
        "|Utente non trovato|Endereço inválido|Onbekende gebruiker"
        "|Nieznany odbiorca|Neznámý příjemce|Неизвестный пользователь|Адресу не знайдено|Böyle bir kullanıcı yok"
        "|Okänd mottagare|Brukeren finnes ikke|Tuntematon käyttäjä|Ismeretlen felhasználó|Utilizator necunoscut"
        "|Άγνωστος χρήστης|そのようなユーザはいません|用户不存在|無此帳號|사용자를 찾을 수 없습니다",
    ),
    (
        Family.RECIPIENT,
        "Postfach wurde geschlossen|Compte suspendu|Cuenta cancelada|Utente disabilitato|Conta desativada|Mailbox"
        " geblokkeerd|Konto zawieszone|Účet zablokován|Аккаунт отключен|Скриньку заблоковано|Hesap kapatıldı"
        "|Kontot är spärrat|Tili on suljettu|Contul este dezactivat|アカウントは停止されています|帐号已停用"
        "|휴면 계정입니다",
    ),
    (
        Family.MAILBOX,
        "Quota überschritten|Boîte pleine|Sin espacio en el buzón|Spazio esaurito"
        "|Caixa postal cheia|De mailbox is vol"
        "|Brak miejsca w skrzynce|Překročena kvóta|Недостаточно места в ящике|Перевищено квоту|Kota aşıldı"
        "|Postkassen er fuld|A postafiók megtelt|容量超過|邮箱已满|메일함이 가득 찼습니다",
    ),
    (
        Family.MAILBOX,
        "Nachricht zu groß|Taille maximale dépassée|Mensaje demasiado grande|Messaggio troppo grande|Bericht te groot"
        "|Wiadomość jest za duża|Размер письма превышает лимит|Mesaj çok büyük|Meddelandet är för stort|邮件过大"
        "|サイズ制限を超えています",
    ),
    (
        Family.POLICY,
        "Pièce jointe interdite|Contenido no permitido|Il messaggio contiene un virus|Mensagem rejeitada por spam"
        "|Niedozwolony załącznik|Письмо отклонено как спам|迷惑メールと判定されました|被识别为垃圾邮件"
        "|Keine Berechtigung, an diesen Empfänger zu senden",
    ),
    (
        Family.REPUTATION,
        "Ihre IP ist gesperrt|Serveur sur liste noire|Demasiadas conexiones|Troppe connessioni|Seu IP está bloqueado"
        "|Adres IP na czarnej liście|Ваш IP заблокирован|IP adresiniz engellendi|接続が多すぎます|IP被封禁"
        "|IP가 차단되었습니다",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("family", "texts"), TONGUES)
def test_the_same_in_other_tongues(family, texts):
    found = {text: classify(550, None, f"550 {text}") for text in texts.split("|")}
    assert {text: each.why for text, each in found.items() if FAMILIES[each.reason] is not family} == {}
