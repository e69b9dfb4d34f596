"""The rows of words by which a refusal is read, and the order in which words and codes are asked.

Data only; `refusals.classify` says why that order, `refusal_codes` has the codes, `refusal_telltales` the words
asked first, `refusal_vague` those asked last, `refusal_tongues` those of other languages. Each row carries its
reason, which people see beside the outcome.
To teach a text: a row here, a line in the test.
"""

from typing import Final

from outbox.refusal_causes import Cause
from outbox.refusal_causes import text as _text
from outbox.refusal_codes import CODES, HOLLOW_CODES, SURE_CODES
from outbox.refusal_telltales import TELLTALE_TEXTS
from outbox.refusal_tongues import TONGUES, VAGUE_TONGUES
from outbox.refusal_vague import BARE_TEXTS, VAGUE_TEXTS

C = Cause

# What a mailbox is called, with what may be said between it and its fate.
_WHO: Final = (
    r"(?:user|recipient|mail ?box|account|address(?:ee)?|alias|subscriber|customer|rcpt(?: ?to)?|member"
    r"|e-?mail|inbox|person|mail ?drop)s?"
)
_BOX: Final = (
    r"(?:mail ?box|inbox|account|mail ?dir|mail ?folder|mail ?file|mail ?drop|user|recipient|addressee"
    r"|alias|subscriber"
    r"|customer|address)"
)
_BE: Final = (
    r"(?:(?:is|are|was|were|does|do|did|could|can?|has|have|may|might|seems? to|appears? to|been|be)"
    r"(?= |n't|not\b) ?){0,4}"
)
_FROM: Final = (
    r"(?:senders?|return[- ]?(?:path|address|e-?mail)|mail ?from|from (?:address|domain|header)"
    r"|reverse-path|originator"
    r"|your (?:e-?mail |sender |from )?address)"
)

