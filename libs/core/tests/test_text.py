"""What a stranger may put into a name, and how it is shown."""

import io

import pytest
from rich.console import Console

from latentprint.core.text import NAME_LENGTH, printable, say, spreadsheet_cell, visible

HOSTILE = {
    "escape sequence": ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
    "one-byte escape": ("\x9b31mred", r"\x9b31mred"),
    "line breaks": ("a\nerror: b\r\nc\td\u2028e", r"a\nerror: b\r\nc\td\u2028e"),
    "bidirectional marks": ("\u202egnp.exe\u2066\u200f", r"\u202egnp.exe\u2066\u200f"),
    "invisible": ("a\u200bb\ufeffc\u00add", r"a\u200bb\ufeffc\xadd"),
    "a byte that is not UTF-8": ("caf\udce9.png", r"caf\xe9.png"),
    "half a character": ("\ud800", r"\ud800"),
    "tags": ("a\U000e0041b", r"a\U000e0041b"),
    "NUL": ("a\0b", r"a\x00b"),
    "plain, in any script": ("größe 名前 مثال 😀 [red]x[/red] <b>", "größe 名前 مثال 😀 [red]x[/red] <b>"),
    "empty": ("", ""),
}


@pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_what_a_terminal_would_act_on_is_written_out(text, shown):
    assert printable(text) == shown
    assert printable(printable(text)) == shown
    assert printable(text).isprintable()
    printable(text).encode()


def test_every_character_there_is_comes_out_printable():
    for start in range(0, 0x110000, 0x1000):
        text = "".join(map(chr, range(start, start + 0x1000)))
        assert printable(text, 10**6).isprintable()


@pytest.mark.parametrize("text", ["x" * 10_000, "\x1b" * 10_000, "a" * 150 + "\n" * 60])
def test_what_is_long_keeps_its_beginning_and_its_end(text):
    shown = printable("first" + text + "last")
    assert len(shown) == NAME_LENGTH
    assert shown.startswith("first")
    assert shown.endswith("last")
    assert "…" in shown
    assert printable(text, 3) in {"x…x", r"\…b", "a…n"}


def test_what_is_for_a_page_keeps_its_length_its_breaks_and_its_spaces():
    assert visible("a\u00a0b\u2009c\n\td" + "x" * 10_000) == "a\u00a0b\u2009c\n\td" + "x" * 10_000
    assert visible("\u202ea\x1b\n\u2028\udce9") == "\\u202ea\\x1b\n\\u2028\\xe9"


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "  =1", "\uff1d1", "\uff201"])
def test_a_formula_is_quoted(text):
    assert spreadsheet_cell(text) == "'" + text


def test_a_formula_behind_a_tab_is_written_out_and_what_is_none_is_left():
    assert spreadsheet_cell("\t=1") == r"\t=1"
    assert spreadsheet_cell("a=1.png") == "a=1.png"
    assert spreadsheet_cell(3) == "3"


@pytest.mark.parametrize("text", ["[/red]", "[bold]loud", "a\x1b[31m\nb", "x" * 5000])
def test_a_line_is_said_as_it_is(text):
    stream = io.StringIO()
    say(Console(file=stream, width=40, force_terminal=True, color_system="truecolor"), text)
    assert stream.getvalue() == printable(text, 4000) + "\n"
