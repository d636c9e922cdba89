"""Results reach the main thread in order, and count as queued while they are on their way."""

import select

from astbtd.claims.core_filter import RefusedFile
from astbtd.model.crash import DiscoveredBy
from astbtd.watch.result_queue import RemoteCapacity, ResultQueue
from tests.support.finding import Queue


def is_readable(results: ResultQueue) -> bool:
    return bool(select.select([results.fileno()], [], [], 0)[0])


def test_results_are_drained_in_order() -> None:
    results = ResultQueue()
    sent = [RefusedFile("/srv/core", "it is damaged"), RefusedFile("/srv/core.1", "it is damaged")]
    for result in sent:
        results.put(result)

    assert is_readable(results)
    assert list(results.drain()) == sent
    assert not is_readable(results)
    assert list(results.drain()) == []


def test_the_main_thread_can_be_woken_without_a_result() -> None:
    results = ResultQueue()

    results.wake()

    assert is_readable(results)
    assert list(results.drain()) == []


def test_results_on_their_way_count_as_queued() -> None:
    results, queue = ResultQueue(), Queue(found=2)
    capacity = RemoteCapacity(queue, results)
    results.put(RefusedFile("/srv/core", "it is damaged"))
    assert capacity.has_room(DiscoveredBy.SCAN)

    results.put(RefusedFile("/srv/core.1", "it is damaged"))

    assert not capacity.has_room(DiscoveredBy.SCAN)
    assert queue.has_room(DiscoveredBy.SCAN)
