"""The rows of words by which a refusal is read, and the order in which words and codes are asked.

Data only; `refusals.classify` says why that order, `refusal_codes` has the codes. Each row carries its reason,
which people see beside the outcome. To teach a text: a row here, a line in the test.
"""

from typing import Final

from outbox.refusal_causes import Cause
from outbox.refusal_causes import text as _text
from outbox.refusal_codes import CODES, HOLLOW_CODES, SURE_CODES

C = Cause

# Texts that give the matter away whatever code came with them.
TELLTALE_TEXTS: Final = (
    _text(C.GREYLISTED, "greylisted", r"gr[ae]y-?[ _]?list"),
    _text(
        C.UNCLEAR,
        "the receiver's own block-list look-up fails: not our listing",
        r"open resolver|excessive (?:number of )?queries|127\.255\.255\.25\d",
    ),
    _text(
        C.PROTOCOL,
        "the message breaks a rule of RFC 5322",
        r"(?:duplicate|multiple|missing|invalid|malformed|bad)\b.{0,40}\bheaders?\b",
        r"\bheader (?:error|syntax)|no (?:resent-)?(?:from|to|date) (?:field|header)",
        r"multiple addresses in from|rfc ?[258]\d{2,3}\b.{0,20}complian|not compliant with rfc",
        r"too many (?:headers|received|lines)|improper use of 8-?bit|charset not supported|mime (?:error|complex)",
        r"bare (?:lf|cr)\b",
    ),
    _text(
        C.CONTENT,
        "taken for spam",
        r"spam classification|(?:scored|classified|identified|detected|marked) as spam|likely unsolicited",
        r"(?:anti-?)?spam (?:filter|content|message|score|detect)|considered (?:as )?spam|bulk e?-?mail",
    ),
    _text(
        C.AUTHENTICATION,
        "SPF, DKIM or DMARC did not pass",
        r"\bspf\b|\bdmarc\b|\bdkim\b|sender policy framework|domainkeys|purported responsible",
        r"unauthenticated|authentication (?:information|checks?|level)|pass authentication",
    ),
    _text(
        C.PTR,
        "our address has no matching reverse DNS",
        r"reverse[ -]?(?:dns|lookup|host|path)|\bptr\b|\brdns\b|unverif\w+ sending ip|mismatch\w* client ip",
        r"(?:find|resolve|verify) your (?:reverse )?(?:host ?name|address|ip|dns)|unresolvable relay|ip name lookup",
    ),
    _text(
        C.TLS,
        "TLS is demanded",
        r"starttls (?:command )?(?:is )?(?:first|required)|must issue a starttls",
        r"encryption (?:is )?(?:needed|required)",
        r"(?:requires?|must use|without|no) (?:tls|encryption)",
        r"tls (?:is )?(?:required|mandatory|needed|not available)",
    ),
    _text(
        C.CONTENT,
        "a link in the message is on a block list",
        r"\b(?:uribl|surbl)\b|\bdbl\.spamhaus|(?:black|block)\w* ?(?:listed )?(?:url|link|uri)\b",
    ),
    _text(
        C.POPULAR,
        "the recipient gets too much mail at the moment",
        r"receiving mail (?:at a rate|too)|recipient.{0,30} rate\b|too many messages for this recipient",
    ),
    _text(
        C.RATE,
        "too much volume or too many complaints for our standing there",
        r"\btss?\d\d\b|\brp-00\d\b|unexpected volume|unusual(?:ly high)? rate|\b4\.7\.28\b|rate[ -]?limit",
        r"too many (?:messages|e?-?mails|connections|sessions|concurrent|recipients|requests|errors|invalid)",
        r"(?:message|sending|connection|relay|hourly|daily|hour|day)\b.{0,20} (?:quota|limit|rate)\b",
        r"frequency limit|throttl|too (?:fast|quick|frequent)|slow down|receiv\w+ limit",
        r"exceeded the (?:rate|maximum number)",
    ),
    _text(
        C.BLOCKED,
        "our address or domain is on a block list of theirs or of others",
        r"\bs31[45]0\b|\b(?:sc-00[134]|dy-00\d|ou-00\d)\b|\bbl\d\d\b|spamhaus|spamcop|\bsorbs\b",
        r"abuseat|abusix",
        r"\w*rbl\b|dnsbl|uceprotect|nixspam|mailspike|spamrats|invaluement|barracudacentral|ipcheck",
        r"senderscore",
        r"(?:open|multi)[ -](?:proxy|blacklist)|rejecting open|helo command rejected|proxy rejected",
        r"(?:no|not|bad) (?:access from mail server|allowed to connect|sender ip)|refused to talk to",
        r"(?:your|the|from) (?:ip|network|host|server|mail server|domain)(?: \S{1,80}){0,3} (?:is |has |was |been )"
        r"{0,3}(?:block|black|ban|listed|deni|reject|refus)",
        r"(?:black|block|deny)[- ]?list|(?:poor|low|bad) reputation|\breputation\b",
        r"banned|blocked using|not in whitelist",
        r"too many unwanted|unwanted messages|namespace mining|\bsc-002\b",
        r"(?:host|server|ip)s? (?:is |was )?blocked",
        r"service refused?\b|dynamic(?:ally)?[ -](?:ip|address|assigned)|smtp server of your isp",
    ),
)

