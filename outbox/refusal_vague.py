"""The rows of vague words: asked after the codes, since they are said of anything.

Data only; `refusal_rows.STAGES` has the order.
"""

from typing import Final

from outbox.refusal_causes import Cause
from outbox.refusal_causes import text as _text
from outbox.refusal_telltales import TURNED_AWAY

C = Cause

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
        r"(?:come back|try again|retry|resend)\b.{0,20} (?:in|after) (?:\d|an?\b|some|five|ten)"
        r"|come back later|first contact",
    ),
    _text(
        C.CONTENT,
        "taken for spam, or refused for what it contains",
        r"(?<!abuse-)spam|\bu[bc]e\b|\bjunk\b|unsolicited|(?<!anti)(?<!anti-)virus|malware|infected|trojan"
        r"|phish|\bph\d\d\b",
        r"attachments?\b|\bcontents?\b|suspicious|invalid data|file (?:type|extension)",
        r"(?:banned|forbidden|executable|dangerous) \w+|\bpolic(?:y|ies)\b",
        r"mail (?:data |\S{10,40} )?(?:was |is )?(?:reject|refus)|violat|\brules?\b|censor|malicious",
        r"(?:messages?|e?-?mail|delivery) (?:was |is |has been )?(?:rejected|refused|blocked|denied"
        r"|not (?:accept|allow))",
        r"prohibit|unacceptable|\bheld\b"
        r"|quarantin|\bbulk\b|scored?\b.{0,20} (?:exceed|over|above|limit"
        r"|points|\d)",
        r"(?:subject|body|macros?|documents?|words?)\b.{0,20} blocked|(?:security|content) (?:check|scan"
        r"|inspection)",
        r"security (?:issue|risk|reason)|undesired|objectionable|profan|spoof|forge",
    ),
    _text(
        C.EXPIRED,
        "the time for delivery ran out at a later server",
        r"(?:message|envelope|mail|delivery|retry)\b.{0,20} (?:has )?(?:expired|timeout exceeded|timed out)",
        r"queue\.expired",
        r"in(?: the)? (?:allowed|configured|maximum|permitted|specified) .{0,20}(?:time|period)",
        r"(?:has|have|is|now) expired|^expired|max(?:imum)? (?:number of )?(?:delivery )?(?:time|age|retr"
        r"|attempts|queue|life)",
        r"(?:queue|retry|delivery) (?:time|life|limit)\w* .{0,20}(?:exceed|reach)|giving up after|too old\b",
        r"(?:too many|multiple|several|after|failed) (?:\d+ )?(?:delivery )?(?:attempt|retr(?:y|ie)|tr(?:y"
        r"|ie)|failure)|tried all\b",
        r"in (?:the |our |its )?queue (?:for|since) \w|not be (?:re)?tried (?:again|any)",
        r"(?:in the queue|in queue|delivered) (?:for )?too long|retry time(?:out)?|unable to deliver in \d",
        r"hosts have been failing|no action is required on your part|delivery time expired",
        r"(?:not (?:be )?|un)delivered (?:for|within|after) \d|unable to deliver after|gave up|attempted \d+ times"
        r"|attempts exhausted|lifetime exceed|deliver this message after \d|undeliverable for \d",
    ),
    _text(
        C.UNREACHABLE,
        "another server could not reach the next one",
        r"connection (?:was |has been )?(?:refused|timed out|reset|lost|dropped|failed)|timed? ?out",
        r"n[o']t (?:respond|answer)|disconnected|no (?:response|answer)|connect failed|end of file"
        r"|write error",
        r"(?:unable|could not|couldn't|failed|not able|wasn't able) to (?:connect|establish|contact|reach)",
        r"(?:could not|can't|couldn't|cannot) connect|socket error|tcp active open",
        r"connection\b[^:]{0,60} (?:is )?(?:broken|died|closed|aborted|terminated|interrupted)|broken pipe",
        r"(?:closed|dropped|lost|broke|reset) (?:the |our )?(?:connection|session)",
        r"read error|(?:host|server) (?:is )?(?:down|unavailable)|network (?:error|problem|fail)"
        r"|hosts? failed",
        r"(?:next hop|mail ?servers?|servers?|gateway|host) (?:is |was |currently "
        r"|temporarily )*(?:unavailable|available)",
        r"(?:socket|network|routing|upstream|proxy|gateway|lmtp|route|hop) (?:error|closed|down|timeout"
        r"|failure)|premature",
        r"malformed (?:or unexpected )?name server|no route to host|(?:un|hosts )reachable|too long"
        r"|lost connection",
        r"not accept our requests to connect",
    ),
    _text(
        C.ROUTING,
        "a routing loop",
        r"hop count|too many hops|\bloop(?:s|ed|ing)?\b|duplicated message-id|(?:unable|not able) to route",
        r"(?:cannot|can't|could not|no) route\b|look ?up mx|no dns\b|find a gateway|name service error",
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
        r"not (?:serve|host) (?:that|this|the) domain|not (?:one of )?our domain|non-?local (?:domain"
        r"|recipient|user)|local users? only|only .{0,20}local users|mail relay",
        r"relay (?:check|access)",
    ),
    _text(
        C.LOGIN,
        "our login is missing or was refused",
        r"\bauth\w* (?:is )?(?:required|failed|failure|unsuccessful|credentials|error|mechanism|needed)",
        r"\bpassword\b|credentials|fail\w* to authenticate|(?:must|please) (?:be )?authenticate"
        r"|not (?:been )?authenticated",
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
        r"invalid (?:command|argument|parameter|character)|need (?:rcpt|mail|helo)|unsupported|non-?ascii"
        r"|illegal character|unrecogni[sz]ed",
        r"8bitmime|smtputf8|line (?:is )?too long|(?:command|option) (?:not|unknown)|unexpected(?! error)",
        r"not understood",
    ),
    _text(
        C.BUSY,
        "their server is busy or broken",
        r"busy|overload|load (?:average|is|too)|resources|(?:system|unexpected|processing|database"
        r"|server) error",
        r"internal (?:server )?error|shutting down|servfail|dns failure|backend|milter|transport unavail"
        r"|licen[cs]e",
        r"storedrv|mapiexception",
        r"local (?:error|problem)|try again|temporar|service (?:is )?(?:not available|unavailable)|closing",
        r"\boffline\b|(?:cannot|can't|could(?: not|n't)|unable to) (?:accept|process|queue"
        r"|handle) (?:your |the |this |any |network )?(?:e?-?mails?|messages?"
        r"|request)|right now|at this time",
        r"not accepting (?:network )?messages|requested action aborted|error in processing|not ready"
        r"|(?:queue|spool) (?:is )?full",
        r"inodes|out of disk|service stopped|failed to write|message store|(?:database|storage|filter"
        r"|scanner) .{0,12}unavail",
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
