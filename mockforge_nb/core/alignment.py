"""Which of the messages that came stands for which of those that were recorded."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Sequence
from typing import Final, TypeAlias

Pair: TypeAlias = tuple[int | None, int | None]
"""A recorded message and the one that stands for it; None: there is none."""

Same: TypeAlias = Callable[[int, int], bool]
"""Whether a recorded message and one that came are the same."""

Cost: TypeAlias = Callable[[int, int], float]
"""How unlike a recorded message and one that came are, from 0 to 1."""

Having: TypeAlias = Callable[[int], Sequence[int] | None]
"""The messages that may be the same as a recorded one, in order; None: any may be."""

TABLE_CELLS: Final = 40_000
"""The largest table of comparisons that is filled: 200 messages against 200."""

AHEAD: Final = 32
"""How far ahead the next two that are the same are looked for where there is no table."""

NEAR: Final = 128
"""With how many a recorded message is compared where the order does not count and there is no table."""


def in_order(recorded: int, came: int, same: Same, cost: Cost) -> list[Pair]:
    """Pair messages that are the same so that as many as possible are and none crosses; the rest by their likeness.

    What begins and ends alike is paired first, which loses nothing. Between, a table finds the longest common
    sequence; where it would be too large, the next two that are the same are looked for a little ahead, so that
    the time stays in proportion to the number of messages.

    Args:
        recorded: How many were recorded.
        came: How many came.
        same: Whether two are the same.
        cost: How unlike two are.

    Returns:
        The pairs in order: each message is in one.
    """
    shorter = min(recorded, came)
    first = 0
    while first < shorter and same(first, first):
        first += 1
    last = 0
    while last < shorter - first and same(recorded - 1 - last, came - 1 - last):
        last += 1
    rows, columns = range(first, recorded - last), range(first, came - last)
    find = _by_table if len(rows) * len(columns) <= TABLE_CELLS else _by_looking_ahead
    matches = [(i, i) for i in range(first)]
    matches += find(rows, columns, same)
    matches += [(recorded - k, came - k) for k in range(last, 0, -1)]
    return _filled(matches, range(recorded), range(came), cost)


def in_any_order(
    recorded: Sequence[Hashable], came: Sequence[Hashable], same: Same, cost: Cost, having: Having | None = None
) -> list[Pair]:
    """Pair messages that are the same, wherever they stand, so that as many as possible are.

    Args:
        recorded: What was recorded, to be found at once among what came.
        came: What came.
        same: Whether two are the same.
        cost: How unlike two are.
        having: Those that may be the same, where there are too many to compare all.

    Returns:
        The pairs in the order of what was recorded, those that only came at the end: each message is in one.
    """
    places: defaultdict[Hashable, deque[int]] = defaultdict(deque)
    for j, value in enumerate(came):
        places[value].append(j)
    taken: dict[int, int] = {}  # came -> recorded
    for i, value in enumerate(recorded):
        if places.get(value):
            taken[places[value].popleft()] = i
    found = {i: j for j, i in taken.items()}
    rest = [i for i in range(len(recorded)) if i not in found]
    free = [j for j in range(len(came)) if j not in taken]
    for i, j in _matched(rest, free, same, having or (lambda i: None)):
        taken[j], found[i] = i, j
    rows, columns = [i for i in rest if i not in found], [j for j in free if j not in taken]
    pairs = [*found.items(), *_alike(rows, columns, cost)]
    return sorted(pairs, key=lambda pair: (pair[0] is None, pair[0] or 0, pair[1] or 0))


def _by_table(rows: Sequence[int], columns: Sequence[int], same: Same) -> list[tuple[int, int]]:
    """Return the longest common sequence."""
    equal = [[same(i, j) for j in columns] for i in rows]
    length = [[0] * (len(columns) + 1) for _ in range(len(rows) + 1)]
    for a in reversed(range(len(rows))):
        for b in reversed(range(len(columns))):
            length[a][b] = length[a + 1][b + 1] + 1 if equal[a][b] else max(length[a + 1][b], length[a][b + 1])
    pairs, a, b = [], 0, 0
    while a < len(rows) and b < len(columns):
        if equal[a][b]:
            pairs.append((rows[a], columns[b]))
            a, b = a + 1, b + 1
        elif length[a + 1][b] >= length[a][b + 1]:
            a += 1
        else:
            b += 1
    return pairs


def _by_looking_ahead(rows: Sequence[int], columns: Sequence[int], same: Same) -> list[tuple[int, int]]:
    """Return a common sequence: from each place the nearest two that are the same."""
    pairs, a, b = [], 0, 0
    unlike: set[tuple[int, int]] = set()
    while a < len(rows) and b < len(columns):
        ahead = (
            (a + step, b + skipped - step)
            for skipped in range(AHEAD + 1)
            for step in _from_the_middle(skipped)
            if a + step < len(rows) and b + skipped - step < len(columns)
        )
        for place in ahead:
            if place in unlike:
                continue
            if same(rows[place[0]], columns[place[1]]):
                a, b = place
                pairs.append((rows[a], columns[b]))
                break
            unlike.add(place)
        a, b = a + 1, b + 1
        if len(unlike) > 64 * AHEAD * AHEAD:
            unlike = {place for place in unlike if place[0] >= a and place[1] >= b}
    return pairs


def _from_the_middle(count: int) -> list[int]:
    """Return 0 to `count`, the middle first: one that came for one that was recorded is likelier than many."""
    return sorted(range(count + 1), key=lambda step: abs(2 * step - count))


def _matched(rows: Sequence[int], columns: Sequence[int], same: Same, having: Having) -> list[tuple[int, int]]:
    """Return as many pairs of the same as there can be (Kuhn's augmenting paths); of very many, those found nearby."""
    held: dict[int, int] = {}  # recorded -> came
    owner: dict[int, int] = {}  # came -> recorded
    if len(rows) * len(columns) <= TABLE_CELLS:
        alike = {i: [j for j in columns if same(i, j)] for i in rows}
        for i in rows:
            _augment(i, alike, held, owner)
        return [*held.items()]
    free = set(columns)
    after = columns[0]  # where the next is likeliest: behind the last that was found
    for i in rows:
        near = having(i)
        near = columns if near is None else near
        middle = bisect_left(near, after)
        around = near[max(0, middle - NEAR // 2) : middle + NEAR // 2]
        found = next((j for j in around if j in free and same(i, j)), None)
        if found is not None:
            held[i] = found
            free.discard(found)
        after = after + 1 if found is None else found + 1
    return [*held.items()]


def _augment(first: int, alike: dict[int, list[int]], held: dict[int, int], owner: dict[int, int]) -> None:
    """Give a recorded message one of those that are the same, by moving others if it must."""
    wanted_by: dict[int, int] = {}
    ahead = deque([first])
    while ahead:
        i = ahead.popleft()
        for j in alike[i]:
            if j in wanted_by:
                continue
            wanted_by[j] = i
            if j in owner:
                ahead.append(owner[j])
                continue
            place: int | None = j
            while place is not None:
                row = owner[place] = wanted_by[place]
                before = held.get(row)
                held[row] = place
                place = before
            return


def _filled(matches: Sequence[tuple[int, int]], recorded: Sequence[int], came: Sequence[int], cost: Cost) -> list[Pair]:
    """Return the pairs with what stands between them."""
    pairs: list[Pair] = []
    a = b = 0
    for i, j in [*matches, (len(recorded), len(came))]:
        pairs += _alike(recorded[a:i], came[b:j], cost)
        if i < len(recorded) or j < len(came):
            pairs.append((i, j))
        a, b = i + 1, j + 1
    return pairs


def _alike(rows: Sequence[int], columns: Sequence[int], cost: Cost) -> list[Pair]:
    """Pair as many as there are of both, in order and the likest ones; the others stay alone."""
    few, many = (rows, columns) if len(rows) <= len(columns) else (columns, rows)
    spare = len(many) - len(few)
    swapped = few is not rows
    chosen = list(range(len(few)))
    if spare and few and len(few) * (spare + 1) <= TABLE_CELLS:
        # best[k][s]: the least cost of the first k, of which the last stands s places later than it would.
        costs = [
            [cost(many[k + s], few[k]) if swapped else cost(few[k], many[k + s]) for s in range(spare + 1)]
            for k in range(len(few))
        ]
        best: list[list[tuple[float, int]]] = []
        for row in costs:
            least, line = (float("inf"), 0), []
            for s, one in enumerate(row):
                if best:
                    least = min(least, (best[-1][s][0], s))
                    line.append((least[0] + one, least[1]))
                else:
                    line.append((one, 0))
            best.append(line)
        s = min(range(spare + 1), key=lambda s: (best[-1][s][0], s))
        for k in reversed(range(len(few))):
            chosen[k] = k + s
            s = best[k][s][1]
    pairs: list[Pair] = []
    at = 0
    for k, place in [*enumerate(chosen), (len(few), len(many))]:
        pairs += [(one, None) if swapped else (None, one) for one in many[at:place]]
        if k < len(few):
            pairs.append((many[place], few[k]) if swapped else (few[k], many[place]))
        at = place + 1
    return pairs
