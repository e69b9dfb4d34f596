"""The rows of codes by which a refusal is read: enhanced status codes by how much they say, bare reply codes.

Data only; `refusal_rows.STAGES` has the order in which they are asked, among the words.
"""

from collections.abc import Mapping
from typing import Final

from outbox.refusal_causes import Cause, Code

C = Cause

# Codes with one narrow meaning: they win over any text.
SURE_CODES: Final = (
    Code(1, 6, 6, C.MOVED, "the mailbox has moved (RFC 3463 X.1.6)"),
    Code(3, 4, 4, C.TOO_BIG, "the message is too big for the system (RFC 3463 X.3.4)"),
    Code(4, 6, 6, C.ROUTING, "a routing loop (RFC 3463 X.4.6)"),
    Code(4, 14, 14, C.ROUTING, "a routing loop (Microsoft)"),
    Code(7, 10, 11, C.TLS, "encryption is needed (RFC 5248 X.7.10)"),
    Code(7, 20, 24, C.AUTHENTICATION, "DKIM or SPF did not pass (RFC 7372)"),
    Code(7, 25, 25, C.PTR, "our address has no matching reverse DNS (RFC 7372 X.7.25)"),
    Code(7, 26, 26, C.AUTHENTICATION, "several authentication checks failed (RFC 7372 X.7.26)"),
    Code(7, 27, 27, C.AUTHENTICATION, "SPF failed (Google), or our sender domain has a null MX (RFC 7505)"),
    Code(7, 28, 28, C.RATE, "an unusual rate of unsolicited mail (Google)"),
    Code(7, 29, 29, C.TLS, "mail without TLS is not taken from bulk senders (Google)"),
    Code(
        7, 30, 32, C.AUTHENTICATION, "DKIM, DMARC or alignment is missing (Google's rules for bulk senders)"
    ),
    Code(7, 40, 40, C.AUTHENTICATION, "there is no DMARC record (Google's rules for bulk senders)"),
    Code(7, 509, 509, C.AUTHENTICATION, "DMARC did not pass (Microsoft)"),
    Code(7, 515, 515, C.AUTHENTICATION, "SPF, DKIM or DMARC below the level for bulk (Microsoft)"),
    Code(7, 606, 649, C.BLOCKED, "our address is banned (Microsoft)"),
    Code(7, 650, 651, C.RATE, "our address is slowed down for its reputation (Microsoft)"),
)

