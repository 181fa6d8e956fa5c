"""Where boxes and arrows of a directed graph go: columns by longest path, order by barycentre, heights by least squares.

After Sugiyama, Tagawa and Toda (1981), doi:10.1109/TSMC.1981.4308636. An arrow that crosses a column gets a lane of its own in it, so no
arrow runs over a box.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Key = str
Pair = tuple[Key, Key]
Point = tuple[float, float]
LANE = 10.0
ROW_GAP = 20.0
SWEEPS = 12


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """`routes` holds each arrow's corner points; it runs level through a column and bends between two columns."""

    boxes: dict[Key, Box]
    routes: dict[Pair, list[Point]]
    width: float
    height: float


def layered(sizes: Mapping[Key, tuple[float, float]], pairs: Sequence[Pair], gap: float = 72.0) -> Layout:
    """Lay out boxes of at least the given (width, height), equally wide in a column.

    Arrows point right, except where a cycle forces one back. No arrow may lead from a box to itself.
    """
    forward = _without_cycles(list(sizes), pairs)
    rank = _ranks(list(sizes), forward)
    chains = {
        pair: [pair[0], *(f"{pair[0]}\0{pair[1]}\0{r}" for r in range(rank[pair[0]] - 1, rank[pair[1]], -1)), pair[1]]
        for pair in forward
    }
    rank |= {key: rank[chain[0]] - i for chain in chains.values() for i, key in enumerate(chain)}
    heights = {key: sizes[key][1] if key in sizes else LANE for key in rank}
    links = [(a, b) for chain in chains.values() for a, b in itertools.pairwise(chain)]
    columns = [[key for key in rank if rank[key] == r] for r in range(max(rank.values(), default=-1), -1, -1)]
    _order(columns, links)
    centres = _heights(columns, heights, links)
    boxes: dict[Key, Box] = {}
    x = 0.0
    for column in columns:
        width = max(sizes[key][0] if key in sizes else 0.0 for key in column)
        boxes |= {key: Box(x, centres[key] - heights[key] / 2, width, heights[key]) for key in column}
        x += width + gap
    top = min((box.y for box in boxes.values()), default=0.0)
    boxes = {key: Box(box.x, box.y - top, box.width, box.height) for key, box in boxes.items()}
    routes = _routes(boxes, forward, chains, pairs)
    return Layout(
        {key: boxes[key] for key in sizes},
        routes,
        max(0.0, x - gap),
        max((box.y + box.height for box in boxes.values()), default=0.0),
    )