# Words about the sender, then about the recipient.
RECIPIENT_TEXTS: Final = (
    _text(
        C.PROTOCOL,
        "they cannot resolve or verify our sender address",
        rf"\b{_FROM}\b.{{0,40}}(?:verif|resolve|not (?:be )?found|not (?:exist|valid)|unrout|invalid"
        r"|malformed|unknown|syntax|mismatch|has no\b)",
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
        rf"\b{_FROM}\b.{{0,40}}(?:reject|refus|deni|block|prohibit|forbid|banned|filter|unvalid"
        r"|not (?:\w+ )?(?:allow|accept|authori|permit|verified|valid|a member|[io]n\b))",
        r"\b(?:blocked|rejected|refused|denied|forbidden|unauthori[sz]ed|illegal) (?:envelope )?senders?\b",
        r"(?:denies|rejects?|refuses) (?:the |this |your )?(?:envelope )?sender|badmailfrom",
        r"permission to (?:post|send)|address is not verified|restricted|mailpolicy",
        r"policy (?:restrict|violation|reject)|(?:due to|by|for|against) (?:\w+ ){0,3}polic(?:y|ies)\b",
        r"only accepts? (?:mail|messages) from|black (?:mail )?address",
        r"(?:your|from|sending) (?:e-?mail )?address .{0,30}(?:reject|refus|deni|block|not allow)",
        r"sending for this account|\bnot logged in|allowed[- ]senders",
        r"(?:contact|approved|safe|known) senders|groups\.google\.com|members?[- ]only"
        r"|not a member of (?:th|our)|non-?members?",
        r"only subscribers|bouncedeny|backscatter|multi-recipient bounce|bounces (?:are|is)\b",
        r"\bfrom (?:header |address )?(?:is |are )?not (?:authori|allow|permit|verified)",
        r"not (?:allowed|authori[sz]ed|permitted) to (?:send|post|mail|receive|deliver)|no permission",
        r"notauthori[sz]ed|sendernotauth|delivery (?:is )?not authori|send-?only|only members",
        r"\binternal (?:use|e?-?mail|users?)\b|\bexternal (?:e?-?mails?|senders?|messages?)\b"
        r"|outside (?:the|this|of|your) (?:organi"
        r"|compan|domain)",
    ),
    _text(
        C.POLICY,
        "the recipient's own filter refuses us",
        r"(?:refuses?|refused|chosen not) to (?:receive|accept)|user reject",
        r"(?:recipient|user)(?:'s)? (?:rules?|pref|filter|settings)",
        r"(?:reject|refus|block|declin|denied|filter)\w* by (?:the |this |their )?(?:recipient|user"
        r"|addressee|owner|customer|receiver|destination domain)",
        r"(?:recipient|user|addressee|receiver) (?:has )?(?:refus|deni|block|declin|reject(?!ed))\w*"
        r"|message filtered",
        r"protected by|white-?list|resolver\.rst\.not",
        r"not (?:currently )?accepting (?:any )?(?:e-?)?(?:mail|messages) from|envelope blocked|user entry",
        r"does(?: not|n't) accept (?:e-?mail|messages?) (?:from|in)",
    ),
    _text(
        C.BUSY,
        "their disk is full, not the mailbox",
        r"insufficient (?:system|queue|disk|server)|not enough (?:disk |free )?space on",
        r"(?:mail )?system (?:storage |disk )?(?:is )?full|queue (?:file )?(?:write|full|unavail)"
        r"|disk (?:is )?full",
        r"no space left on|(?:storage|space|disk) on (?:the|this|our) (?:server|system)",
        r"out of (?:disk|system) (?:space|storage)",
    ),
    _text(
        C.FULL,
        "the mailbox is full",
        r"(?:over|exceed\w*|exceeds?|out of|above|beyond)\b.{0,40}\b(?:quota|storage)|quota.{0,20}exceed",
        rf"overquota|(?:{_BOX}|folder|storage)\b.{{0,30}}\bfull\b",
        r"full mail ?box|mail ?box (?:size )?(?:limit )?exceed",
        r"(?:storage|mail ?box|space)(?: size| storage)? limit (?:is |was |has been )?(?:reached|hit)",
        r"reached (?:its|the|his|their) (?:max|storage|size|quota|limit)|no space left",
        r"exhausted .{0,20}(?:storage|space|quota)|storage (?:space )?.{0,20}exhaust",
        r"\bspace (?:is )?not enough|too many (?:messages|mails) (?:on|in) (?:the|this|your|mailbox|server)",
        rf"{_BOX}\b.{{0,40}}(?:out of|no(?: more)?|insufficient|low on|not (?:have )?enough) (?:\w+ )?"
        r"(?:storage|space|disk|room|quota)|(?:no|not enough|insufficient) (?:room|space|storage) (?:in|for)",
        rf"{_BOX}\b.{{0,45}} (?:exceed\w*|over|beyond|reached) (?:(?:its|the|his|their) )?(?:\w+ )?limit",
        r"/(?:spool|var|home|mail)\S* .{0,60}file too (?:large|big)",
        r"(?:file|message) too (?:large|big) for mail ?box|exceeded storage allocation",
        r"storage (?:is )?(?:full|exceeded)|(?:not enough|insufficient) (?:mail ?box )?(?:storage|space)",
        r"storage limit|no quota|exceed\w* .{0,20}allocated|(?:bigg|larg)er than .{0,20}quota"
        r"|mail ?box (?:is )?too (?:big|large)",
        r"(?:over|reached|exceeded|violat\w+)\b.{0,30} quota",
        r"quota.{0,40}(?:exceed|violation|full|exhaust|used up|reached)",
        r"(?:not|no) enough (?:disk |storage |free )?space in|too much (?:mail )?data|bo[iî]te .{0,30}pleine",
        r"(?:would|has) exceed\w*.{0,40}(?:mailbox|quota|storage)",
        r"mailbox[^:]{0,40}(?:exceed|too full|over limit)|quota is over|\bspace (?:is "
        r"|has )?(?:been )?used up",
        r"larger than the (?:available )?space|overdraw\w* .{0,20}quota"
        r"|maximum (?:allowed )?number of messages",
    ),
    _text(
        C.BUSY,
        "the program that should have taken the mail failed",
        r"local delivery failed|error in redirect|home directory|\.qmail\b|command (?:died|failed|output"
        r"|time limit)",
        r"unable to (?:chdir|switch|lock|append|stat)",
        r"(?:cannot|can't|could not|unable to) (?:update|write|append|create|lock|store|save)",
        r"(?:file|maildir|mailbox|dir\w*)\b.{0,60}permission denied|mailbox (?:file|has an invalid format)",
        r"child process|exit(?:ed)? (?:status|code|with)|terminated by signal|unknown mailer error",
        r"pipe to \||procmail:|can't create (?:user )?output",
        r"(?:mailer|delivery agent|transport) (?:error|failed)|local configuration error|points? back to",
        r"i/o error|input/output error|(?:can|could|unable)\S{0,3} (?:not |to )?open .{0,20}(?:file|mailbox)",
        r"no such (?:file|directory)|errno ?=",
    ),
    _text(
        C.TOO_BIG,
        "the message is too big",
        r"(?:message|mail|size|attachments?|length|file|body)\b.{0,40} (?:(?<!queue )(?<!for )too (?:big"
        r"|large"
        r"|long)|(?<!timeout )(?<!time )exceed(?!\w* .{0,20}(?:time|life|\bage|hop|retr|queue)))",
        r"size limit|taille limite|file too big|\b(?:length|size)\b.{0,40} (?:achiev|reach|over|above"
        r"|beyond)\w*",
        r"(?:larg|bigg|great|long)er than .{0,30}(?:limit|allow|accept|permit|max|bytes|[km]b)",
        r"over-?sized?\b|size (?:limit )?violat",
        r"exceeds?.{0,40}(?:size|length|maximum(?! (?:life|time|age)))|too (?:big|large) (?:message|mail)",
        r"max\w* (?:message )?size",
    ),
    _text(
        C.BUSY,
        "they have not verified the address yet",
        r"unverified address(?!.{0,200}(?:unknown|not exist|not found|no such|reject|invalid))",
        r"verification in progress|verify callout",
        r"(?:cannot|could not|unable to|can't) (?:be )?verif\w+ .{0,20}(?:at the moment|at this time|now"
        r"|temporar)",
    ),
    _text(
        C.REJECTED,
        "that server does not take mail for this domain",
        r"domain (?:is ?|was ?)?n[o']t (?:allowed|hosted|handled|served|local|accepted|listed|here)",
    ),
    _text(
        C.ROUTING,
        "a look-up failed and may not next time",
        r"(?:host|domain|name) (?:\w+ )?not found,? try again|temporary (?:dns|name|look-?up|resol)\w*",
    ),
    _text(
        C.HOST_GONE,
        "the recipient's domain does not resolve",
        r"host (?:or domain name )?(?:is )?(?:not found|unknown)|(?<!relaying to )unknown (?:host|domain)"
        r"|nxdomain",
        r"no such (?:host|domain)|illegal host|(?:find|resolve) an?y? (?:host|mail)"
        r"|name or service not known",
        r"invalid (?:host|(?:recipient|destination|rcpt) domain)(?: ?name)?(?: in"
        r"| for)? ?(?:the )?(?:recipient|address|rcpt|$)",
        r"infodomainnonexistent|unknown mail(?:er)? host|enotfound|nosuchdomain",
        r"(?:non-?existent|invalid|bad|illegal) domain\b(?! (?:name|in|of|for|literal)\b)",
        r"resolve (?:the )?(?:\w+ )?domain|\b(?:recipient|destination|mail) domain\b.{0,40} (?:unknown"
        r"|invalid|not valid)",
        r"^domain (?:name )?(?:is |was )?(?:unknown|invalid|not (?:valid|registered)|non-?existent)",
        r"domain \S{1,255} (?:could not|couldn't) be found|(?:un|not )rout\w+ mail domain",
        r"mx records point to non-?exist|domain (?:must|could not)|(?<!account or )domain may not exist",
        r"domain\b.{0,40} (?:not found|not exist)|bad destination (?:system|host)|find the recipient domain",
        r"^[\w-]+(?:\.[\w-]+){1,8} does not exist|domain does not exist",
        r"\bno (?:valid )?(?:a|mx|mail)(?: or (?:a|mx))? (?:records?|found|servers?|exchangers?)",
    ),
    _text(
        C.NULL_MX,
        "the domain takes no mail",
        r"null ?mx|indicated no smtp service|not used for (?:e-?)?mail",
        r"(?:domain|host|server|system|\.[a-z]{2,12}) (?:(?:does not|doesn't|do not) (?:accept|receive)"
        r"|accepts no|takes no) (?:any )?(?:e-?)?mail",
        r"n[o']t (?:accept|receive) (?:e-?)?mail$",
    ),
    _text(
        C.ROUTING,
        "DNS had no answer for their domain",
        r"dns (?:\w+ )?(?:error|problem)|no relevant answers|name server error|(?:host name|mx|cname) lookup",
        r"no valid route|(?<!not )local host|(?:look-?up|resolution) did not|loop detected|too many received",
        r"dns (?:lookup|query|server) fail|no address associated|host map|look ?up host",
    ),
    _text(
        C.MOVED,
        "the recipient has moved",
        r"no longer (?:on (?:this )?server|with|works|work|employed|at|has|an? (?:employee|member|customer"
        r"|user|subscriber))\b",
        r"\b(?:user|person|employee|recipient) (?:has )?left\b|(?:not an|no such|ex-?|former) ?employee",
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
        rf"(?:{_BOX}|domain)\b(?!.{{0,20}}not exist).{{0,60}}\b(?:disabled|inactive|(?<!found or )inactivated"
        r"|suspended|retired|deactivated|frozen|locked|closed|discontinued|terminated|dormant|expired|on hold"
        r"|cancell?ed|barred|out of service|(?:not|n't) (?:yet |been |currently )?(?:active|activated"
        r"|being accepted|accepting)|no longer (?:active|available|in use|accept)|blocked due to inactiv"
        r"|unsubscribed|abandoned|archived|obsolete|unused|unpaid|not paid|parked|not (?:provisioned"
        r"|in service|receiving))",
        rf"{_BOX} {_BE}(?:deleted|removed\b|temporarily unavailable)",
        rf"{_BOX}\b(?:(?!server|system|host|domain).){{0,20}} (?:unable to|cannot|can't"
        rf"|can not) (?:currently )?(?:receive"
        rf"|accept)(?!.{{0,30}} from)",
        rf"\b(?:disabled|inactive|suspended|deactivated|dormant|locked|expired|frozen|closed|retired"
        rf"|terminated|cancell?ed) (?:e-?mail )?(?:{_BOX}|e-?mail)",
        r"blocked (?:e-?mail )?(?:account|mail ?box|user)\b",
        r"\bon hold\b|(?:account|mail ?box|inbox) (?:is |has been |was |currently |temporarily )*blocked",
        r"(?:mail|receiving|delivery|is) (?:receiving |now |currently |administratively )?(?:disabled"
        r"|suspended)\b",
        r"(?:for|due to) (?:prolonged )?inactivity|temporarily locked|mail is not .{0,20}accepted for",
        r"n[o']t (?:been )?(?:collected|poped|popped|logged in|accessed|checked|entered|visited)\b"
        r"|\binactive on\b",
        r"never (?:logged|activated|signed in)|not an? active (?:account|address|user|mail ?box|recipient)",
    ),
    _text(
        C.UNKNOWN,
        "there is no such recipient",
        rf"\b{_WHO}(?: \S{{1,80}}){{0,2}}? {_BE}(?:\"?(?:unknown|invalid(?! format)|undeliverable"
        r"|unrouteable|unrecogni[sz]ed|undefined|non-?existent|bad(?! format)|incorrect|wrong|misspelled)\b"
        r"|(?:not|n't|no longer|never)(?: been| be| currently| (?:appear|seem) to)? (?:a "
        r"|an )?(?:found|exist"
        r"|known|listed|valid|recogni|registered|located|ok\b|present|defined|hosted|served|verified|member"
        r"|[io]n (?:our|the|this|ldap)|here\b|local user))",
        rf"{_BOX} (?:is |was )?not accepted$",
        r"(?:unknown|invalid|unrout\w+|bad|illegal|non[- ]?exist\w+|no such|not an? (?:valid|known|local"
        r"|recogni[sz]ed)|no"
        r"|wrong|incorrect|unrecogni\w+|undeliverable|misspelled|undefined|improper"
        r"|not have(?: any| such)?"
        r"|(?:could not|couldn't|unable to|cannot|can't|failed to) (?:find|locate)|no valid|no matching"
        r"|n[o']t (?:know|recogni[sz]e)(?: of)?) (?:or (?:unknown|illegal"
        r"|invalid|inactive) )?(?:the |an? |any |this |user's )?(?:e-?mail |local |destination |virtual "
        rf"|final |delivery |envelope |mail |smtp |such ){{0,2}}(?:{_WHO}|local[ -]?parts?|users)\b(?! (?:is "
        r"|was )?(?:over|full|exceed|info|auth|logged|login|quota|space|storage|count|content|agent|format"
        r"|data|look|limit|right|permi|famil|domain|accepts|error))",
        r"(?:doesn't|does not|do not|don't|did not) (?:exist|have an? \S{1,80} account|have an account"
        r"|handle mail for that (?:user|recipient|address))",
        r"no (?:mailbox|account|user|one|mail box|such person)\b.{0,30} (?:here|by that name|at this"
        r"|with that)",
        r"mailbox (?:is )?(?:currently )?(?:unavail|not available|not found)|recip\w*notfound|resolver\.adr",
        r"path no exist|(?:unknown|no such) (?:name|id|login)\b|user ?not ?(?:found|known|local|exist)",
        r"no valid (?:e-?mail )?recipient|unroutable address|(?:in|by) ldap server",
        r"(?:recipient|recipient address(?:es)?|e-?mail address) rejected(?: ?: access denied"
        r"|[.: ]*(?:\[.*|as\(.*)?$)",
        r"^#?address rejected|no longer (?:exists?|valid)\b",
        rf"(?<!temporarily )(?<!currently )unavailable (?:e?-?mail )?{_BOX}\b",
        r"unable to be (?:found|located)|tried to reach .{0,20}not (?:be )?(?:found|exist)"
        r"|n[o']t match any\b|\bnobody\b.{0,20} (?:here|name)|(?:bad"
        r"|invalid) destination(?! (?:host|system|domain))"
        r"|not known (?:at|here|on|to us)",
        r"n[o']t in (?:my|our|the|this|your) (?:\w+ ){0,3}(?:recipients?|validrcptto|rcpt ?to"
        r"|accounts?)\b(?! limit)",
        r"reject\w* (?:the |all )?recipients?\b",
        r"not (?:found )?in (?:the |our |this |my )?(?:\w+ )?(?:list|table|map|director\w+|database"
        r"|address ?book|gal|records)\b",
        r"(?:not|n't) (?:an? )?(?:\w+ )?user (?:here|of|at|on)\b|check .{0,12}spelling|\btypo",
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
        r"relay(?:ing|ed|s)?\b(?! server).{0,40}(?:denied|denies|not|prohib|refus|reject|restrict|forbid"
        r"|disab)",
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