# The other registered codes (RFC 3463, RFC 5248) and what providers mean by them.
CODES: Final = (
    Code(1, 1, 1, C.UNKNOWN, "bad destination mailbox (RFC 3463 X.1.1)"),
    Code(1, 2, 2, C.HOST_GONE, "bad destination system (RFC 3463 X.1.2)"),
    Code(1, 3, 4, C.UNKNOWN, "the address is malformed or ambiguous (RFC 3463 X.1.3)"),
    Code(1, 7, 9, C.PROTOCOL, "they do not take our sender address (RFC 3463 X.1.7, X.1.8)"),
    Code(1, 10, 10, C.NULL_MX, "the domain takes no mail (RFC 7505)"),
    Code(1, 20, 22, C.PROTOCOL, "From names nobody, or several (Microsoft)"),
    Code(1, 90, 90, C.RATE, "the daily limit of recipients is reached (Microsoft)"),
    Code(2, 1, 1, C.INACTIVE, "the mailbox is disabled (RFC 3463 X.2.1)"),
    Code(2, 2, 2, C.FULL, "the mailbox is full (RFC 3463 X.2.2)"),
    Code(2, 3, 3, C.TOO_BIG, "longer than the mailbox allows (RFC 3463 X.2.3)"),
    Code(2, 4, 4, C.UNCLEAR, "a mailing list failed to expand (RFC 3463 X.2.4)"),
    Code(2, 121, 122, C.POPULAR, "over the recipient's hourly limit (Microsoft)"),
    Code(3, 1, 3, C.BUSY, "their system is full, closed or lacks a feature (RFC 3463 X.3)"),
    Code(3, 5, 5, C.BUSY, "their system is configured wrongly (RFC 3463 X.3.5)"),
    Code(4, 1, 1, C.UNREACHABLE, "no answer from the host (RFC 3463 X.4.1)"),
    Code(4, 2, 2, C.UNREACHABLE, "a bad connection (RFC 3463 X.4.2)"),
    Code(4, 3, 4, C.ROUTING, "cannot be routed: often a passing fault of their DNS (RFC 3463 X.4.4)"),
    Code(4, 300, 300, C.EXPIRED, "delivery time ran out (Microsoft)"),
    Code(4, 310, 310, C.HOST_GONE, "the domain does not exist (Microsoft)"),
    Code(4, 311, 315, C.ROUTING, "a DNS answer failed or was not valid (Microsoft)"),
    Code(4, 316, 319, C.UNREACHABLE, "no connection to the next server (Microsoft)"),
    Code(4, 5, 5, C.BUSY, "congestion (RFC 3463 X.4.5)"),
    Code(4, 8, 9, C.ROUTING, "a routing error (Microsoft)"),
    Code(4, 7, 7, C.EXPIRED, "delivery time ran out at a later server (RFC 3463 X.4.7)"),
    Code(5, 3, 3, C.RATE, "too many recipients (RFC 3463 X.5.3)"),
    Code(5, 1, 6, C.PROTOCOL, "a command they do not accept (RFC 3463 X.5)"),
    Code(6, 0, 0, C.CONTENT, "something in the content (RFC 3463 X.6.0)"),
    Code(6, 1, 11, C.PROTOCOL, "a media type or conversion they cannot do (RFC 3463 X.6)"),
    Code(7, 4, 4, C.TLS, "security features do not match (RFC 3463 X.7.4)"),
    Code(7, 5, 7, C.POLICY, "a security check of theirs failed (RFC 3463 X.7.5)"),
    Code(7, 8, 8, C.LOGIN, "our login was refused (RFC 4954 X.7.8)"),
    Code(7, 9, 9, C.POLICY, "not accepted for policy reasons (Yahoo's use of X.7.9)"),
    Code(7, 12, 12, C.POLICY, "only for senders of their organisation (Microsoft)"),
    Code(7, 13, 13, C.INACTIVE, "the account is disabled (RFC 5248 X.7.13)"),
    Code(7, 14, 16, C.POLICY, "trust or priority too low (RFC 4865, RFC 6710)"),
    Code(7, 17, 17, C.MOVED, "the mailbox has changed hands (RFC 7293 X.7.17)"),
    Code(7, 18, 18, C.MOVED, "the domain has changed hands (RFC 7293 X.7.18)"),
    Code(7, 50, 99, C.POLICY, "not for us to send there, or to relay through (Microsoft)"),
    Code(7, 320, 325, C.TLS, "no TLS, or a certificate that is not valid (Microsoft)"),
    Code(7, 100, 399, C.POLICY, "a rule of the recipient's organisation (Microsoft)"),
    Code(7, 500, 508, C.BLOCKED, "access denied, spam or abuse seen (Microsoft)"),
    Code(7, 510, 510, C.POLICY, "the recipient blocks this sender (Microsoft)"),
    Code(7, 511, 699, C.BLOCKED, "a banned sender, address or domain (Microsoft)"),
    Code(7, 700, 799, C.BLOCKED, "traffic not accepted from there (Microsoft)"),
)

# Codes that mean as much as their text, when the text said nothing.
HOLLOW_CODES: Final = (
    Code(1, 0, 0, C.UNKNOWN, "something about the address (RFC 3463 X.1.0)"),
    Code(2, 0, 0, C.INACTIVE, "something about the mailbox (RFC 3463 X.2.0)"),
    Code(3, 0, 0, C.BUSY, "something in their system (RFC 3463 X.3.0)"),
    Code(4, 0, 0, C.UNREACHABLE, "something in the network (RFC 3463 X.4.0)"),
    Code(7, 3, 3, C.POLICY, "no conversion that is secure, or no login (RFC 3463 X.7.3, Microsoft)"),
    Code(7, 0, 2, C.POLICY, "not authorised: their policy, not the recipient's absence (RFC 3463 X.7.1)"),
)

# The bare reply code (RFC 5321 §4.2.3, RFC 7504, RFC 3207, RFC 4954).
REPLY_CODES: Final[Mapping[int, tuple[Cause, str]]] = {
    421: (C.BUSY, "the service is closing the channel"),
    451: (C.BUSY, "a local error of theirs"),
    452: (C.BUSY, "insufficient system storage"),
    454: (C.TLS, "TLS is not available for now (RFC 3207)"),
    500: (C.PROTOCOL, "the command is not recognised"),
    501: (C.PROTOCOL, "bad parameters"),
    502: (C.PROTOCOL, "the command is not implemented"),
    503: (C.PROTOCOL, "a bad sequence of commands"),
    504: (C.PROTOCOL, "the parameter is not implemented"),
    521: (C.NULL_MX, "the host takes no mail (RFC 7504)"),
    523: (C.TOO_BIG, "the message is too big"),
    525: (C.INACTIVE, "the account is disabled"),
    530: (C.LOGIN, "authentication is required (RFC 4954)"),
    535: (C.LOGIN, "our login was refused (RFC 4954)"),
    538: (C.TLS, "encryption is required for this login (RFC 4954)"),
    551: (C.MOVED, "the user is not local"),
    552: (C.FULL, "the storage allocation is exceeded"),
    553: (C.REJECTED, "they do not allow the name of a mailbox, and do not say whose"),
    555: (C.PROTOCOL, "parameters not recognised"),
    556: (C.NULL_MX, "the domain takes no mail (RFC 7504)"),
}
