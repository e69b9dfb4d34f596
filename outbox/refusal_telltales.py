"""Texts that give the matter away whatever code came with them: blocks, authentication, rate, spam.

Data only; the first stage of words in `refusal_rows`, whose remarks hold here too. Addresses of hosts have become
the word "ip" (`refusals.told`). Among the words are the short codes that providers document on their postmaster
pages: AOL and Yahoo, Comcast, Cox and Charter, Microsoft, NetEase.
"""

from typing import Final

from outbox.refusal_causes import Cause
from outbox.refusal_causes import text as _text

C = Cause

_US: Final = (
    r"(?:your|the|this|from|sending|sender|source|client|remote|connecting|originating|peer|^) "
    r"(?:ip(?: address)?|address ip|network|host(?:name)?|(?:mail ?)?server|domain|mta|isp|subnet|range)"
)

TELLTALE_TEXTS: Final = (
    _text(C.GREYLISTED, "greylisted", r"gr[ae]y-?[ _]?list|\bgrey\.rbl|\bgl01\b"),
    _text(
        C.UNCLEAR,
        "the receiver's own block-list look-up fails: not our listing",
        r"open resolver|excessive (?:number of )?queries|127\.255\.255\.25\d",
    ),
    _text(
        C.PROTOCOL,
        "the message breaks a rule of RFC 5322",
        r"(?:duplicate|multiple|missing|invalid|malformed|bad|illegal|no)\b.{0,40}\bheaders?\b(?! from)",
        r"\bheaders? (?:\w+ )?(?:error|syntax|fail|missing|mismatch)",
        r"no (?:valid )?(?:resent-)?(?:from|to|date|subject) (?:field|header)",
        r"multiple addresses in from|(?:must|not|n't) (?:be |comply|conform|follow).{0,30}\b(?:rfc|standard)",
        r"rfc ?[258]\d{2,3}\b.{0,20}(?:complian|section|violation)|not (?:compliant|in compliance) with",
        r"violat\w+ (?:of )?(?:the )?rfc|too many (?:headers|received|lines)|improper use of 8-?bit",
        r"charset not supported|\bmime\b.{0,20}(?:error|complex|invalid|reject|structure|malform)|invalid mime",
        r"(?:bare|stray|lone) (?:lf|cr|newline|linefeed|carriage)|\bnul(?:l)? (?:bytes?|characters?)\b",
        r"message[- ]id\b.{0,20}(?:missing|invalid|required)|future date|date .{0,20}in the (?:future|past)",
    ),
    _text(
        C.CONTENT,
        "taken for spam",
        r"spam classification|(?:scored|classified|identified|detected|marked|rejected|flagged) as (?:\w+ )?spam\b",
        r"likely (?:unsolicited|spam)|(?:anti-?)?spam (?:filter|content|message|mail|score|detect|scale|engine)",
        r"(?:consider\w*|seems|looks?|appears?) .{0,12}(?:spam|junk)|bulk e?-?mail",
        r"(?:junk|spam) (?:e-?)?mail (?:reject|detect)|\b(?:dt:spm|mi:spb|hvu:b\d|rly:bd)\b",
    ),
    _text(
        C.AUTHENTICATION,
        "SPF, DKIM or DMARC did not pass",
        r"\bspf\b|\bdmarc\b|\bdkim\b|sender[- ]policy[- ]framework|sender[- ]?id\b|domainkeys|purported responsible",
        r"unauthenticated|authentication (?:information|checks?|level)|(?:pass|fail\w*) authentication|unaligned",
        r"\barc (?:seal|valid)|\bmi:spf\b",
    ),
    _text(
        C.PTR,
        "our address has no matching reverse DNS",
        r"(?:reverse|backward|inverse)[ -]?(?:dns|look-?up|host|path|record|address|name|mapping|resolution)",
        r"\bptr\b|\br-?dns\b|unverif\w+ sending ip|mismatch\w* client ip|generic host ?name|\brtr:rd\b",
        r"(?:find|resolve|verify|look ?up|map) (?:your|the client|client|ip)\b.{0,20}(?:host ?name|address|ip|dns)",
        r"\bip\b.{0,30}(?:does|do|did|could|can) ?no?t (?:be )?(?:resolve|map|match)|unresolvable (?:relay|ip|host)",
        r"ip name lookup|failure in dns look-?up|(?:no|without|missing|invalid|bad) (?:valid )?dns (?:entry|ptr|record)",
        r"forward[- ]confirmed|no (?:host ?name|name|dns) for ip",
    ),
    _text(
        C.TLS,
        "TLS is demanded, or did not come about",
        r"starttls\b.{0,30}(?:first|required|not|fail|unsupport)|must issue a starttls",
        r"encrypt\w+ (?:is |connection |channel )?(?:needed|required)",
        r"(?:requires?|must use|without|no|need|start|negotiate|establish|initiate) (?:an? )?"
        r"(?:secure |encrypted )?(?:tls|ssl|encryption)\b",
        r"\b(?:tls|ssl)\b.{0,30}(?:required|mandatory|needed|not (?:avail|offer|support)|fail|error|handshake|negotiat)",
        r"handshake (?:failure|failed|error)|certificate\b.{0,30}(?:not|fail|expired|invalid|mismatch|verif|trust)",
        r"untrusted certificate|\b(?:dane|mta-sts|tlsa)\b",
    ),
    _text(
        C.CONTENT,
        "a link in the message is on a block list",
        r"\b(?:uribl|surbl|ivmuri)\b|\bdbl\.spamhaus|\buribl\.|(?:black|block)\w* ?(?:listed )?(?:url|link|uri)\b",
    ),
    _text(
        C.POPULAR,
        "the recipient gets too much mail at the moment",
        r"receiving mail (?:at a rate|too)|recipient.{0,30} rate\b|too (?:many|much) (?:e?-?mails?|messages) "
        r"(?:for|to|in a short)|(?:mailbox|recipient|user) .{0,20}(?:receiv\w+ too|recipientratelimit)",
        r"\bmessages?\b.{0,20} can receive per|(?:mail|message) limit (?:for|of) (?:this|the) (?:recip|user|mailb)",
    ),
    _text(
        C.RATE,
        "too much volume or too many complaints for our standing there",
        r"\btss?\d\d\b|\brp-00\d\b|unexpected volume|unusual(?:ly high)? (?:rate|traffic)|\b4\.7\.28\b|rate[ -]?limit",
        r"too many (?:(?!domain|received|hops)[\w-]+ ){0,3}(?:messages|e?-?mails?|connections?|sessions?|concurrent"
        r"|recipients|requests|errors|rcpts?|threads|commands|invalid|attempts|transactions|sends)"
        r"(?! (?:on|in) (?:the|this|your|mailbox|server))",
        r"too many connect|trop de connexions|(?<!no )(?:sending|connections?|relay|hourly|daily|hour|day|minute)\b"
        r".{0,20} (?:quota|limit|rate)\b|limits? (?:of|on) (?:\w+ ){0,3}(?:connections|messages per|recipients)",
        r"message (?:quota|rate|limit)\b|(?:quota|limit)\b.{0,30} (?:per|this|each|an?|one) (?:hour|day|minute|conn|session)",
        r"frequen\w+ limit|throttl|too (?:fast|quick|frequent)|slow(?:ing)? down|receiv\w+ limit|too much (?:mail|spam)",
        r"exceed\w* (?:the|your|its|our|maximum|max|allowed) .{0,20}(?:rate|number|connections|recipients|concurren)",
        r"connection count|concurrency|\bdyn:t\d|\brly:b[123]\b|\brl0\d{5}\b|\b(?:hl:(?:icc|ifc|itc)|mi:(?:dmc|sfq|stc|cel"
        r"|ccl|qmc|pdm)|rp:(?:drc|trc|ccl|cel|qrc|rcl))\b",
    ),
    _text(
        C.BLOCKED,
        "our address or domain is on a block list of theirs or of others",
        r"\bs31[45]0\b|\b(?:sc-00[134]|dy-00\d|ou-00\d)\b|\bbl\d\d\b|spamhaus|spamcop|\bsorbs\b|abuseat|abusix|cobion"
        r"|cloudmark|senderbase|\bpsbl\b|\w*rbl\b|\brbl[.-]|dns-?bl|uceprotect|nixspam|mailspike|spamrats|invaluement"
        r"|barracuda(?:central|networks\.com/rep)|ipcheck|senderscore|hostkarma|spamrl|\bcbl\b",
        r"\b(?:rtr|rly|con):\w\w|\b(?:bl|es)0\d{5}\b|\b(?:cxbl|cdrbl)\b|\baup#|\b(?:hl:(?:rep|mep|ihu|ipb)|dt:rbl"
        r"|wm:bl[iu])\b",
        r"(?:open|multi)[ -](?:proxy|blacklist)|rejecting open|helo command rejected|proxy rejected",
        r"(?:no|not|bad|black) (?:access from mail server|allowed to connect|sender ip|ip\b)|refused to talk to",
        rf"{_US}(?: \S{{1,80}}){{0,3}}? (?:is |has |have |was |been |are |being )"
        r"{0,3}(?:(?:currently|temporarily|permanently) )?(?:block|black|ban|listed|deni|reject|refus|suspend|not (?:allow"
        r"|permit|accept|authori|welcome)|on (?:a|our|the)|in (?:a|our|the)|sending spam|identified|prohibit|forbid)",
        r"\bip\b(?: address| is| was| are| has| been| currently| temporarily){0,4} (?:found|listed|block|black|den|ban"
        r"|reject|refus|not (?:allow|permit|accept|authori)|(?:on|in) (?:an?|our|the|one))(?!.{0,20} relay)",
        r"(?:e?-?mails?|messages?|connections?|traffic|accepted|block\w*|access)(?: \S{1,40}){0,3}? from:? "
        r"(?:ip|your (?:ip|network|host|server|location|country|isp))\b(?!.{0,40}(?:timed|lost|closed))",
        r"(?:black|block|deny|reject|bad ?guy)[- ]?list|(?:poor|low|bad) (?:ip )?(?:reputation|profile)|\breputation\b",
        r"(?<!of )banned (?!content|attach|file|word|extension)|blocked using|not in whitelist|blockip|denyip",
        r"too many (?:unwanted|bounces|complaints|spams?|unknown|bad)|too many .{0,20}complain|user complaints",
        r"unwanted messages|namespace mining|\bsc-002\b|spammers?\b|(?:sending|sen[dt]s?|source of|origin of) spam\b",
        r"(?:host|server|ip)s? (?:is |was |has been )?(?:blocked|blacklisted)|intrusion prevention|blocked for abuse",
        r"service refused?\b|dynamic(?:ally)?[ -](?:ip|address|assigned|host|pool)|smtp server of your isp",
        r"dial-?up|residential|(?:geographic|your) (?:location|country|region)|access from your|ip (?:is |was )?hang",
        r"(?:connections?|access|e-?mail|mail|messages?|host|client) (?:was |were |is |are )?(?:refused|rejected|denied"
        r"|blocked) (?:due to|because of|for) .{0,30}(?:abus|complain|spam (?:source|activ))|complaints (?:we|about|from)",
        r"your access to (?:submit|this)|unauthori[sz]ed (?:interface|host|ip)|blocked by ldap",
    ),
)