def _without_cycles(keys: list[Key], pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs with every one that closes a cycle turned round, each direction once."""
    onward: dict[Key, list[Key]] = {key: [] for key in keys}
    for a, b in pairs:
        onward[a].append(b)
    state: dict[Key, int] = {}
    backward: set[Pair] = set()
    for start in keys:
        stack = [(start, iter(onward[start]))] if start not in state else []
        state.setdefault(start, 1)
        while stack:
            key, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                state[key] = 2
                stack.pop()
            elif following not in state:
                state[following] = 1
                stack.append((following, iter(onward[following])))
            elif state[following] == 1:
                backward.add((key, following))
    return list(dict.fromkeys((b, a) if (a, b) in backward else (a, b) for a, b in pairs))


def _ranks(keys: list[Key], forward: list[Pair]) -> dict[Key, int]:
    """Each key's longest way to a key that points nowhere."""
    rank = dict.fromkeys(keys, 0)
    for _ in keys:
        higher = {a: rank[b] + 1 for a, b in sorted(forward, key=lambda pair: rank[pair[1]]) if rank[a] <= rank[b]}
        if not higher:
            break
        rank |= higher
    return rank


def _neighbours(links: list[Pair]) -> tuple[dict[Key, list[Key]], dict[Key, list[Key]]]:
    left: dict[Key, list[Key]] = {}
    right: dict[Key, list[Key]] = {}
    for a, b in links:
        right.setdefault(a, []).append(b)
        left.setdefault(b, []).append(a)
    return left, right


def _order(columns: list[list[Key]], links: list[Pair]) -> None:
    """Sort each column by the mean place of its neighbours in the column beside it, to and fro; the least crossed order stays."""
    left, right = _neighbours(links)
    best, fewest = [list(column) for column in columns], _crossings(columns, right)
    for sweep in range(SWEEPS):
        beside = left if sweep % 2 == 0 else right
        for index in range(1, len(columns)) if sweep % 2 == 0 else range(len(columns) - 2, -1, -1):
            place = {key: i for i, key in enumerate(columns[index - 1 if sweep % 2 == 0 else index + 1])}
            own = {key: float(i) for i, key in enumerate(columns[index])}
            own |= {
                key: sum(place[n] for n in beside[key]) / len(beside[key]) for key in columns[index] if key in beside
            }
            columns[index].sort(key=own.__getitem__)
        if (crossings := _crossings(columns, right)) < fewest:
            best, fewest = [list(column) for column in columns], crossings
    columns[:] = best


def _crossings(columns: list[list[Key]], right: dict[Key, list[Key]]) -> int:
    total = 0
    for column, beside in itertools.pairwise(columns):
        place = {key: i for i, key in enumerate(beside)}
        ends = [(i, place[n]) for i, key in enumerate(column) for n in right.get(key, [])]
        total += sum(a < c and b > d for a, b in ends for c, d in ends)
    return total


def _heights(columns: list[list[Key]], heights: dict[Key, float], links: list[Pair]) -> dict[Key, float]:
    """Each key's vertical centre: as near its neighbours' mean as the boxes above and below allow."""
    left, right = _neighbours(links)
    centre = {key: 0.0 for column in columns for key in column}
    for column in columns:
        offsets = _offsets(column, heights)
        centre |= {key: offset - offsets[-1] / 2 for key, offset in zip(column, offsets, strict=True)}
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 == 0 else columns[::-1]:
            near = [left.get(key, []) + right.get(key, []) for key in column]
            wish = [
                sum(centre[n] for n in found) / len(found) if found else centre[key]
                for key, found in zip(column, near, strict=True)
            ]
            offsets = _offsets(column, heights)
            fitted = _isotonic([w - offset for w, offset in zip(wish, offsets, strict=True)])
            centre |= {key: fit + offset for key, fit, offset in zip(column, fitted, offsets, strict=True)}
    return centre


def _offsets(column: list[Key], heights: dict[Key, float]) -> list[float]:
    """The least distances of the centres from the first one."""
    offsets = [0.0]
    for above, below in itertools.pairwise(column):
        gap = ROW_GAP / 2 if "\0" in above and "\0" in below else ROW_GAP
        offsets.append(offsets[-1] + (heights[above] + heights[below]) / 2 + gap)
    return offsets


def _isotonic(values: list[float]) -> list[float]:
    """The nearest rising sequence in least squares (pool adjacent violators)."""
    pools: list[tuple[float, int]] = []
    for value in values:
        pools.append((value, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, n), (b, m) = pools[-2:]
            pools[-2:] = [((a * n + b * m) / (n + m), n + m)]
    return [mean for mean, count in pools for _ in range(count)]


def _routes(
    boxes: dict[Key, Box], forward: list[Pair], chains: dict[Pair, list[Key]], pairs: Sequence[Pair]
) -> dict[Pair, list[Point]]:
    """Corner points of each arrow; where several leave or reach one box they are spread over its side."""
    start = _ports(boxes, {key: [pair for pair in forward if pair[0] == key] for key in boxes}, chains, 1)
    end = _ports(boxes, {key: [pair for pair in forward if pair[1] == key] for key in boxes}, chains, -2)
    routes: dict[Pair, list[Point]] = {}
    for a, b in pairs:
        pair = (a, b) if (a, b) in chains else (b, a)
        first, *lanes, last = (boxes[key] for key in chains[pair])
        points = [(first.x + first.width, start[pair])]
        for lane in lanes:
            middle = lane.y + lane.height / 2
            points += [(lane.x, middle), (lane.x + lane.width, middle)]
        points.append((last.x, end[pair]))
        routes[a, b] = points if pair == (a, b) else points[::-1]
    return routes


def _ports(
    boxes: dict[Key, Box], sides: dict[Key, list[Pair]], chains: dict[Pair, list[Key]], beside: int
) -> dict[Pair, float]:
    found: dict[Pair, float] = {}
    for key, arrows in sides.items():
        arrows = sorted(arrows, key=lambda pair: boxes[chains[pair][beside]].y + boxes[chains[pair][beside]].height / 2)
        box, spread = boxes[key], min(12.0, boxes[key].height * 0.7 / max(1, len(arrows)))
        for i, pair in enumerate(arrows):
            found[pair] = box.y + box.height / 2 + (i - (len(arrows) - 1) / 2) * spread
    return found
