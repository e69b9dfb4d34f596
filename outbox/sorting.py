"""What a returned message is, by its header and first words: a failure, a machine's answer, an unsubscribe.

The rows know what such mail is called, in several languages, and nothing of who sends it. Pure.
"""

import re
from typing import Final

from outbox.mailparts import words
from outbox.returned import Returned

_DAEMON: Final = re.compile(
    r"mailer-?daemon|post_?master@|mdaemon@|mail ?delivery|delivery (?:sub)?system|mail administrator"
    r"|system administrator|mail system",
    re.IGNORECASE,
)
_FAILURE: Final = re.compile(
    r"undeliver|undeliv|could ?n[o']t be delivered|cannot be delivered|(?:not|been) delivered"
    r"|unable to deliver"
    r"|delivery (?:has |status|fail|problem|error|delay|report|notification)|non[- ]?(?:delivery|remis)"
    r"|fail(?:ed|ure) (?:notice|delivery|mail)|mail (?:system error|failure|delivery|could not)"
    r"|returned (?:mail|to sender|message)|message (?:blocked|you sent)"
    r"|(?:message|mail|post(?:ing)?|article)(?: is| was| has been)? (?:rejected|refused)|bounce|loop alert"
    r"|unzustellbar"
    r"|user unknown|unknown user|mailbox (?:is )?full|no se (?:pudo|ha podido) entregar|mancato recapito"
    r"|nicht zugestellt|échec de (?:la )?(?:remise|distribution)|n'a pas (?:pu être |été )(?:remis|délivr|distribu)"
    r"|no ha podido ser entregad|impossibile (?:recapitare|consegnare)|mancata consegna"
    r"|n[ãa]o (?:foi )?entreg"
    r"|onbestelbaar|niet (?:worden )?(?:afgeleverd|bezorgd)|kan inte levereras|niedostarczon|nie dostarczon"
    r"|teslim edilemedi|nedoru[cč]iteln|k[eé]zbes[ií]thetetlen|nelivrabil|nie można dostarczyć|недоставлен"
    r"|не доставлено|не может быть доставлено"
    r"|送信(?:できません|エラー)|配信(?:できません|エラー|不能)|不達|退信|[无無]法(?:投[递遞]|送[达達]|[发傳]送)"
    r"|未(?:送达|傳遞|传递)"
    r"|(?:메일|전송|발송).{0,10}(?:실패|오류)|배달되지 않음",
    re.IGNORECASE,
)
_AUTO: Final = re.compile(
    r"\b(?:out of (?:the )?office|auto(?:matic|mated|matisch\w*)?[- ]?(?:re(?:ply|sponse)|respon\w+|antwort)"
    r"|vacation|on (?:annual |sick )?(?:holiday|leave)|abwesen\w+|absen(?:ce|te)\b|fuera de la oficina"
    r"|r[ée]ponse automatique|respuesta autom[áa]tica|risposta automatica|resposta autom[áa]tica"
    r"|automaa?t\w+ (?:odpowied|odpov|antwoord|svar|vastaus)|autosvar|otomatik yan[ıi]t"
    r"|(?:odpowied\w+|odpov[eě]\w+|automatikus|r[aă]spuns) (?:automat\w+|v[aá]lasz)|automatick\w+ odpov\w+"
    r"|sjukfr[aå]nvaro"
    r"|away from (?:my )?(?:mail|e-?mail|office|desk)|no longer (?:with|works?))"
    r"|автоответ|автоматичн\w+ відповід|автоматический ответ|自動(?:応答|返信)|自动(?:回复|答复)|自動回覆"
    r"|자동 ?회신|부재중",
    re.IGNORECASE,
)
_MARKS: Final = ("x-autoreply", "x-autorespond", "x-autoreply-from", "x-mail-autoreply", "x-auto-response")
_STOP: Final = re.compile(
    r"^\W*(?:list-)?(?:unsubscribe|remove me|opt[- ]?out|abmelden|désinscri)", re.IGNORECASE
)
_ONLY_STOP: Final = re.compile(r"^\W*unsubscribe\W*$", re.IGNORECASE)


def is_failure(returned: Returned) -> bool:
    """Sent by a mail system, or called a failure in its subject, or in its text if it is formal mail.

    Formal is what returns a message or may not be answered (RFC 5321 §4.5.5).
    """
    report = "multipart/report" in returned.header.get("content-type").lower()
    if report or is_daemon(returned) or _FAILURE.search(returned.subject):
        return True
    formal = bool(returned.inner.fields) or returned.header.get("return-path").strip() == "<>"
    return formal and _FAILURE.search(returned.notice[:2000]) is not None


def is_daemon(returned: Returned) -> bool:
    """Whether a mail system wrote it."""
    return bool(returned.named) or _DAEMON.search(returned.sender) is not None


def sent_on(returned: Returned) -> bool:
    """Whether what it carries is itself a report, which somebody sent on as an attachment."""
    inner = returned.inner
    if "multipart/report" in inner.get("content-type").lower():
        return True
    return not is_daemon(returned) and _DAEMON.search(words(inner.get("from"))) is not None


def automatic(returned: Returned) -> str:
    """What shows an automatic reply (RFC 3834 §5 and what came before it), or ""."""
    submitted = returned.header.get("auto-submitted").lower()
    if submitted.startswith(("auto-replied", "auto-generated")) and "failure" not in submitted:
        return f"Auto-Submitted: {submitted[:40]}"
    for name in _MARKS:
        if returned.header.get(name):
            return name
    if returned.header.get("precedence").lower() in ("auto_reply", "auto-reply"):
        return "Precedence"
    found = _AUTO.search(returned.subject)
    return f"Subject: {found[0]}" if found else ""


def unsubscribes(returned: Returned) -> bool:
    """Whether somebody, or their mail program for them, asks for no more."""
    return _STOP.search(returned.subject) is not None or _STOP.search(returned.notice[:200]) is not None


def unsubscribes_by_machine(returned: Returned) -> bool:
    """A mail program pressed the mailto of List-Unsubscribe; some call that an automatic reply."""
    return bool(returned.header.get("x-apple-unsubscribe") or _ONLY_STOP.search(returned.subject))
