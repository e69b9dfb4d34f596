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
from outbox.refusal_telltales import TELLTALE_TEXTS, TURNED_AWAY
from outbox.refusal_tongues import TONGUES, VAGUE_TONGUES

C = Cause

# What a mailbox is called, with what may be said between it and its fate.
_WHO: Final = (
    r"(?:user|recipient|mail ?box|account|address(?:ee)?|alias|subscriber|customer|rcpt(?: ?to)?|member"
    r"|e-?mail|inbox|person|mail ?drop)s?"
)

# Words about the sender, then about the recipient.
RECIPIENT_TEXTS: Final = (
    _text(
        C.PROTOCOL,
        "they cannot resolve or verify our sender address",
        r"(?:sender|return[- ]?path|mail ?from|from address|reverse-path|originator)\b.{0,40}(?:verif"
        r"|resolve|not (?:be )?found|not (?:exist|valid)|unrout|invalid|malformed|unknown|syntax|mismatch)",
        r"no such sender|sender (?:e-?mail )?(?:address )?(?:does not|must|domain)",
        r"(?:empty|null) (?:envelope )?sender|no sender|emetteur",
        r"(?:unrout\w+|invalid|bad|unknown|forged|fake|unresolvable|unvalidated) (?:envelope )?(?:sender"
        r"|originator|return[- ]path)",
        r"domain of sender",
        r"(?:invalid|no such|bad|unknown|malformed) (?:domain|address|host|user|mailbox)\b.{0,20}\bsender",
        r"your sender address|from (?:an? )?(?:bad|invalid|unknown|illegal|forged) (?:address|sender|domain)",
        r"your (?:e-?mail |sender )?address\b.{0,40}(?:dns|\bmx\b|resolve)",
        r"\bdns\b.{0,20}your (?:address|domain)",
        r"your (?:sending |sender |from )?domain\b.{0,40}(?:\bmx\b|resolve|dns|not exist|not found|unknown"
        r"|invalid)",
        r"(?:address|domain|validity) of (?:the )?sender|valid sender|invalid dns|dns mx|verify mail ?from",
        r"(?:cannot|can't|could not|unable to) verify .{0,20}sender",
    ),
    _text(
        C.POLICY,
        "this sender may not write there, by their rule",
        r"\bsenders?\b.{0,40}(?:reject|refus|deni|block|prohibit|filter|unvalid|not (?:\w+ )?(?:allow|accept"
        r"|authori|permit|verified|valid|in\b))",
        r"(?:denies|rejects?|refuses) (?:the |this |your )?(?:envelope )?sender|badmailfrom",
        r"permission to (?:post|send)|address is not verified|restricted|mailpolicy",
        r"policy (?:restrict|violation|reject)|(?:due to|by|for|against) (?:\w+ ){0,3}polic(?:y|ies)\b",
        r"only accepts? (?:mail|messages) from|black (?:mail )?address",
        r"(?:your|from|sending) (?:e-?mail )?address .{0,30}(?:reject|refus|deni|block|not allow)",
        r"sending for this account|\bnot logged in|allowed[- ]senders",
        r"(?:contact|approved|safe|known) senders|groups\.google\.com|members?[- ]only|non-?members?",
        r"only subscribers|bouncedeny|backscatter|multi-recipient bounce|bounces (?:are|is)\b",
        r"\bfrom (?:header |address )?(?:is |are )?not (?:authori|allow|permit|verified)",
        r"not (?:allowed|authori[sz]ed|permitted) to (?:send|post|mail|receive)|no permission",
        r"notauthori[sz]ed|sendernotauth",
    ),
    _text(
        C.POLICY,
        "the recipient's own filter refuses us",
        r"(?:refuses?|refused|chosen not) to (?:receive|accept)|user reject",
        r"(?:recipient|user)(?:'s)? (?:rules?|pref|filter|settings)",
        r"(?:reject|refus|block|declin|denied|filter)\w* by (?:the |this |their )?(?:recipient|user"
        r"|addressee|owner|customer|receiver|destination domain)",
        r"(?:recipient|user|addressee|receiver) (?:has )?(?:refus|deni|block|declin|reject(?!ed))\w*|message filtered",
        r"protected by|white-?list|resolver\.rst\.not",
        r"not (?:currently )?accepting (?:any )?(?:e-?)?(?:mail|messages) from|envelope blocked|user entry",
        r"does(?: not|n't) accept (?:e-?mail|messages?) (?:from|in)",
    ),
    _text(
        C.BUSY,
        "their disk is full, not the mailbox",
        r"insufficient (?:system|queue|disk|server)|not enough (?:disk |free )?space on",
        r"(?:mail )?system (?:is )?full|queue (?:file )?(?:write|full|unavail)|disk (?:is )?full",
        r"no space left on|(?:storage|space|disk) on (?:the|this|our) (?:server|system)",
        r"out of (?:disk|system) (?:space|storage)",
    ),
    _text(
        C.FULL,
        "the mailbox is full",
        r"(?:over|exceed\w*|exceeds?|out of|above|beyond)\b.{0,40}\b(?:quota|storage)|quota.{0,20}exceed",
        r"overquota|(?:mail ?box|inbox|account|maildir|folder|user|recipient|storage)\b.{0,30}\bfull\b",
        r"full mail ?box|mail ?box (?:size )?(?:limit )?exceed",
        r"(?:storage|mail ?box|space)(?: size| storage)? limit (?:is |was |has been )?(?:reached|hit)",
        r"reached (?:its|the|his|their) (?:max|storage|size|quota|limit)|no space left",
        r"exhausted .{0,20}(?:storage|space|quota)|storage (?:space )?.{0,20}exhaust",
        r"\bspace (?:is )?not enough|too many (?:messages|mails) (?:on|in) (?:the|this|your|mailbox|server)",
        r"(?:mail ?box|user|recipient|account|maildir|\binbox)\b.{0,40}(?:out of|no (?:more )?|insufficient"
        r"|low on) (?:storage|space|disk|room|quota)",
        r"/(?:spool|var|home|mail)\S* .{0,60}file too (?:large|big)",
        r"(?:file|message) too (?:large|big) for mail ?box|exceeded storage allocation",
        r"storage (?:is )?(?:full|exceeded)|not enough (?:storage )?space",
        r"(?:over|reached|exceeded|violat\w+)\b.{0,30} quota",
        r"quota.{0,40}(?:exceed|violation|full|exhaust|used up|reached)",
        r"(?:not|no) enough (?:disk |storage |free )?space in|too much (?:mail )?data|bo[iî]te .{0,30}pleine",
        r"(?:would|has) exceed\w*.{0,40}(?:mailbox|quota|storage)",
        r"mailbox.{0,40}(?:exceed|too full|over limit)|quota is over|\bspace (?:is |has )?(?:been )?used up",
        r"larger than the (?:available )?space|overdraw\w* .{0,20}quota|maximum (?:allowed )?number of messages",
    ),
    _text(
        C.BUSY,
        "the program that should have taken the mail failed",
        r"local delivery failed|error in redirect|home directory|\.qmail\b|command (?:died|failed|output|time limit)",
        r"unable to (?:chdir|switch|lock|append|stat)",
        r"(?:cannot|can't|could not|unable to) (?:update|write|append|create|lock|store|save)",
        r"(?:file|maildir|mailbox|dir\w*)\b.{0,60}permission denied|mailbox (?:file|has an invalid format)",
        r"child process|exit(?:ed)? (?:status|code|with)|terminated by signal|unknown mailer error",
        r"pipe to \||procmail:|can't create (?:user )?output",
        r"(?:mailer|delivery agent|transport) (?:error|failed)|local configuration error|points? back to",
        r"storedrv|mapiexception|i/o error|input/output error|can(?:not| not|'t) open .{0,20}(?:file|mailbox)",
        r"no such (?:file|directory)|errno ?=",
    ),
    _text(
        C.TOO_BIG,
        "the message is too big",
        r"(?:message|mail|size|attachments?|length|file)\b.{0,40} (?:(?<!queue )(?<!for )too (?:big|large"
        r"|long)|(?<!timeout )exceed(?!\w* .{0,20}(?:time|life|\bage|hop|retr|queue)))",
        r"size limit|taille limite|file too big|\b(?:length|size)\b.{0,40} (?:achiev|reach|over|above|beyond)\w*",
        r"larger than .{0,30}(?:limit|allow|accept|permit|max|bytes|[km]b)",
        r"exceeds?.{0,40}(?:size|length|maximum(?! (?:life|time|age)))|too (?:big|large) (?:message|mail)",
        r"max\w* (?:message )?size",
    ),
    _text(
        C.BUSY,
        "they have not verified the address yet",
        r"unverified address(?!.{0,200}(?:unknown|not exist|not found|no such|reject|invalid))",
        r"verification in progress|verify callout",
        r"(?:cannot|could not|unable to|can't) (?:be )?verif\w+ .{0,20}(?:at the moment|now|temporar)",
    ),
    _text(
        C.REJECTED,
        "that server does not take mail for this domain",
        r"domain (?:is |was )?not (?:allowed|hosted|handled|served|local|accepted|listed|here)",
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
        r"no such (?:host|domain)|illegal host|(?:find|resolve) an?y? (?:host|mail)|name or service not known",
        r"invalid (?:host|(?:recipient|destination|rcpt) domain)(?: ?name)?(?: in"
        r"| for)? ?(?:the )?(?:recipient|address|rcpt|$)",
        r"infodomainnonexistent|non-?existent domain|unknown mail(?:er)? host",
        r"domain \S{1,255} (?:could not|couldn't) be found|(?:un|not )rout\w+ mail domain",
        r"mx records point to non-?exist|domain (?:must|could not)|(?<!account or )domain may not exist",
        r"domain\b.{0,40} (?:not found|not exist)|bad destination (?:system|host)|find the recipient domain",
        r"^[\w-]+(?:\.[\w-]+){1,8} does not exist|no (?:a|mx|mail) (?:records?|found)|domain does not exist",
    ),
    _text(
        C.NULL_MX,
        "the domain takes no mail",
        r"null ?mx|indicated no smtp service|not used for (?:e-?)?mail",
        r"(?:domain|host|server|system|\.[a-z]{2,12}) (?:does not|doesn't|do not) (?:accept"
        r"|receive) (?:any )?(?:e-?)?mail",
        r"n[o']t (?:accept|receive) (?:e-?)?mail$",
    ),
    _text(
        C.ROUTING,
        "DNS had no answer for their domain",
        r"dns (?:\w+ )?(?:error|problem)|no relevant answers|name server error|(?:host name|mx|cname) lookup",
        r"no valid route|(?<!not )local host|(?:look-?up|resolution) did not|loop detected",
        r"dns (?:lookup|query|server) fail|no address associated|look ?up host",
    ),
    _text(
        C.MOVED,
        "the recipient has moved",
        r"no longer (?:on (?:this )?server|with|works|work|employed|at|an? (?:employee|member|customer))\b",
        r"(?<!being )(?<!message )\bmoved(?! to (?:quarant|spam|junk))|(?:new|changed) (?:e-?mail )?address",
        r"address (?:has )?(?:been )?changed|not our user|has been replaced by|(?<!no )forwarding address",
        r"left the (?:company|organi)|user not local.{0,12}please try .",
    ),
    _text(
        C.UNREACHABLE,
        "the reporter had given their host a rest",
        r"delivery temporarily suspended: (?:connect|conversation|lost|cannot|host|tls)",
    ),
    _text(
        C.INACTIVE,
        "the mailbox is closed, locked or not used",
        r"(?:account|mail ?box|user|recipient|address|alias|inbox"
        r"|domain)\b(?!.{0,20}not exist).{0,60}\b(?:disabled|inactive|(?<!found or )inactivated|suspended"
        r"|retired|deactivated|frozen|locked|closed|discontinued|terminated|dormant|expired|on hold|(?:not"
        r"|n't) (?:yet |been |currently )?(?:active|activated|being accepted|accepting)|no longer (?:active"
        r"|available|in use|accept)|blocked due to inactiv|unsubscribed|abandoned)",
        r"\b(?:disabled|inactive|suspended|deactivated|dormant|locked|expired|frozen|closed"
        r"|retired) (?:account|mail ?box|user|recipient|address|e-?mail)",
        r"\bon hold\b|(?:account|mail ?box|inbox) (?:is |has been |was |currently |temporarily )*blocked",
        r"account (?:has been )?(?:deleted|removed)",
        r"(?:mail|receiving|delivery|is) (?:receiving |now |currently |administratively )?(?:disabled"
        r"|suspended)\b",
        r"(?:for|due to) (?:prolonged )?inactivity|temporarily locked|mail is not .{0,20}accepted for",
        r"n[o']t (?:been )?(?:collected|poped|popped|logged in|accessed|checked|entered|visited)\b|\binactive on\b",
        r"never (?:logged|activated|signed in)|not an? active (?:account|address|user|mail ?box|recipient)",
    ),
    _text(
        C.UNKNOWN,
        "there is no such recipient",
        rf"\b{_WHO}(?: \S{{1,80}}){{0,2}}? (?:is |may |might |seems to |are |was |were |does |do |did |could "
        r"|can |has |have |been |be )*(?:\"?(?:unknown|invalid(?! format)|undeliverable|unrouteable"
        r"|non-?existent|bad(?! format)|incorrect|wrong|misspelled)\b|(?:not|n't|no longer|never)(?: been"
        r"| be| currently)? (?:a |an )?(?:found|exist|known|listed|valid|recogni|registered|located|ok\b"
        r"|present|accepted$|defined|hosted|served|verified|member|in (?:our|the|this|ldap)|here\b"
        r"|local user))",
        r"(?:unknown|invalid|unrout\w+|bad|illegal|non-?existent|no such|not an? (?:valid|known|local)|no"
        r"|wrong|incorrect|unrecogni\w+|undeliverable|improper|could not find|unable to find|not have any"
        r"|not have such|can't find|cannot find|couldn't find|no valid|no matching) (?:or (?:unknown|illegal"
        r"|invalid|inactive) )?(?:the |an? |any |this |user's )?(?:e-?mail |local |destination |virtual "
        rf"|final |delivery |envelope |mail |smtp |such ){{0,2}}(?:{_WHO}|local[ -]?parts?|users)\b(?! (?:is "
        r"|was )?(?:over|full|exceed|info|auth|logged|login|quota|space|storage|count|content|agent|format"
        r"|data|look|limit|right|permi|famil|domain|accepts|error))",
        r"(?:doesn't|does not|do not|don't|did not) (?:exist|have an? \S{1,80} account|have an account"
        r"|handle mail for that)",
        r"no (?:mailbox|account|user|one|mail box|such person)\b.{0,30} (?:here|by that name|at this"
        r"|with that)",
        r"mailbox (?:is )?(?:currently )?(?:unavail|not available|not found)|recip\w*notfound|resolver\.adr",
        r"path no exist|(?:unknown|no such) name\b|user ?not ?(?:found|known|local|exist)",
        r"no valid (?:e-?mail )?recipient|unroutable address|(?:in|by) ldap server",
        r"(?:recipient|e-?mail) (?:address(?:es)? )?rejected(?: ?: access denied|[.: ]*(?:\[.*|as\(.*)?$)",
        r"^#?address rejected|no longer (?:exists?|valid)\b",
        r"unavailable (?:mail )?(?:user|recipient)|not known (?:at|here|on|to us)",
        r"n[o']t in (?:my|our|the|this|your) (?:\w+ ){0,3}(?:recipients?|validrcptto|rcpt ?to|accounts?)\b(?! limit)",
        r"reject\w* (?:the |all )?recipients?\b",
        r"not in (?:the |our |this )?(?:recipient|user|address|account)\w* (?:list|table|map|dir|database)",
        r"not listed in \w+|look-?up in .{0,20}(?:map|table|directory) failed|verify failure|bad-?rcpt",
        r"bad-?recipient|(?:can't|cannot) accept user|no(?:t| one| matching)\b.{0,20}at this address",
        r"not (?:a )?(?:\w+ )?(?:our|this|of our) (?:\w+ )?(?:user|customer|member|subscriber)",
        r"(?:recipient|user)s? (?:is |are )?missing",
        r"(?:address|recipient|user|mailbox) (?:couldn't|could not|cannot|can't) be (?:found|verified"
        r"|located|resolved)",
        r"(?:no|not) (?:have )?(?:such|an?) (?:\S{1,80} )?(?:account|mailbox)|no final e?-?mail delivery",
        r"all recipients|final e?-?mail delivery point|check (?:the|all|your) (?:recipient|address)",
    ),
    _text(
        C.REJECTED,
        "that server does not pass mail on for us",
        r"relay(?:ing|ed|s)?\b.{0,40}(?:denied|denies|not|prohib|refus|reject|restrict|forbid|disab)",
    ),
)

