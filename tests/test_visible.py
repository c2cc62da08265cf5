"""What a model wrote commands neither a terminal nor the order of a page."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cirgen.cli.preview import _rows_table
from cirgen.visible import visible

ESCAPES = "\x1b[31mred\x1b]0;owned\x07\x00\x9b2J\u202e"


@given(st.text())
def test_a_text_without_commands_stays_and_no_command_is_left(text: str) -> None:
    shown = visible(text)
    assert len(shown) == len(text)
    assert not any((ord(letter) < 32 and letter not in "\t\n") or 127 <= ord(letter) < 160 for letter in shown)
    if text.isprintable():
        assert shown == text


def test_a_preview_prints_no_command_of_a_text() -> None:
    row = {"reference_file": ESCAPES, "reference_caption": ESCAPES, "target_file": ESCAPES, "target_caption": ESCAPES}
    console = Console(width=200)
    with console.capture() as captured:
        console.print(_rows_table([{**row, "text": ESCAPES, "reason": ESCAPES}]))
    assert not {"\x1b", "\x07", "\x00", "\x9b", "\u202e"} & set(captured.get())
    assert "red" in captured.get()
