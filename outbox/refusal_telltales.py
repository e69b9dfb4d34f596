"""Texts that give the matter away whatever code came with them: blocks, authentication, rate, spam.

Data only; the first stage of words in `refusal_rows`, whose remarks hold here too. Addresses of hosts have become
the word "ip" (`refusals.told`). Among the words are the short codes that providers document on their postmaster
pages: AOL and Yahoo, Comcast, Cox and Charter, Microsoft, NetEase.
"""

from typing import Final

from outbox.refusal_causes import Cause
from outbox.refusal_causes import text as _text

C = Cause

# Turned away: we, and not a message or a recipient that is named next.
TURNED_AWAY: Final = (
    r"(?:reject|refus)(?!\w* (?:\w+ )?"
    r"(?:recipients?|messages?|e?-?mails?|address\w*|senders?|users?|data|it)\b)"
)

_US: Final = (
    r"(?:your|the|from|sending|sender|source|client|remote|connecting|originating|peer|^) "
    r"(?:ip(?: address)?|address ip|network|host(?:name)?|(?:mail ?)?server(?! returned)"
    r"|(?<!sender )(?<!from )domain|mta|isp|subnet|range)"
)

TELLTALE_TEXTS: Final = (
    _text(
        C.GREYLISTED,
        "greylisted",
        r"gr[ae]y-?[ _]?list|\bgrey\.rbl|\bgl01\b",
    ),
    _text(
        C.UNCLEAR,
        "the receiver's own block-list look-up fails: not our listing",
        r"open resolver|excessive (?:number of )?queries|127\.255\.255\.25\d",
    ),
    _text(
        C.PROTOCOL,
        "the message breaks a rule of RFC 5322",
        r"(?:duplicate|multiple|missing|invalid|malformed|bad|illegal"
        r"|no)\b(?:(?! --).){0,40}\bheaders?\b(?! from)",
        r"\bheaders? (?:\w+ )?(?:error|syntax|fail|missing|mismatch|too long|not allowed)",
        r"no (?:valid )?(?:resent-)?(?:from|to|date|subject) (?:field|header)|multiple addresses in from",
        r"not rfc[ -]?\d{0,4} ?compliant|(?:invalid|malformed) message (?:format|structure)",
        r"(?:must|not|n't) (?:be |comply|conform|follow).{0,30}\b(?:rfc|standard)",
        r"rfc ?[258]\d{2,3}\b.{0,20}(?:complian|section|violation)|not (?:compliant|in compliance) with",
        r"violat\w+ (?:of )?(?:the )?rfc|too many (?:headers|lines)|improper use of 8-?bit",
        r"charset not supported|\bmime\b.{0,20}(?:error|complex|invalid|reject|structure|malform)",
        r"(?:invalid|malformed) mime|(?:bare|stray|lone) (?:lf|cr|newline|linefeed|carriage)",
        r"\bnul(?:l)? (?:bytes?|characters?)\b|message[- ]id\b.{0,20}(?:missing|invalid|required)",
        r"future date|date .{0,20}in the (?:future|past)|\blines? (?:is |are )?too long"
        r"|line length (?:limit|exceed)",
    ),
    _text(
        C.CONTENT,
        "taken for spam",
        r"spam classification",
        r"(?:scored|classified|identified|detected|marked|rejected|flagged) as (?:\w+ )?spam\b",
        r"likely (?:unsolicited|spam)",
        r"(?<!many )(?:anti-?)?spam (?:filter|check|content|message|mail|score|detect|scale|engine)",
        r"(?:consider\w*|seems|looks?|appears?) .{0,12}(?:spam|junk)|bulk e?-?mail",
        r"(?:junk|spam) (?:e-?)?mail (?:reject|detect)|\b(?:dt:spm|mi:spb|hvu:b\d|con-p\d|msg-p\d|rly:bd)\b",
    ),
    _text(
        C.AUTHENTICATION,
        "SPF, DKIM or DMARC did not pass",
        r"\bspf1?\b|\bdmarc\b|\bdkim\b|sender[- ]policy[- ]framework|sender[- ]?id\b|domainkeys",
        r"unauthenticated|authentication (?:information|checks?|level)|(?:pass|fail\w*) authentication",
        r"unaligned|\barc (?:seal|valid|fail)|\bmi:spf\b",
    ),
    _text(
        C.PTR,
        "our address has no matching reverse DNS",
        r"(?:reverse|backward|inverse)[ -]?(?:dns|look-?up|host|path|record|address|name|mapping|resolution)",
        r"\bptr\b|\br-?dns\b|\bdns:\w\w\b|unverif\w+ sending ip|mismatch\w* client ip|generic host ?name"
        r"|\brtr:rd\b",
        r"(?:find|resolve|verify|look ?up|map) (?:your|the client|client|ip)\b.{0,20}(?:host ?name|address"
        r"|ip|dns)",
        r"\bip\b.{0,30}(?:does|do|did|could|can) ?no?t (?:be )?(?:resolve|map|match)",
        r"host ?names?\b.{0,20}(?:not be verif|n[o']t match)|unresolvable (?:relay|ip|host)|ip name lookup"
        r"|failure in dns look-?up",
        r"(?:no|without|missing|invalid|bad) (?:valid )?dns (?:entry|ptr|record)|forward[- ]confirmed",
        r"\bno dns (?:name|entry|record)",
        r"\bip (?:address )?(?:is )?(?:unknown|not (?:found|listed|known)) (?:to|in|by)",
        r"unknown (?:client|host address)|your host\b.{0,20}(?:unknown|not found|resolve)",
        r"client host .{0,30}\bdns|(?:ip|host) has no|no (?:host ?name|name|dns) for ip",
    ),
    _text(
        C.TLS,
        "TLS is demanded, or did not come about",
        r"starttls\b.{0,30}(?:first|required|not|fail|unsupport)|must issue a starttls",
        r"encrypt\w+ (?:is |connection |channel )?(?:needed|required)",
        r"(?:requires?|must use|without|no|need|start|negotiate|establish|initiate) (?:an? )?(?:secure "
        r"|encrypted )?(?:tls|ssl|encryption)\b",
        r"\b(?:tls|ssl)\b.{0,30}(?:required|mandatory|needed|not (?:avail|offer|support)|fail|error"
        r"|handshake|negotiat)",
        r"handshake (?:failure|failed|error)",
        r"secure connection|unsupported (?:tls|ssl)|self-?signed|verify .{0,20}certificate",
        r"certificate\b.{0,30}(?:not|fail|expired|invalid|mismatch|verif|trust)|untrusted certificate",
        r"\b(?:dane|mta-sts|tlsa)\b",
    ),
    _text(
        C.CONTENT,
        "a link or a file in the message is on a list of theirs",
        r"(?:file|attachment) (?:extension|type|name)s?\b|contains? .{0,20}(?:black|block)-?listed",
        r"\b(?:url|link|uri)s?\b.{0,12} (?:reputation|block|reject)",
        r"(?:high[- ]risk|dangerous|executable|banned|forbidden) (?:file|attach|content|word)",
        r"\b(?:uribl|surbl|ivmuri)\b|\bdbl\.spamhaus|\buribl\.",
        r"(?:black|block)\w* ?(?:listed )?(?:url|link|uri)\b|\b(?:urls?|links?) (?:in|of|that)\b",
    ),
    _text(
        C.POPULAR,
        "the recipient gets too much mail at the moment",
        r"receiving mail (?:at a rate|too)|recipient.{0,30} rate\b",
        r"too (?:many|much) (?:e?-?mails?|messages) (?:for|to|in a short)",
        r"(?:mailbox|recipient|user) .{0,20}(?:receiv\w+ too|recipientratelimit)",
        r"\bmessages?\b.{0,20} can receive per",
        r"(?:mail|message) limit (?:for|of) (?:this|the) (?:recip|user|mailb)",
    ),
    _text(
        C.RATE,
        "too much volume or too many complaints for our standing there",
        r"\btss?\d\d\b|\brp-00\d\b|unexpected volume|unusual(?:ly high)? (?:rate|traffic)|\b4\.7\.28\b",
        r"rate[ -]?limit",
        r"(?:too many|maximum number of|excessive) (?:(?!domain|received|hops"
        r"|delivery)[\w-]+ ){0,3}(?:messages|e?-?mails?|connections?|sessions?"
        r"|concurrent|recipients|requests|errors|rcpts?|threads|commands|invalid|attempts|transactions"
        r"|sends)\b(?! (?:on|in) (?:the|this|your|h[ie][sr]|their|mailbox|server))",
        r"too many connect|trop de connexions",
        r"(?<!no )(?:sending|connections?|relay|hourly|daily|hour|day|minute|outbound"
        r"|outgoing)\b.{0,20} (?:quota|limit"
        r"|rate)\b",
        r"limits? (?:of|on) (?:\w+ ){0,3}(?:connections|messages per|recipients)",
        r"message (?:quota|rate|limit)\b|\brate (?:has been |is |was )?(?:exceeded|reached|hit|too high)",
        r"traffic shap|queue quota|sending too (?:much|many)|rate control|per-(?:domain|ip|host"
        r"|sender) limit",
        r"(?:quota|limit|pool)\b.{0,20} (?:for|of) (?:your|this) (?:ip|host|server|network)\b",
        r"unusual\w* (?:\w+ )?(?:activity|traffic|volume)|(?:^|send\w* "
        r"|sent )too much e?-?mail\b(?! (?:data|stored"
        r"|in))",
        r"(?:quota|limit)\b.{0,30} (?:per|this|each|an?|one) (?:hour|day|minute|conn|session)",
        r"frequen\w+ limit|throttl|too (?:fast|quick|frequent)|slow(?:ing)? down|receiv\w+ limit",
        r"excessive (?:volume|traffic|rate|sending)|\bsubmission rate\b|number of (?:rcpts?|recipients)",
        r"(?:rcpt|recipient)s? numbers?\b|too much (?:spam|traffic) (?:from|coming|sent)|allotment",
        r"\bsender rate\b|rate quota",
        r"\bper (?:second|minute|hour|day|connection|session)\b",
        r"exceed\w* (?:the|your|its|our|maximum|max|allowed) .{0,20}(?:rate|number(?! of (?:messages"
        r"|e?-?mails) in)|connections|recipients"
        r"|concurren)",
        r"(?:connection|message) count|recipients? (?:limit|count)|concurrency",
        r"\bmax\w* .{0,40}(?:connections?|sessions?|concurrent|rcpts?|recipients|messages)\b(?! in )"
        r"|only send \d",
        r"\b(?:msgs?|messages?|e?-?mails?|recipients?) (?:per|an?|every) (?:\d+ ?)?(?:h\b|hour|day|min|conn"
        r"|session)",
        r"\bdyn:t\d|\brly:b[123]\b|\brl0\d{5}\b",
        r"\b(?:hl:(?:icc|ifc|itc)|mi:(?:dmc|sfq|stc|cel|ccl|qmc|pdm)|rp:(?:drc|trc|ccl|cel|qrc|rcl))\b",
    ),
    _text(
        C.POLICY,
        "the address that writes is on a list of theirs",
        r"(?:sender|from|e-?mail|(?<!ip[ -])\baddress) (?!ip\b).{0,20}(?:is |has been "
        r"|was )?black-?listed(?! (?:by|at"
        r"|in|on|see))",
        r"(?:sender|from) address .{0,30}(?:black|block|reject|deny)-?list|purported responsible",
        r"^(?:(?!\b(?:ip|host|server|client|range|network)\b).){0,80}\b(?:sender|user|recipient)(?:'s)?\b"
        r"(?! (?:ip|host|server))"
        r"(?:(?!\b(?:ip|host|server|client)\b).){0,30}(?:black|block|reject|deny)[- ]?list",
    ),
    _text(
        C.BLOCKED,
        "our address or domain is on a block list of theirs or of others",
        r"\bs31[45]0\b|\b(?:sc-00[134]|dy-00\d|ou-00\d)\b|\bbl\d\d\b|spamhaus|spamcop|\bsorbs\b|abuseat",
        r"abusix|cobion|cloudmark|senderbase|\bpsbl\b|\w*rbl\b|\brbl[.-]|dns-?bl|uceprotect|nixspam",
        r"mailspike|spamrats|invaluement|barracuda(?:central|networks\.com/rep)|ipcheck|senderscore",
        r"hostkarma|spamrl|\bcbl\b|\b(?:rtr|rly|con):\w\w|\bpol-[pt]\d|\b(?:bl|es)0\d{5}\b",
        r"\b(?:cxbl|cdrbl)\b|\baup#(?!1[0-2]\d\d\b)|\b(?:hl:(?:rep|mep|ihu|ipb)|dt:rbl|wm:bl[iu])\b",
        r"(?:open|multi)[ -](?:proxy|blacklist)|rejecting open|helo command rejected",
        r"(?:in|your|bad|invalid|bogus|fake|forged) (?:helo|ehlo)\b|\b(?:helo|ehlo) (?:host|domain|name)"
        r"|proxy rejected",
        r"(?:no|not|bad|black) (?:access from mail server|allowed to connect|sender ip|ip\b)",
        r"(?:helo|ehlo)\b.{0,20} (?:invalid|mismatch|bad\b|reject|refus|fqdn|fully|not (?:accept|allow"
        r"|resolv|valid))",
        r"refused to talk to|greeting failed|my name was rejected",
        rf"{_US}(?: (?!said:)\S{{1,80}}){{0,3}}? (?:is |has |have |was |been |are |being ){{0,3}}"
        rf"(?:(?:currently|temporarily|permanently) )?(?:block|black|ban|listed|filter|deni|deferr"
        rf"|{TURNED_AWAY}|suspend"
        r"|not (?:allow|permit|accept(?! (?:any )?(?:e-?)?mail)|authori|welcome)(?!\w* to relay)"
        r"|on (?:a|our|the)|in (?:a|our|the)(?! (?:from|message|body))|sending spam|identified|prohibit"
        r"|forbid)",
        r"\bip\b(?: address| is| was| are| has| been| currently| temporarily){0,4} (?:found|listed|filter"
        r"|block"
        r"|black|den|ban|reject|refus|not (?:allow|permit|accept|authori|welcome)|deferr|(?:on|in) (?:an?"
        r"|our|the"
        r"|one))(?!.{0,20} relay)",
        r"(?:e?-?mails?|messages?|connections?|traffic|accepted|block\w*"
        r"|access)(?: \S{1,40}){0,3}? from:? (?:ip|your (?:ip|network|host|server|location|country"
        r"|isp))\b(?!.{0,40}(?:timed|lost|closed))",
        r"(?<!may be )(?:black|block|deny|reject|bad ?guy)[- ]?list",
        r"(?:poor|low|bad) (?:ip )?(?:reputation|profile)|\breputation\b",
        r"(?<!of )banned (?!content|attach|file|word|extension)|blocked using|not in whitelist|blockip",
        r"denyip|(?:too many|excessive|maximum number of) (?:unwanted|bounces|complaints|spams?|unknown|bad)"
        r"|too many .{0,20}complain",
        r"\b(?:you|your (?:server|host|machine)) (?:are|have been|is|was) (?:banned|blocked|blacklisted"
        r"|compromised|infected)(?! by (?:the |this |that )?(?:recip|user))",
        r"we (?:do not|don't|will not|won't) accept .{0,20} from you\b|(?:isp|provider)'s (?:mail|smtp"
        r"|relay)",
        r"\b(?:sbl|xbl|pbl|dul)\b|botnet|(?:exploited|infected|compromised) (?:host|machine|computer"
        r"|server|system)",
        r"\bip\b.{0,20} not (?:in )?(?:the |our )?white-?list|abuse (?:\w+ )?(?:detected|seen|reported) from",
        r"connections? (?:was |is )?(?:refused|rejected|denied|blocked|closed) (?:by|due to"
        r"|for) (?:\w+ )?polic",
        r"user complaints|unwanted messages|namespace mining|\bsc-002\b|spammers?\b|(?:of|for|is|are"
        r"|been) spamming\b"
        r"|sender ?score",
        r"(?:denied|refused|blocked) (?:for|to) (?:your|this|the) (?:ip|host|server|network)\b",
        r"(?:sending|sen[dt]s?|source of|origin of) (?:too much )?(?:spam|junk)\b|\bspam sources?\b",
        r"(?:host|server|ip)s? (?:is |was |has been )?(?:blocked|blacklisted)|intrusion prevention",
        r"abusive (?:host|sender|ip|network)|(?<!deactivated )due to (?:abuse|complaints)|dictionary attack",
        r"harvest|attack detected|in prison|blocked for abuse|service refused?\b",
        r"dynamic(?:ally)?[ -](?:ip|address|assigned|host|pool)|smtp server of your isp|smart ?host"
        r"|geo-?ip|dial-?up|residential",
        r"(?:geographic|your) (?:location|country|region)|access from your|ip (?:is |was )?hang",
        r"(?:connections?|access|e-?mail|mail|messages?|host|client) (?:was |were |is |are )?(?:refused"
        r"|rejected|denied|blocked) (?:due to|because of|for|by) .{0,30}(?:abus|complain|spam (?:source"
        r"|activ))",
        r"complaints (?:we|about|from)|your access to (?:submit|this)",
        r"from (?:this|your) (?:network|country|host|server)\b|unauthori[sz]ed (?:interface|host|ip)",
        r"blocked by ldap|connection (?:is |was |has been )?(?:rejected|denied|blocked|prohibited"
        r"|not (?:authori|allow|permit))",
        r"\bip\b(?: (?!relay)\S{1,20}){0,7} (?:is|was) not (?:authori|allow|permit)(?!\w* to relay)",
    ),
)
