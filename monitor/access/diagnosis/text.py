"""Text of a server's answer: made safe to show, easy to compare, and read where it is no JSON. Total."""

import codecs
import re
import unicodedata
from functools import lru_cache

from monitor.access.observation import Diagnosis
from monitor.access.words import Code

#: Characters of a message that are kept; the design's cap for what is shown and stored.
MESSAGE_CAP = 500
#: Characters of a message that the rules read. The longest refusal known has about 700.
FOLD_CAP = 1_200
#: Bytes of an answer that are decoded. Image payloads arrive already reduced by the prober.
DECODE_CAP = 8 * 1024 * 1024

# Pasted answers have typographic quotes.
_QUOTES = str.maketrans({**dict.fromkeys("“”„‟«»＂", '"'), **dict.fromkeys("‘’‚‛＇′`´", "'")})
# Relays write the same sentences in traditional characters; the ones that the rules' phrases need.
_SIMPLIFIED = str.maketrans(
    "無額餘證請組織權過該訪問頻號帳賬處務載飽滿鑰級區審違規發檢測費驗認數帐戶參據儲團隊並對於這應須經沒還預敗",
    "无额余证请组织权过该访问频号账账处务载饱满钥级区审违规发检测费验认数账户参据储团队并对于这应须经没还预败",
)

# What terminals, forums and consoles put inside a sentence: frames, marks of quotation before each line
# and bars behind it, strings joined over lines, and breaks and quotes that were escaped once or more.
_FRAMES = dict.fromkeys(range(9472, 9632), " ")
_JOINED = re.compile(r"[\"'`] {0,3}\+?[ \t]{0,9}\n[ \t]{0,40}[\"'`](?=\S)")
_LINE_MARKS = re.compile(r"[ \t]{1,200}\|[ \t]{0,9}$|^[ \t]{0,40}[>#|⎿*]{1,3}[ \t]", re.MULTILINE)
# The whole run of backslashes at once, whatever follows, so that each is read only once.
_ESCAPES = re.compile(r"\\+(?:([nrt\"'`/])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))?")


def decode(body: bytes, content_type: str = "") -> str:
    """The body as text: UTF-8 unless a byte-order mark or the declared charset says otherwise.

    UTF-8 is tried before the declared charset, since relays declare charsets they do not send.
    """
    body = body[:DECODE_CAP]
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return body.decode("utf-16", "replace")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    _, _, charset = content_type.casefold().partition("charset=")
    try:
        # Only true text encodings: Python also knows "charsets" that unpack or escape.
        name = codecs.lookup(charset.split(";")[0].strip(" \"'")).name
        if name in _LEGACY_CHARSETS:
            return body.decode(name)
    except (LookupError, ValueError):
        pass
    return body.decode("utf-8", "replace")


_LEGACY_CHARSETS = frozenset(
    ("gbk", "gb2312", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr", "iso8859-1", "cp1252")
)


def clean(text: str, cap: int = MESSAGE_CAP) -> str:
    """One line to show: control, bidirectional and invisible characters removed, whitespace folded."""
    text = text[: cap * 4]
    if not text.isprintable():
        text = "".join(
            " " if char.isspace() else char for char in text if char.isprintable() or char.isspace()
        )
    return " ".join(text.split())[:cap]


def fold(text: str) -> str:
    """The text as the rules compare it: unwrapped, cleaned, case folded, plain quotes, capped."""
    text = clean(_unwrapped(text[: FOLD_CAP * 4]), FOLD_CAP)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_SIMPLIFIED)
    return text.translate(_QUOTES).casefold()


def _unwrapped(text: str) -> str:
    """Without what was put between the words of a sentence to show it."""
    if not text.isascii():
        text = text.translate(_FRAMES)
    if "**" in text:
        text = text.replace("**", "")
    if "\n" in text:
        text = _LINE_MARKS.sub("", _JOINED.sub("", text))
    return _ESCAPES.sub(_unescaped, text) if "\\" in text else text


def _unescaped(match: re.Match[str]) -> str:
    mark, number = match[1], match[2] or match[3]
    if number:
        return chr(int(number, 16))
    return match[0] if mark is None else " " if mark in "nrt" else mark


