"""Text from outside, made safe to show: names, paths and error texts that a stranger chose.

A name that a server, a file or a folder brings may hold escape sequences, line breaks, marks that turn the reading
direction, or ten thousand characters. Whoever shows one passes it through `printable`; whoever prints a line that holds
one uses `say`, which knows no markup; a table for spreadsheets takes `spreadsheet_cell`.
"""

from unicodedata import category

from rich.console import Console
from rich.text import Text

NAME_LENGTH = 200
SENTENCE_LENGTH = 4000
_LEFT_OUT = "…"
_BYTES = range(0xDC80, 0xDD00)  # what Python reads a byte as that is not UTF-8, in a path
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last four are full-width
_BREAKS = "\n\t"
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control, format, surrogate, line and paragraph separator
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: object, most: int = NAME_LENGTH) -> str:
    """`text` as one line that no terminal, page or log acts on.

    Control, format and bidirectional characters, line breaks, unassigned code points and bytes that are not UTF-8
    are written as backslash escapes. What is longer than `most` characters keeps its beginning and its end.

    Args:
        text: anything; its `str` is shown.
        most: characters of the result at most, at least 3.
    """
    shown = str(text)
    if len(shown) > most:
        shown = _shortened(shown, most)
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else _escaped(c) for c in shown)
    return _shortened(shown, most) if len(shown) > most else shown


def visible(text: str) -> str:
    """`text` for a page, as long as it is and with its spaces and line breaks; what acts unseen is written out."""
    if text.isprintable():
        return text
    return "".join(_escaped(c) if c not in _BREAKS and category(c) in _UNSEEN else c for c in text)


def spreadsheet_cell(text: object, most: int = SENTENCE_LENGTH) -> str:
    """`text` as `printable` writes it, and with a quote before what a spreadsheet would take for a formula.

    Source: OWASP, CSV Injection.
    """
    shown = printable(text, most)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


def say(console: Console, text: object, style: str = "") -> None:
    """Print `text` as one line, however long, with nothing in it read as markup."""
    console.print(Text(printable(text, SENTENCE_LENGTH), style), soft_wrap=True, highlight=False)


def _shortened(text: str, most: int) -> str:
    tail = most // 3
    return f"{text[: most - tail - len(_LEFT_OUT)]}{_LEFT_OUT}{text[len(text) - tail :]}"


def _escaped(character: str) -> str:
    code = ord(character)
    if code in _BYTES:
        return f"\\x{code - 0xDC00:02x}"
    if character in _SHORT:
        return _SHORT[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