# Vaguer words, for codes that say nothing.
VAGUE_TEXTS: Final = (
    _text(
        C.BUSY,
        "their server is not well",
        r"temporarily rejected message|temporary (?:system|server|local)",
    ),
    _text(
        C.GREYLISTED,
        "they name a time to come back at",
        r"(?:come back|try again|retry|resend)\b.{0,20} (?:in|after) \d",
    ),
    _text(
        C.CONTENT,
        "taken for spam, or refused for what it contains",
        r"(?<!abuse-)spam|\bu[bc]e\b|\bjunk\b|unsolicited|virus|malware|infected|trojan|phish|\bph\d\d\b",
        r"attachments?\b|\bcontents?\b|suspicious|invalid data|file (?:type|extension)",
        r"(?:banned|forbidden|executable|dangerous) \w+|\bpolic(?:y|ies)\b",
        r"mail (?:data |\S{10,40} )?(?:was |is )?(?:reject|refus)|violat|\brules?\b|censor",
        r"message (?:was |is |has been )?(?:rejected|refused|blocked|denied|not (?:accept|allow))|prohibit",
        r"unacceptable|held (?:for|before)|quarantin",
        r"security (?:issue|risk|reason)|undesired|objectionable|profan|spoof|forge",
    ),
    _text(
        C.EXPIRED,
        "the time for delivery ran out at a later server",
        r"(?:message|envelope|mail|delivery|retry)\b.{0,20} (?:has )?(?:expired|timeout exceeded|timed out)",
        r"queue\.expired",
        r"in(?: the)? (?:allowed|configured|maximum|permitted|specified) .{0,20}(?:time|period)",
        r"(?:has|have|is|now) expired|max(?:imum)? (?:time|age|retr|attempts|queue|life)",
        r"(?:queue|retry|delivery) (?:time|life)\w* .{0,20}(?:exceed|reach)",
        r"(?:too many|multiple|several|after|failed) (?:\d+ )?(?:delivery )?(?:attempt|retr(?:y|ie)|tr(?:y"
        r"|ie)|failure)|tried all\b",
        r"in (?:the |our |its )?queue (?:for|since) \w|not be (?:re)?tried (?:again|any)",
        r"(?:in the queue|in queue|delivered) (?:for )?too long|retry time(?:out)?|unable to deliver in \d",
        r"hosts have been failing|no action is required on your part|delivery time expired",
        r"not (?:be )?delivered (?:for|within) \d|deliver this message after \d",
    ),
    _text(
        C.UNREACHABLE,
        "another server could not reach the next one",
        r"connection (?:was |has been )?(?:refused|timed out|reset|lost|dropped|failed)|timed? ?out",
        r"(?:did|is|was) not (?:respond|answer)",
        r"(?:unable|could not|couldn't|failed|not able|wasn't able) to (?:connect|establish|contact|reach)",
        r"(?:could not|can't|couldn't|cannot) connect|socket error|tcp active open",
        r"connection\b.{0,60} (?:is )?(?:broken|died|closed|aborted|terminated|interrupted)|broken pipe",
        r"(?:closed|dropped|lost|broke|reset) (?:the |our )?connection",
        r"read error|host (?:is )?down|no answer|network (?:error|problem|fail)",
        r"malformed (?:or unexpected )?name server|no route to host|unreachable|too long|lost connection",
        r"not accept our requests to connect",
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
        r"\b(?:open|as an?|no|deni\w+|refus\w+|unauthori\w+|illegal|third[- ]party|use \S{1,80} as a"
        r"|to) relay",
        r"not a gateway",
        r"(?:don't|do not|does not|doesn't|cannot|can't|won't|will not|not) (?:handle|relay|accept mail for)",
        r"\bnot local\b|allowed rcpthosts|(?:one of|in|among) our domains",
        r"not configured to (?:accept|relay|handle)|accept mail for (?:that|this|the) domain|rcpthosts",
        r"non-?local (?:domain|recipient|user)|local users? only|only .{0,20}local users|mail relay",
        r"relay (?:check|access)",
    ),
    _text(
        C.LOGIN,
        "our login is missing or was refused",
        r"\bauth\w* (?:is )?(?:required|failed|failure|unsuccessful|credentials|error|mechanism|needed)",
        r"password not accepted|must (?:be )?authenticate|not (?:been )?authenticated",
        r"requires? (?:smtp )?auth|log ?in|anonymous|cryptograph",
    ),
    _text(
        C.BLOCKED,
        "they refuse connections from our address",
        rf"(?:client|host|\bip|connections?|server|network|country)\b.{{0,60}} (?:{TURNED_AWAY}|denied|block"
        r"|forbid|not accept)",
        r"not accepting connections|no smtp service|service refus|invalid domain name|:blocked\b|\bblocked\b",
        r"\bblacklist",
    ),
    _text(
        C.DENIED,
        "they refuse us and do not say why",
        r"access denied",
    ),
    _text(
        C.PROTOCOL,
        "they did not understand the conversation",
        r"syntax|sequence (?:of commands|error)|bad sequence|synchroni[sz]ation|pipelining",
        r"protocol (?:error|violation)|not implemented|\bhelo\b|\behlo\b",
        r"invalid (?:command|argument|parameter)|unsupported|non-?ascii|illegal character|unrecogni[sz]ed",
        r"8bitmime|smtputf8|line (?:is )?too long|(?:command|option) (?:not|unknown)|unexpected",
        r"not understood",
    ),
    _text(
        C.BUSY,
        "their server is busy or broken",
        r"busy|overload|load average|resources|system error|internal (?:server )?error",
        r"local (?:error|problem)|try again|temporar|service (?:is )?(?:not available|unavailable)|closing",
        r"maintenance|configuration error|transaction failed|later|out of memory|misconfigur|\bldap\b",
        r"software error|look-?up (?:failure|failed)|mailbox database|system config",
    ),
)

# A refusal in so many words, and no more.
BARE_TEXTS: Final = (
    _text(
        C.REJECTED,
        "they refuse it and do not say why",
        r"\breject|\brefuse|\bdenied\b|not accept",
    ),
)

UNEXPLAINED: Final = (C.UNCLEAR, "refused without a reason we know")

STAGES: Final = (
    SURE_CODES,
    TELLTALE_TEXTS,
    RECIPIENT_TEXTS,
    TONGUES,
    CODES,
    VAGUE_TEXTS,
    VAGUE_TONGUES,
    HOLLOW_CODES,
    BARE_TEXTS,
)