def plain_quotes(text: str) -> str:
    """Typographic quotes made plain, so that pasted JSON can be read."""
    return text if text.isascii() else text.translate(_QUOTES)


#: The most characters that are scanned for fields.
SCAN_CAP = 8_000
_VALUES_PER_FIELD = 6

_FIELDS = frozenset(
    (
        "message",
        "msg",
        "detail",
        "error",
        "raw",
        "code",
        "type",
        "param",
        "status",
        "reason",
        "statuscode",
        "status_code",
    )
)
_FIELD_CAP = max(map(len, _FIELDS)) + 4
# Closing quote and colon (also the full-width one), which are rare in prose, then the name before them.
# Every repetition is bounded.
_COLON = re.compile(r"[\"'] {0,3}[:：=] {0,3}")
_UNQUOTED = re.compile(r"[\w.+-]{1,64}")
# The whole run of backslashes at once, whatever follows, so that each is read only once.
_ESCAPED_QUOTES = re.compile(r"\\+(?:([\"'])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))?")


def loose_fields(text: str) -> dict[str, list[str]]:
    """An error's known fields where no JSON parser reads it: cut off, a Python repr, garbled, quotes escaped.

    The values in order of appearance, by lower-case name; empty when none is found. It is a scan for the
    names and the value after each: nothing is evaluated, and it takes time proportional to the text.
    """
    text = plain_quotes(text[:SCAN_CAP])
    if "\\" in text:
        text = _ESCAPED_QUOTES.sub(_unescaped, text)
    found: dict[str, list[str]] = {}
    for match in _COLON.finditer(text):
        before = text[max(0, match.start() - _FIELD_CAP) : match.start()]
        name = before[max(before.rfind('"'), before.rfind("'")) + 1 :].lstrip("{[, \t\n").casefold()
        if name in _FIELDS:
            values = found.setdefault(name, [])
            if len(values) < _VALUES_PER_FIELD and (value := _value(text, match.end())):
                values.append(value)
    return found


def _value(text: str, start: int) -> str:
    quote = text[start : start + 1]
    if quote in ('"', "'"):
        return _quoted(text, start + 1, quote)
    match = _UNQUOTED.match(text, start)
    value = match[0] if match else ""
    return "" if value.casefold() in ("none", "null", "true", "false") else value


def _quoted(text: str, start: int, quote: str) -> str:
    """Up to the closing quote: one that a comma, a closing bracket or the end follows."""
    end = start
    for _ in range(32):
        end = text.find(quote, end)
        if end < 0:
            return text[start : start + 4_000]
        rest = text[end + 1 : end + 8].lstrip()
        if not rest or rest[0] in ",}])":
            return text[start : min(end, start + 4_000)]
        end += 1
    return text[start : min(end, start + 4_000)]


# What differs between answers that are otherwise equal: ids, and the figures of a rate limit.
_IDS = re.compile(
    r"\b(?:req_\w+|[0-9a-f]{16,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{12,}\w*)\b"
    r"|\brequest[ _-]?id[:= ]{1,2}[\w-]+",
    re.IGNORECASE,
)
_FIGURES = re.compile(r"\d+(?:\.\d+)?")
_WORDS = re.compile(r"[a-z][\w.-]*|[\d.]+", re.IGNORECASE | re.ASCII)


def equal_message(diagnosis: Diagnosis, model: str) -> str:
    """The words of a diagnosis as `equal_words` has them."""
    # A gate's words have no figures but those of models. Why no answer came is in words of our own.
    whole = diagnosis.effect.conclusive or diagnosis.code is Code.NETWORK_ERROR
    return equal_words(diagnosis.message, None if whole else model)


@lru_cache(maxsize=512)
def equal_words(message: str, model: str | None) -> str:
    """The words without ids, and without figures but those of names like the model's; None keeps them all."""
    normal = _IDS.sub("…", message)
    if model is None:
        return normal
    families = re.findall(r"[a-z]+", model.casefold())

    def shown(match: re.Match[str]) -> str:
        word = match[0]
        family = re.match(r"[a-z]+", word.casefold())  # none for a number or a dot alone
        if family and family[0] in families:
            return word
        return _FIGURES.sub("…", word)

    return _WORDS.sub(shown, normal)
