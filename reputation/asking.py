"""How a pure room asks the DNS: through a function it is handed, which answers, or raises why it cannot.

"There is none" and "nobody answered" are two answers: the first is evidence, from the second nothing follows.
"""

from collections.abc import Callable

Lookup = Callable[[str, str], tuple[str, ...]]
"""(name without its last dot, type) -> values as a resolver shows them: the strings of a TXT joined, an MX as
`10 mx.example.org.`; raises Absent or Temporary."""


class Absent(Exception):
    """There is no such name, or no such record at it (a void look-up, RFC 7208 §4.6.4)."""


class Temporary(Exception):
    """Nobody answered, or with an error other than NXDOMAIN."""