# Words about the sender, then about the recipient.
RECIPIENT_TEXTS: Final = (
    _text(
        C.PROTOCOL,
        "they cannot resolve or verify our sender address",
        r"(?:sender|return[- ]?path|mail from|from address)\b.{0,40}"
        r"(?:verif|resolve|not found|not exist|unrout)",
        r"no such sender|sender (?:address )?(?:does not|must|domain)|empty envelope sender|no sender|emetteur",
        r"unrout\w+ sender|invalid sender|bad sender|domain of sender",
    ),
    _text(
        C.POLICY,
        "this sender may not write there, by their rule",
        r"\bsenders?\b.{0,40}(?:reject|refus|denied|block|not (?:allow|authori|permit|verified|in\b))",
        r"permission to post|address is not verified|restricted|only accepts? (?:mail|messages) from",
        r"groups\.google\.com|members?[- ]only|non-?members?|only subscribers|bouncedeny|backscatter",
        r"not (?:allowed|authori[sz]ed|permitted) to (?:send|post|mail)|access to submit messages",
    ),
    _text(
        C.POLICY,
        "the recipient's own filter refuses us",
        r"(?:refuses?|refused) to (?:receive|accept)|user reject|(?:recipient|user)(?:'s)? (?:rules?|preferences?)",
        r"message filtered|protected by|white-?list|resolver\.rst\.not|not (?:currently )?accepting (?:any )?(?:e-?)?"
        r"(?:mail|messages) from|blocked by (?:the )?(?:recipient|user)",
    ),
    _text(
        C.BUSY,
        "their disk is full, not the mailbox",
        r"insufficient system (?:storage|resources)|insufficient disk|not enough (?:disk )?space on",
        r"queue file write",
    ),
    _text(
        C.FULL,
        "the mailbox is full",
        r"(?:over|exceed\w*|exceeds?|out of|above|beyond)\b.{0,40}\b(?:quota|storage)",
        r"quota.{0,20}exceed|overquota",
        r"(?:mailbox|inbox|account|maildir|user|recipient)\b.{0,30}\bfull\b|full mailbox",
        r"mailbox (?:size )?exceed",
        r"exceeded storage allocation|storage (?:is )?(?:full|exceeded)|not enough (?:storage )?space",
        r"mailfolder is full|(?:over|reached|exceeded|violat\w+)\b.{0,30} quota|quota.{0,20}(?:exceed|violation|full)",
        r"(?:not|no) enough (?:disk |storage |free )?space in|too much (?:mail )?data|bo[iî]te .{0,30}pleine",
        r"(?:would|has) exceed\w*.{0,40}(?:mailbox|quota|storage)|mailbox.{0,40}(?:exceed|too full|over limit)",
    ),
    _text(
        C.BUSY,
        "the program that should have taken the mail failed",
        r"local delivery failed|error in redirect|home directory|\.qmail\b",
        r"command (?:died|failed|output)|unknown mailer error|pipe to \||procmail:|can't create (?:user )?output",
        r"(?:mailer|delivery agent) (?:error|failed)|mailer error",
    ),
    _text(
        C.TOO_BIG,
        "the message is too big",
        r"(?:message|mail|size|attachments?|length|file)\b.{0,40} "
        r"(?:(?<!queue )(?<!for )too (?:big|large|long)|exceed)",
        r"size limit|taille limite|file too big|"
        r"exceeds?.{0,40}(?:size|length|maximum)|too (?:big|large) (?:message|mail)|max\w* (?:message )?size",
    ),
    _text(
        C.ROUTING,
        "a look-up failed and may not next time",
        r"(?:host|domain|name) (?:\w+ )?not found,? try again|temporary (?:dns|name|look-?up|resol)\w*",
    ),
    _text(
        C.HOST_GONE,
        "the recipient's domain does not resolve",
        r"host (?:or domain name )?(?:is )?(?:not found|unknown)|unknown (?:host|domain)|nxdomain",
        r"no such (?:host|domain)|(?:find|resolve) any (?:host|mail)|name or service not known",
        r"unknown mail(?:er)? host|domain \S{1,255} (?:could not|couldn't) be found",
        r"(?:un|not )rout\w+ mail domain|mx records point to non-?exist|domain (?:must|could not)",
        r"domain\b.{0,40} (?:not found|not exist)|bad destination (?:system|host)|find the recipient domain",
        r"^[\w-]+(?:\.[\w-]+){1,8} does not exist|no (?:a|mx|mail) (?:records?|found)|domain does not exist",
    ),
    _text(
        C.NULL_MX,
        "the domain takes no mail",
        r"null ?mx|indicated no smtp service|n[o']t (?:accept|receive) (?:e-?)?mail",
    ),
    _text(
        C.ROUTING,
        "DNS had no answer for their domain",
        r"dns (?:error|problem)|no relevant answers|name server error|(?:host name|mx|cname) lookup|no valid route",
        r"loop detected|dns (?:lookup|query|server) fail",
    ),
    _text(
        C.MOVED,
        "the recipient has moved",
        r"no longer (?:on (?:this )?server|with|works|work|employed|at)\b|has moved|moved to",
        r"new address|not our user|has been replaced by|forwarding address",
    ),
    _text(
        C.UNREACHABLE,
        "the reporter had given their host a rest",
        r"delivery temporarily suspended: (?:connect|conversation|lost|cannot|host|tls)",
    ),
    _text(
        C.INACTIVE,
        "the mailbox is closed, locked or not used",
        r"(?:account|mailbox|user|recipient|address|alias|inbox|domain)\b.{0,60}"
        r"(?:disabled|inactive|suspended|deactivated|frozen|locked|closed|discontinued|terminated|dormant"
        r"|expired|on hold|not active|no longer (?:active|available|in use|valid|accept))",
        r"(?:disabled|inactive|suspended|deactivated|dormant|locked|expired) "
        r"(?:account|mailbox|user|recipient|address|email)|\bon hold\b|account (?:has been )?deleted",
    ),
    _text(
        C.UNKNOWN,
        "there is no such recipient",
        r"(?:user|recipient|mailbox|account|address|addressee|alias|e-?mail)s?(?: \S{1,80})? "
        r"(?:is |was |does |could |are )?(?:\"?(?:unknown|invalid|undeliverable|unrouteable)|"
        r"not (?:be )?(?:found|exist|known|listed|valid|recogni)|doesn't exist)",
        r"(?:unknown|invalid|unrout\w+|bad|illegal|non-?existent|no such|not a (?:valid|known)|unrecogni\w+) "
        r"(?:e-?mail |local |destination |virtual |final |delivery |envelope ){0,2}"
        r"(?:user|recipient|mailbox|account|address|addressee|alias|person|local[ -]part|e-?mail|name|rcpt)",
        r"(?:doesn't|does not) (?:exist|have an? \S{1,80} account)",
        r"no (?:mailbox|account|user)\b.{0,20} (?:here|by that name)",
        r"mailbox (?:is )?(?:unavailable|not available|not found)|recip\w*notfound",
        r"user ?not ?(?:found|known|local)|no valid recipient",
        r"recipient address rejected(?:: access denied|[.: ]*$)|^#?address rejected",
        r"not listed in \w+|unknown or illegal alias|destinataire (?:inconnu|invalide)",
        r"bad-?rcpt|bad-?recipient|(?:can't|cannot) accept user|no(?:t| one| matching)\b.{0,20}at this address",
        r"(?:user|recipient|address|account|mailbox)s? (?:is )?(?:wrong|not (?:ok|present|accepted|recogni)|missing)",
        r"(?:address|recipient|user|mailbox) (?:couldn't|could not|cannot|can't) be (?:found|verified)",
        r"(?:no|not) (?:have )?(?:such|an?) (?:\S{1,80} )?(?:account|mailbox)|no final e?-?mail delivery|"
        r"final e?-?mail delivery point|addressee unknown|wrong (?:e-?mail )?address",
        r"n'existe pas|introuvable|existiert nicht|nicht (?:gefunden|bekannt|vorhanden)|n[aã]o (?:existe|encontrad)",
        r"no (?:se )?(?:existe|encuentra|encontr)|non (?:esiste|[eè] stato trovat)|inconnu|не (?:существует|найден)",
        r"見つかりません|存在しません|不存在|无此|找不到",
        r"(?:benutzer|empf\w+) unbekannt|usuario (?:desconocido|no existe)",
        r"destinat\w+ (?:sconosciuto|inesistente)",
    ),
)

