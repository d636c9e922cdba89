"""The listing of taskprocessors is read, and queues that are stuck are counted from one listing to the next."""

import pytest

from astbtd.asterisk.taskprocessors import QueueHistory, Taskprocessor, parse
from tests.support.deadlocks import taskprocessor_listing

BEFORE_TIMES = """
Processor                                      Processed   In Queue  Max Depth  Low water High water
app_voicemail                                          7          0          1        450        500
pjsip/default-00000007                              1242         12         44        450        500

2 taskprocessors

"""


def history(*listings: dict[str, tuple[int, int]]) -> QueueHistory:
    """Return the history of listings of process 7: for each queue, the number processed and the number waiting."""
    result = QueueHistory()
    for listing in listings:
        result = result.add(7, {name: Taskprocessor(*counts, high_water=500) for name, counts in listing.items()})
    return result


def test_the_listing_is_read() -> None:
    listing = taskprocessor_listing(("stasis/m:cache_pattern:1/channel:all-00000005", 84, 0), ("a b", 3, 501))

    assert parse(listing) == {
        "stasis/m:cache_pattern:1/channel:all-00000005": Taskprocessor(84, 0, 500),
        "a b": Taskprocessor(3, 501, 500),
    }


def test_the_listing_without_times_is_read() -> None:
    assert parse(BEFORE_TIMES)["pjsip/default-00000007"] == Taskprocessor(1242, 12, 500)


@pytest.mark.parametrize("text", ["", "No such command 'core show taskprocessors'", "0 calls\n1 2 3 4 5 6\n", "\0" * 9])
def test_another_text_lists_none(text: str) -> None:
    assert parse(text) == {}


@pytest.mark.parametrize("row", ["a 1 2 3 4 " + "5" * 5000, "1 2 3 4 5", "a 1 2 3 4", "a 1 2 3 4 5 b"])
def test_a_line_without_a_name_and_five_numbers_is_ignored(row: str) -> None:
    assert list(parse(f"{BEFORE_TIMES}{row}\n")) == ["app_voicemail", "pjsip/default-00000007"]


def test_a_queue_above_its_high_water_mark_is_stuck() -> None:
    assert history({"busy": (1, 501), "full": (1, 500)}, {"busy": (90, 777)}).longest() == ("busy", 2)


def test_a_queue_whose_tasks_are_not_processed_is_stuck() -> None:
    assert history({"call": (5, 2)}, {"call": (5, 2)}, {"call": (5, 3)}).longest() == ("call", 2)


def test_a_queue_that_is_empty_or_moves_is_not_stuck() -> None:
    moving = history(
        {"idle": (5, 0), "moves": (5, 2), "fills": (5, 0)}, {"idle": (5, 0), "moves": (6, 2), "fills": (5, 1)}
    )

    assert moving.longest() == ("", 0)


def test_a_queue_that_was_short_once_is_counted_anew() -> None:
    assert history({"a": (1, 900)}, {"a": (900, 0)}, {"a": (901, 900)}).longest() == ("a", 1)


def test_the_listing_of_another_process_begins_anew() -> None:
    overloaded = {"a": Taskprocessor(1, 900, 500)}

    assert QueueHistory().add(7, overloaded).add(8, overloaded).longest() == ("a", 1)
