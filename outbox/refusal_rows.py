"""The rows of words by which a refusal is read, and the order in which words and codes are asked.

Data only; `refusals.classify` says why that order, `refusal_codes` has the codes, `refusal_telltales` the words asked
first,
`refusal_tongues` those of other languages. Each row carries its reason, which people see beside the outcome.
To teach a text: a row here, a line in the test.
"""

from typing import Final

from outbox.refusal_causes import Cause
from outbox.refusal_causes import text as _text
from outbox.refusal_codes import CODES, HOLLOW_CODES, SURE_CODES
from outbox.refusal_telltales import TELLTALE_TEXTS
from outbox.refusal_tongues import TONGUES

C = Cause

# What a mailbox is called, with what may be said between it and its fate.
_WHO: Final = (
    r"(?:user|recipient|mail ?box|account|address(?:ee)?|alias|subscriber|customer|rcpt(?: to)?|member"
    r"|e-?mail|inbox|person|mail ?drop)s?"
)

# Words about the sender, then about the recipient.
RECIPIENT_TEXTS: Final = (
    _text(
        C.PROTOCOL,
        "they cannot resolve or verify our sender address",
        r"(?:sender|return[- ]?path|mail ?from|from address|reverse-path|originator)\b.{0,40}"
        r"(?:verif|resolve|not (?:be )?found|not (?:exist|valid)|unrout|invalid|malformed|unknown|syntax|mismatch)",
        r"no such sender|sender (?:e-?mail )?(?:address )?(?:does not|must|domain)|(?:empty|null) (?:envelope )?sender",
        r"no sender|emetteur|(?:unrout\w+|invalid|bad|unknown|forged|fake|unresolvable|unvalidated) (?:envelope )?"
        r"(?:sender|originator|return[- ]path)|domain of sender|(?:address|domain|validity) of (?:the )?sender"
        r"|valid sender|verify mail ?from|(?:cannot|can't|could not|unable to) verify .{0,20}sender",
    ),
    _text(
        C.POLICY,
        "this sender may not write there, by their rule",
        r"\bsenders?\b.{0,40}(?:reject|refus|deni|block|prohibit|filter|unvalid|not (?:\w+ )?(?:allow|accept|authori|permit"
        r"|verified|valid|in\b))|(?:denies|rejects?|refuses) (?:the |this |your )?(?:envelope )?sender|badmailfrom",
        r"permission to (?:post|send)|address is not verified|restricted|only accepts? (?:mail|messages) from",
        r"black (?:mail )?address|(?:your|from|sending) (?:e-?mail )?address .{0,30}(?:reject|refus|deni|block|not allow)"
        r"|sending for this account|\bnot logged in|allowed[- ]senders|(?:contact|approved|safe|known) senders",
        r"groups\.google\.com|members?[- ]only|non-?members?|only subscribers|bouncedeny|backscatter",
        r"not (?:allowed|authori[sz]ed|permitted) to (?:send|post|mail)|notauthori[sz]ed|sendernotauth",
    ),
    _text(
        C.POLICY,
        "the recipient's own filter refuses us",
        r"(?:refuses?|refused|chosen not) to (?:receive|accept)|user reject|(?:recipient|user)(?:'s)? (?:rules?|pref"
        r"|filter|settings)|(?:reject|refus|block|declin|denied|filter)\w* by (?:the |this |their )?(?:recipient|user|addressee"
        r"|owner|customer)|(?:recipient|user|addressee) (?:has )?(?:refus|block|declin|reject(?!ed))\w*",
        r"message filtered|protected by|white-?list|resolver\.rst\.not|not (?:currently )?accepting (?:any )?(?:e-?)?"
        r"(?:mail|messages) from|envelope blocked|user entry|does(?: not|n't) accept (?:e-?mail|messages?) (?:from|in)",
    ),
    _text(
        C.BUSY,
        "their disk is full, not the mailbox",
        r"insufficient (?:system|queue|disk|server)|not enough (?:disk |free )?space on|(?:mail )?system (?:is )?full",
        r"queue (?:file )?(?:write|full|unavail)|disk (?:is )?full|no space left|out of (?:disk|system) (?:space|storage)",
    ),
    _text(
        C.FULL,
        "the mailbox is full",
        r"(?:over|exceed\w*|exceeds?|out of|above|beyond)\b.{0,40}\b(?:quota|storage)",
        r"quota.{0,20}exceed|overquota",
        r"(?:mail ?box|inbox|account|maildir|folder|user|recipient|storage)\b.{0,30}\bfull\b|full mail ?box",
        r"mail ?box (?:size )?(?:limit )?exceed|exhausted .{0,20}(?:storage|space|quota)|storage (?:space )?.{0,20}exhaust",
        r"\bspace (?:is )?not enough|too many (?:messages|mails) (?:on|in) (?:the|this|your|mailbox|server)"
        r"|(?:mail ?box|user|recipient|account|maildir|\binbox)\b.{0,40}(?:out of|no (?:more )?|insufficient|low on) "
        r"(?:storage|space|disk|room|quota)|/(?:spool|var|home|mail)\S* .{0,60}file too (?:large|big)"
        r"|(?:file|message) too (?:large|big) for mail ?box",
        r"exceeded storage allocation|storage (?:is )?(?:full|exceeded)|not enough (?:storage )?space",
        r"(?:over|reached|exceeded|violat\w+)\b.{0,30} quota|quota.{0,20}(?:exceed|violation|full)",
        r"(?:not|no) enough (?:disk |storage |free )?space in|too much (?:mail )?data|bo[iî]te .{0,30}pleine",
        r"(?:would|has) exceed\w*.{0,40}(?:mailbox|quota|storage)|mailbox.{0,40}(?:exceed|too full|over limit)",
    ),
    _text(
        C.BUSY,
        "the program that should have taken the mail failed",
        r"local delivery failed|error in redirect|home directory|\.qmail\b",
        r"command (?:died|failed|output)|unknown mailer error|pipe to \||procmail:|can't create (?:user )?output",
        r"(?:mailer|delivery agent|transport) (?:error|failed)|local configuration error|points? back to"
        r"|i/o error|input/output error|can(?:not| not|'t) open .{0,20}file|no such (?:file|directory)|errno ?=",
    ),
    _text(
        C.TOO_BIG,
        "the message is too big",
        r"(?:message|mail|size|attachments?|length|file)\b.{0,40} "
        r"(?:(?<!queue )(?<!for )too (?:big|large|long)|exceed)",
        r"size limit|taille limite|file too big|larger than .{0,30}(?:limit|allow|accept|permit|max)|"
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
        r"no such (?:host|domain)|(?:find|resolve) any (?:host|mail)|name or service not known|invalid (?:host|(?:recipient|destination|rcpt) domain)"
        r"(?: ?name)?(?: in| for)? ?(?:the )?(?:recipient|address|rcpt|$)|infodomainnonexistent|non-?existent domain",
        r"unknown mail(?:er)? host|domain \S{1,255} (?:could not|couldn't) be found",
        r"(?:un|not )rout\w+ mail domain|mx records point to non-?exist|domain (?:must|could not)",
        r"domain\b.{0,40} (?:not found|not exist)|bad destination (?:system|host)|find the recipient domain",
        r"^[\w-]+(?:\.[\w-]+){1,8} does not exist|no (?:a|mx|mail) (?:records?|found)|domain does not exist",
    ),
    _text(
        C.NULL_MX,
        "the domain takes no mail",
        r"null ?mx|indicated no smtp service|(?:domain|host|server|system|\.[a-z]{2,12}) (?:does not|doesn't|do not)"
        r" (?:accept|receive) (?:any )?(?:e-?)?mail|n[o']t (?:accept|receive) (?:e-?)?mail$",
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
        r"no longer (?:on (?:this )?server|with|works|work|employed|at|an? (?:employee|member|customer))\b|has moved|moved to",
        r"(?:new|changed) (?:e-?mail )?address|address (?:has )?(?:been )?changed|not our user|has been replaced by"
        r"|(?<!no )forwarding address|left the (?:company|organi)|user not local.{0,12}please try .",
    ),
    _text(
        C.UNREACHABLE,
        "the reporter had given their host a rest",
        r"delivery temporarily suspended: (?:connect|conversation|lost|cannot|host|tls)",
    ),
    _text(
        C.INACTIVE,
        "the mailbox is closed, locked or not used",
        r"(?:account|mail ?box|user|recipient|address|alias|inbox|domain)\b(?!.{0,20}not exist).{0,60}"
        r"(?:disabled|inactive|(?<!found or )inactivated|suspended|deactivated|frozen|locked|closed|discontinued|terminated"
        r"|dormant|expired|on hold|(?:not|n't) (?:yet |been |currently )?(?:active|activated|being accepted|accepting)"
        r"|no longer (?:active|available|in use|valid|accept)|blocked due to inactiv|unsubscribed|abandoned)",
        r"(?:disabled|inactive|suspended|deactivated|dormant|locked|expired|frozen|closed|retired) "
        r"(?:account|mail ?box|user|recipient|address|e-?mail)|\bon hold\b|account (?:has been )?(?:deleted|removed)",
        r"(?:mail|receiving|delivery|is) (?:receiving |now |currently |administratively )?(?:disabled|suspended)\b"
        r"|(?:for|due to) (?:prolonged )?inactivity|temporarily locked|mail is not .{0,20}accepted for",
    ),
    _text(
        C.UNKNOWN,
        "there is no such recipient",
        rf"\b{_WHO}(?: \S{{1,80}}){{0,2}}? (?:is |are |was |were |does |do |did |could |can |has |have |been |be )*"
        r"(?:\"?(?:unknown|invalid|undeliverable|unrouteable|non-?existent|bad|incorrect|wrong|misspelled)\b"
        r"|(?:not|n't|no longer|never)(?: been| be| currently)? (?:a |an )?(?:found|exist|known|listed|valid|recogni|registered"
        r"|located|ok\b|present|accepted$|defined|hosted|served|verified|member|in (?:our|the|this|ldap)|here\b|local user))",
        r"(?:unknown|invalid|unrout\w+|bad|illegal|non-?existent|no such|not an? (?:valid|known|local)|no|wrong|incorrect"
        r"|unrecogni\w+|undeliverable|improper|could not find|unable to find|can't find|cannot find|couldn't find|no valid"
        r"|no matching) (?:or (?:unknown|illegal|invalid|inactive) )?(?:the |an? |any |this |user's )?(?:e-?mail |local "
        r"|destination |virtual |final |delivery |envelope |mail |smtp |such )"
        rf"{{0,2}}(?:{_WHO}|local[ -]?parts?|name|users)\b(?! (?:is |was )?(?:over|full|exceed|info))",
        r"(?:doesn't|does not|do not|don't|did not) (?:exist|have an? \S{1,80} account|have an account|handle mail for that)",
        r"no (?:mailbox|account|user|one|mail box|such person)\b.{0,30} (?:here|by that name|at this|with that)",
        r"mailbox (?:is )?(?:currently )?(?:unavail|not available|not found)|recip\w*notfound|resolver\.adr|path no exist",
        r"user ?not ?(?:found|known|local|exist)|no valid (?:e-?mail )?recipient|unroutable address|(?:in|by) ldap server",
        r"(?:recipient|e-?mail) (?:address )?rejected(?:: access denied|[.: ]*(?:\[.*|as\(.*)?$)|^#?address rejected",
        r"no longer exists?\b|not listed in \w+|look-?up in .{0,20}(?:map|table|directory) failed|verify failure",
        r"bad-?rcpt|bad-?recipient|(?:can't|cannot) accept user|no(?:t| one| matching)\b.{0,20}at this address",
        r"not (?:a )?(?:\w+ )?(?:our|this|of our) (?:\w+ )?(?:user|customer|member|subscriber)|(?:recipient|user)s? (?:is |are )?missing",
        r"(?:address|recipient|user|mailbox) (?:couldn't|could not|cannot|can't) be (?:found|verified|located|resolved)",
        r"(?:no|not) (?:have )?(?:such|an?) (?:\S{1,80} )?(?:account|mailbox)|no final e?-?mail delivery|all recipients",
        r"final e?-?mail delivery point|check (?:the|all|your) (?:recipient|address)",
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
        r"(?<!abuse-)spam|\bu[bc]e\b|\bjunk\b|unsolicited|virus|malware|infected|trojan|phish|\bph\d\d\b|attachments?\b",
        r"\bcontents?\b|suspicious|invalid data|file (?:type|extension)|(?:banned|forbidden|executable|dangerous) \w+",
        r"\bpolic(?:y|ies)\b|mail (?:data |\S{10,40} )?(?:was |is )?(?:reject|refus)|violat|\brules?\b|censor",
        r"message (?:was |is |has been )?(?:rejected|refused|blocked|denied|not (?:accept|allow))",
        r"prohibit|security (?:issue|risk|reason)|undesired|objectionable|profan|spoof|forge",
    ),
    _text(
        C.EXPIRED,
        "the time for delivery ran out at a later server",
        r"(?:message|envelope|mail|delivery|retry)\b.{0,20} (?:has )?(?:expired|timeout exceeded|timed out)|queue\.expired"
        r"|max(?:imum)? (?:time|age|retr|attempts|queue|life)|(?:queue|retry|delivery) (?:time|life)\w* .{0,20}(?:exceed|reach)"
        r"|too many (?:delivery )?(?:attempts|retries|tries)",
        r"(?:in the queue|in queue|delivered) (?:for )?too long|retry time(?:out)?|unable to deliver in \d",
        r"hosts have been failing|no action is required on your part|delivery time expired",
        r"not (?:be )?delivered (?:for|within) \d|deliver this message after \d",
    ),
    _text(
        C.UNREACHABLE,
        "another server could not reach the next one",
        r"connection (?:refused|timed out|reset|lost|dropped|failed)|timed? ?out|(?:did|is|was) not (?:respond|answer)"
        r"|(?:unable|could not|couldn't|failed|not able|wasn't able) to (?:connect|establish|contact|reach)"
        r"|(?:could not|can't|couldn't|cannot) connect|socket error|tcp active open|connection\b.{0,60} (?:is )?(?:broken"
        r"|died|closed|aborted|terminated|interrupted)|broken pipe|read error|host (?:is )?down|no answer"
        r"|network (?:error|problem|fail)|malformed (?:or unexpected )?name server"
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
        r"\b(?:open|as an?|no|deni\w+|refus\w+|unauthori\w+|illegal|third[- ]party|use \S{1,80} as a|to) relay|not a gateway"
        r"|(?:don't|do not|does not|doesn't|cannot|can't|won't|will not|not) (?:handle|relay|accept mail for)|\bnot local\b",
        r"allowed rcpthosts|rcpthosts|domain (?:is |was )?not (?:allowed|hosted|handled|served|local|accepted|listed|here)"
        r"|non-?local (?:domain|recipient|user)|local users? only|only .{0,20}local users",
        r"relay(?:ing|ed|s)?\b.{0,40}(?:denied|denies|not|prohib|refus|reject|restrict|forbid)|mail relay|relay (?:check|access)",
    ),
    _text(
        C.LOGIN,
        "our login is missing or was refused",
        r"\bauth\w* (?:is )?(?:required|failed|failure|unsuccessful|credentials|error|mechanism|needed)|password not accepted",
        r"must (?:be )?authenticate|not (?:been )?authenticated|requires? (?:smtp )?auth|log ?in|anonymous|cryptograph",
    ),
    _text(
        C.BLOCKED,
        "they refuse connections from our address",
        r"(?:client|host|\bip|connections?|server|network|country)\b.{0,60} "
        r"(?:reject|refus|denied|block|forbid|not accept)",
        r"not accepting connections|no smtp service|service refus|invalid domain name|:blocked\b|\bblocked\b|\bblacklist",
    ),
    _text(C.DENIED, "they refuse us and do not say why", r"access denied"),
    _text(
        C.PROTOCOL,
        "they did not understand the conversation",
        r"syntax|sequence (?:of commands|error)|bad sequence|synchroni[sz]ation|pipelining|protocol (?:error|violation)",
        r"not implemented|\bhelo\b|\behlo\b|invalid (?:command|argument|parameter)|unsupported|non-?ascii|illegal character",
        r"unrecogni[sz]ed|8bitmime|smtputf8|line (?:is )?too long|(?:command|option) (?:not|unknown)|unexpected|not understood",
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

STAGES: Final = (
    SURE_CODES,
    TELLTALE_TEXTS,
    RECIPIENT_TEXTS,
    TONGUES,
    CODES,
    VAGUE_TEXTS,
    HOLLOW_CODES,
    BARE_TEXTS,
)
