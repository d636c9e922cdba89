"""Reading the tables of info.txt."""

from pathlib import Path

from astbtd.html.data_tables import read_tables, without_tables

INFO = (Path(__file__).parents[3] / "docs/examples/info.txt").read_text()
SMALL = """\
Version: 22.10.0

Bridges (1, expected 2):
  (a link points to unreadable memory, at 0x7f)
Bridge-ID  Name    Creator
abc                ConfBridge

Calls: unknown
"""


def test_the_tables_are_read_channels_first() -> None:
    channels, bridges, taskprocessors = read_tables(INFO)

    assert [table.title for table in (channels, bridges, taskprocessors)] == [
        "Channels (3)",
        "Bridges (3)",
        "Taskprocessors (3)",
    ]
    assert taskprocessors.headings == ("Processor", "Processed", "In Queue", "Max Depth", "Low water", "High water")
    assert taskprocessors.rows[2] == ("stasis/pool", "1234", "5", "17", "450", "500")
    assert channels.rows[0][:8] == (
        *("Local/300@default-00000003;1", "1735689600.3", "default", "300", "2", "AST_STATE_DOWN", "Wait", "600"),
    )


def test_remarks_are_kept_and_empty_columns_dropped() -> None:
    (bridges,) = read_tables(SMALL)

    assert bridges.title == "Bridges (1, expected 2)"
    assert bridges.remarks == ("(a link points to unreadable memory, at 0x7f)",)
    assert (bridges.headings, bridges.rows) == (("Bridge-ID", "Creator"), (("abc", "ConfBridge"),))


def test_a_row_with_a_wide_cell_is_divided_at_the_blanks_if_that_fits() -> None:
    heading = "Bridge-ID  Name  Creator\n"
    text = f"Bridges (3):\n{heading}a          b     c\n{'wide' * 9}  n  c\n{'wide' * 9}  c\n"

    (bridges,) = read_tables(text)

    assert bridges.rows == (("a", "b", "c"), ("wide" * 9, "n", "c"), (f"{'wide' * 9}  c",))


def test_an_empty_table_has_no_rows() -> None:
    (channels,) = read_tables("Channels (0):\n\nrest\n")

    assert (channels.title, channels.rows) == ("Channels (0)", ())


def test_long_tables_are_cut() -> None:
    (channels,) = read_tables("Channels (2000):\nChannel  Unique ID\n" + "a        b\n" * 2000)

    assert (len(channels.rows), channels.rows[-1]) == (1001, ("... and 1000 more, in info.txt",))


def test_the_rest_is_what_is_around_the_tables() -> None:
    assert without_tables(SMALL) == "Version: 22.10.0\n\nCalls: unknown"
    assert "Channel storage: ao2_legacy" in without_tables(INFO)
    assert "stasis/pool" not in without_tables(INFO)