# Vaguer words, for codes that say nothing.
VAGUE_TEXTS: Final = (
    _text(
        C.BUSY, "their server is not well", r"temporarily rejected message|temporary (?:system|server|local)"
    ),
    _text(
        C.GREYLISTED,
        "they name a time to come back at",
        r"(?:come back|try again|retry|resend)\b.{0,20} (?:in|after) \d",
    ),
    _text(
        C.CONTENT,
        "taken for spam, or refused for what it contains",
        r"\bspam\b|\bube\b|\bjunk\b|unsolicited|virus|malware|phish|\bph\d\d\b|attachment",
        r"\bcontents?\b|suspicious",
        r"\bpolic(?:y|ies)\b|mail (?:was )?reject",
        r"message (?:was )?(?:rejected|refused|blocked|not (?:accept|allow))",
        r"prohibit|security (?:issue|risk|reason)",
    ),
    _text(
        C.EXPIRED,
        "the time for delivery ran out at a later server",
        r"(?:message|envelope|mail|delivery|retry)\b.{0,20} (?:has )?(?:expired|timeout exceeded)",
        r"(?:in the queue|in queue|delivered) (?:for )?too long|retry time(?:out)?|unable to deliver in \d",
        r"hosts have been failing|no action is required on your part|delivery time expired",
        r"not (?:be )?delivered (?:for|within) \d|deliver this message after \d",
    ),
    _text(
        C.UNREACHABLE,
        "another server could not reach the next one",
        r"connection (?:refused|timed out|reset|lost|dropped|failed)|timed? ?out|(?:did|is|was) not (?:respond|answer)"
        r"|(?:unable|could not|couldn't|failed|not able|wasn't able) to (?:connect|establish|contact|reach)"
        r"|could not connect|socket error|cannot connect|tcp active open|malformed (?:or unexpected )?name server"
        r"|no route to host|unreachable",
        r"too long|lost connection|not accept our requests to connect",
    ),
    _text(
        C.ROUTING,
        "a routing loop",
        r"hop count|too many hops|\bloop(?:s|ed|ing)?\b|duplicated message-id|(?:unable|not able) to route",
        r"find a gateway|name service error",
    ),
    _text(
        C.REJECTED,
        "that server does not take mail for this domain, or not from us",
        r"\b(?:open|as a|no) relay|not a gateway|(?:we )?(?:don't|do not) (?:handle|relay|accept) mail for|"
        r"allowed rcpthosts|domain is not (?:allowed|hosted)|"
        r"relay(?:ing)?\b.{0,30}(?:denied|not|prohib|refus)|(?:unable|not \w+|cannot) to relay",
        r"mail relay|rcpthosts",
    ),
    _text(
        C.LOGIN,
        "our login is missing or was refused",
        r"authentication (?:is )?(?:required|failed|unsuccessful|credentials)|password not accepted",
        r"must authenticate",
    ),
    _text(
        C.BLOCKED,
        "they refuse connections from our address",
        r"(?:client|host|ip|connections?|server|network)\b.{0,60} "
        r"(?:reject|refus|denied|block|forbid|not accept)",
        r"not accepting connections|no smtp service|service refus|invalid domain name",
    ),
    _text(C.DENIED, "they refuse us and do not say why", r"access denied"),
    _text(
        C.PROTOCOL,
        "they did not understand the conversation",
        r"syntax error|sequence of commands|bad sequence|synchroni[sz]ation|pipelining",
        r"not implemented|\bhelo\b|\behlo\b",
        r"unrecogni[sz]ed|8bitmime|smtputf8|line (?:is )?too long",
    ),
    _text(
        C.BUSY,
        "their server is busy or broken",
        r"busy|overload|load average|resources|system error|internal (?:server )?error",
        r"local (?:error|problem)|try again",
        r"temporar|service (?:is )?(?:not available|unavailable)|closing|maintenance",
        r"configuration error|transaction failed|later|out of memory|misconfigur|\bldap\b|software error",
        r"look-?up (?:failure|failed)|mailbox database|system config",
    ),
)

# A refusal in so many words, and no more.
BARE_TEXTS: Final = (
    _text(C.REJECTED, "they refuse it and do not say why", r"\breject|\brefuse|\bdenied\b|not accept"),
)

UNEXPLAINED: Final = (C.UNCLEAR, "refused without a reason we know")

STAGES: Final = (SURE_CODES, TELLTALE_TEXTS, RECIPIENT_TEXTS, CODES, VAGUE_TEXTS, HOLLOW_CODES, BARE_TEXTS)
