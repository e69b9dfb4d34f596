"""Text as a reader sees it: one spelling for all that looks the same.

Guarantees: case, Unicode's many forms of a letter, accents, invisible characters and letters of other alphabets that
look Latin make no difference afterwards, nor do the look-alikes of ASCII (``l``, ``I``, ``1`` and ``|``; ``O`` and
``0``; ``rn`` and ``m``; ``vv`` and ``w``). The result is for comparing, never for showing. Linear time. Pure.
"""

import re
import unicodedata
from typing import Final

# What shows nothing: soft hyphen, joiners, directions, fillers, variation selectors, tags (Unicode's
# Default_Ignorable_Code_Point); and accents that stand by themselves once letters are decomposed.
_UNSEEN: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
)

# Letters that look Latin and are not, folded (UTS #39 has thousands; these are those that fonts draw alike).
_ALIKE: Final = {
    "а": "a", "в": "b", "с": "c", "ԁ": "d", "е": "e", "ҽ": "e", "є": "e", "һ": "h", "н": "h", "і": "i", "ї": "i",
    "ӏ": "i", "ј": "j", "к": "k", "қ": "k", "м": "m", "п": "n", "о": "o", "ө": "o", "р": "p", "ԛ": "q", "г": "r",
    "ѕ": "s", "т": "t", "у": "y", "ү": "y", "ѵ": "v", "ԝ": "w", "ѡ": "w", "х": "x", "ҳ": "x", "з": "3", "б": "6",
    "α": "a", "β": "b", "ϲ": "c", "δ": "d", "ε": "e", "η": "n", "ι": "i", "κ": "k", "μ": "m", "ν": "v", "ο": "o",
    "ρ": "p", "σ": "o", "ς": "c", "τ": "t", "υ": "u", "χ": "x", "ω": "w", "γ": "y", "ζ": "z", "ϳ": "j",
    "ա": "w", "զ": "q", "հ": "h", "ո": "n", "ռ": "n", "ս": "u", "ց": "g", "օ": "o", "ք": "p", "յ": "j", "լ": "i",
    "ı": "i", "ȷ": "j", "ɑ": "a", "ɒ": "a", "ɓ": "b", "ƅ": "b", "ɔ": "c", "ɖ": "d", "ɗ": "d", "đ": "d", "ɛ": "e",
    "ǝ": "e", "ƒ": "f", "ɡ": "g", "ɢ": "g", "ħ": "h", "ɦ": "h", "ʜ": "h", "ɩ": "i", "ɪ": "i", "ł": "i", "ʟ": "i",
    "ɫ": "i", "ƙ": "k", "ᴋ": "k", "ɱ": "m", "ᴍ": "m", "ɲ": "n", "ŋ": "n", "ɴ": "n", "ø": "o", "ɵ": "o", "ᴏ": "o",
    "ƥ": "p", "ᴘ": "p", "ɋ": "q", "ʀ": "r", "ɾ": "r", "ʂ": "s", "ꜱ": "s", "ŧ": "t", "ƭ": "t", "ᴛ": "t", "ʋ": "u",
    "ᴜ": "u", "ᴠ": "v", "ᴡ": "w", "ʏ": "y", "ƴ": "y", "ʐ": "z", "ƶ": "z", "ᴢ": "z", "ʙ": "b", "ᴀ": "a", "ᴄ": "c",
    "ᴅ": "d", "ᴇ": "e", "ᴊ": "j", "ʌ": "v", "‘": "'", "’": "'", "ʼ": "'", "′": "'", "–": "-", "—": "-", "‐": "-",
    "−": "-", "“": '"', "”": '"', "„": '"', "ⅼ": "i", "׀": "i", "∣": "i", "ꓲ": "i", "ꓳ": "o",
}  # fmt: skip
_LATIN: Final = str.maketrans(_ALIKE)
_ASCII: Final = str.maketrans({"l": "i", "1": "i", "|": "i", "0": "o"})


def folded(text: str) -> str:
    """Lower case, Latin where it looks Latin, nothing invisible; line ends stay."""
    return text.lower() if text.isascii() else _latin(text)


def skeleton(text: str) -> str:
    """What is left of folded text when the look-alikes of ASCII are one."""
    return text.translate(_ASCII).replace("rn", "m").replace("vv", "w")


def _latin(text: str) -> str:
    """Compatibility forms (full-width, circled, mathematical letters) and accents go with NFKD."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return _UNSEEN.sub("", plain).translate(_LATIN)
