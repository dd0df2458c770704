"""Work that threads do side by side."""

import collections
from concurrent.futures import ThreadPoolExecutor


def in_order(function, items, count):
    """Results of the function in the order of its items, `count` of them computed at once and no more waiting."""
    with ThreadPoolExecutor(count) as pool:
        running = collections.deque()
        for item in items:
            running.append(pool.submit(function, item))
            if len(running) == count:
                yield running.popleft().result()
        yield from (future.result() for future in running)
