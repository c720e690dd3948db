from megakor.text_table import aligned, harmless


def test_columns_are_as_wide_as_their_widest_cell_and_numbers_flush_right() -> None:
    rows = [("source", "tokens", "note"), ("ko", "1,234", ""), ("english", "5", "x")]
    assert aligned(rows, left=1) == ["source   tokens  note", "ko        1,234", "english       5     x"]


def test_what_would_command_a_terminal_is_spelt_out() -> None:
    assert harmless("실험\x1b[2J\n\udc80") == "실험\\x1b[2J\\n\\udc80"
