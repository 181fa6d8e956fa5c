"""The picture of the modules and of who leans on them, drawn as SVG. A definition has one colour wherever it stands."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup
from rich.cells import cell_len, set_cell_size

from migration.report.compare import visible
from migration.report.definitions import definitions_in
from migration.report.imports import Edge
from migration.report.layout import Box, Layout, Point, layered
from migration.tree import Overlay

COLOURS = 12
MARGIN = 14.0
HEAD, ROW, FOOT = 46.0, 19.0, 9.0
CHARACTER, TITLE_CHARACTER, SUBTITLE_CHARACTER = (
    7.0,
    7.7,
    6.4,
)  # widths of a monospace character at 11.5, 12.5 and 10.5 px, rounded up
NARROWEST, WIDEST = 168.0, 312.0
MOST_ROWS, MOST_IN_GROUP = 18, 7
TALLEST_COLUMN = 700.0
SMALLEST_SCALE = 0.78  # a wide picture scrolls rather than be too small to read
KINDS = {
    ".py": "Python file",
    ".sh": "shell script",
    ".ipynb": "notebook",
    ".yaml": "config",
    ".yml": "config",
    ".toml": "config",
    ".json": "config",
}

SVG = Markup(
    '<svg class="graph" role="img" aria-label="{title}" viewBox="{x} {x} {w:.0f} {h:.0f}" width="{w:.0f}" height="{h:.0f}" style="min-width:{least:.0f}px" xmlns="http://www.w3.org/2000/svg">'
    '<defs><marker id="{name}-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">'
    '<path class="head" d="M0 .8 7.4 4 0 7.2Z"/></marker></defs>{arrows}{boxes}</svg>'
)
ARROW = Markup('<path class="edge{kind}" d="{d}" marker-end="url(#{name}-head)"><title>{hint}</title></path>')
BOX = Markup(
    '<g class="box {node.kind} {node.tag}"><title>{hint}</title>'
    '<rect class="frame" x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="7"/>'
    '<text class="name" x="{x:.1f}" y="{y1:.1f}">{title}</text><text class="sub" x="{x:.1f}" y="{y2:.1f}">{subtitle}</text>{inside}</g>'
)
TAG = Markup(
    '<g class="tag {tag}"><rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="16" rx="8"/><text x="{cx:.1f}" y="{ty:.1f}">{tag}</text></g>'
)
LINE = Markup(
    '<g class="line {kind}"{name}><title>{hint}</title>{band}'
    '<text x="{x:.1f}" y="{y:.1f}">{label}</text><text class="note" x="{right:.1f}" y="{y:.1f}">{note}</text></g>'
)
BAND = Markup(
    '<rect class="band" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="4"/>'
    '<rect class="chip" x="{x:.1f}" y="{y:.1f}" width="4" height="{h:.1f}" rx="2"/>'
)


@dataclass(frozen=True)
class Line:
    """A line of text in a box. `colour` is the moved definition's, None for what stays."""

    label: str
    note: str = ""
    colour: int | None = None
    hint: str = ""


@dataclass(frozen=True)
class Node:
    """A box: a module with its definitions, an importer, or a group of importers that lean on the same modules."""

    title: str
    subtitle: str
    kind: str
    tag: str = ""
    lines: tuple[Line, ...] = ()
    hint: str = ""

    @property
    def size(self) -> tuple[float, float]:
        widest = max(
            [
                len_of(self.title) * TITLE_CHARACTER,
                len_of(self.subtitle) * SUBTITLE_CHARACTER,
                *(len_of(x.label + x.note) * CHARACTER + 38 for x in self.lines),
            ]
        )
        return min(WIDEST, max(NARROWEST, widest + 26)), HEAD + len(self.lines) * ROW + (FOOT if self.lines else 0)


@dataclass(frozen=True)
class Picture:
    """Boxes by key and the arrows between them; an arrow is (from, to, whether it imports, what it says)."""

    nodes: dict[str, Node]
    arrows: list[tuple[str, str, bool, str]] = field(default_factory=list)


def len_of(text: str) -> int:
    """Columns that `text` takes in a monospace face."""
    return cell_len(text)


def picture(
    tree: Overlay, modules: Iterable[str], edges: Sequence[Edge], colours: Mapping[str, int], tags: Mapping[str, str]
) -> Picture:
    """What is to be drawn: `modules` with their definitions and everyone who leans on them."""
    linked = {path for edge in edges for path in (edge.importer, edge.module)}
    shown = [
        path for path in dict.fromkeys(modules) if tree.exists(path) and (path in linked or definitions_in(tree, path))
    ]
    edges = [edge for edge in edges if edge.module in shown]
    outside = sorted({edge.importer for edge in edges} - set(shown))
    members = _grouped(outside, edges)
    home = {path: key for key, paths in members.items() for path in paths} | {path: path for path in shown}
    nodes = {path: _module(tree, path, colours, tags.get(path, "")) for path in shown}
    nodes |= {key: _importer(paths, tags) if len(paths) == 1 else _group(paths, tags) for key, paths in members.items()}
    arrows: dict[tuple[str, str], list[Edge]] = {}
    for edge in edges:
        arrows.setdefault((home[edge.importer], edge.module), []).append(edge)
    return Picture(
        nodes,
        [
            (a, b, any(e.role == "import" for e in found), _sentences(found))
            for (a, b), found in arrows.items()
            if a != b
        ],
    )


def draw(drawn: Picture, title: str, name: str) -> Markup:
    """The picture as an `<svg>` element; `name` keeps its ids apart from another picture's on the same page."""
    found = layered({key: node.size for key, node in drawn.nodes.items()}, [(a, b) for a, b, _, _ in drawn.arrows])
    return SVG.format(
        title=title,
        x=-MARGIN,
        w=found.width + 2 * MARGIN,
        h=found.height + 2 * MARGIN,
        least=found.width * SMALLEST_SCALE,
        name=name,
        arrows=Markup("").join(_arrow(found, arrow, name) for arrow in drawn.arrows),
        boxes=Markup("").join(_box(node, found.boxes[key]) for key, node in drawn.nodes.items()),
    )


def _grouped(paths: list[str], edges: Sequence[Edge]) -> dict[str, list[str]]:
    """Importers by box: alone, or several of a folder that lean on the same modules; coarser until the picture is readable."""
    targets = {path: tuple(sorted({e.module for e in edges if e.importer == path})) for path in paths}
    keys: list[Callable[[str], tuple[object, ...]]] = [
        lambda p: (posixpath.dirname(p), _kind(p), targets[p]),
        lambda p: (p.split("/")[0], _kind(p), targets[p]),
        lambda p: (_kind(p), targets[p]),
        lambda p: (p.split("/")[0], _kind(p)),
        lambda p: (_kind(p),),
    ]
    groups: dict[str, list[str]] = {}
    for key in keys:
        together: dict[tuple[object, ...], list[str]] = {}
        for path in paths:
            together.setdefault(key(path), []).append(path)
        groups = {}
        for found in together.values():
            groups |= {"\n".join(found): found} if len(found) > 2 else {path: [path] for path in found}
        if (
            sum(HEAD + ROW * (min(len(found), MOST_IN_GROUP) if len(found) > 2 else 1) for found in groups.values())
            <= TALLEST_COLUMN
        ):
            break
    return groups


def _module(tree: Overlay, path: str, colours: Mapping[str, int], tag: str) -> Node:
    found = [d for d in definitions_in(tree, path) if d.kind != "value" or d.name in colours]
    lines = [
        Line(d.name, str(d.lines), colours.get(d.name), f"{d.kind} {d.name}, lines {d.first}–{d.last}") for d in found
    ]
    if len(lines) > MOST_ROWS:
        # What moves is what the picture is for; of the rest only as many as fit.
        room = max(0, MOST_ROWS - 1 - sum(line.colour is not None for line in lines))
        plain = [line for line in lines if line.colour is None]
        lines = [line for line in lines if line.colour is not None or line in plain[:room]]
        lines.append(Line(f"… and {len(plain) - room} more", hint=", ".join(line.label for line in plain[room:])))
    count = tree.read(path).count(b"\n")
    return Node(posixpath.basename(path), f"{_folder(path)} · {count} lines", "module", tag, tuple(lines), path)


def _importer(paths: list[str], tags: Mapping[str, str]) -> Node:
    (path,) = paths
    return Node(posixpath.basename(path), f"{_folder(path)} · {_kind(path)}", "importer", tags.get(path, ""), (), path)


def _group(paths: list[str], tags: Mapping[str, str]) -> Node:
    common = posixpath.commonpath([posixpath.dirname(p) for p in paths])
    where = f"{common or '.'}/" if common or all("/" not in p for p in paths) else "several folders"
    tag = max(tags.get(p, "") for p in paths)
    shown = paths if len(paths) <= MOST_IN_GROUP else paths[: MOST_IN_GROUP - 1]
    lines = [Line(posixpath.basename(p), hint=p) for p in shown]
    if len(paths) > len(shown):
        lines.append(Line(f"… and {len(paths) - len(shown)} more", hint=", ".join(paths[len(shown) :])))
    return Node(f"{len(paths)} {_kind(paths[0])}s", where, "importer", tag, tuple(lines), "\n".join(paths))


def _kind(path: str) -> str:
    return KINDS.get(posixpath.splitext(path)[1].lower(), "file")


def _folder(path: str) -> str:
    return f"{posixpath.dirname(path)}/" if "/" in path else "./"


def _sentences(edges: list[Edge]) -> str:
    verbs = {"import": "imports", "call": "calls", "mention": "names"}
    lines = [
        f"{e.importer}:{e.line} {verbs[e.role]} {e.module}{': ' + ', '.join(e.names) if e.names else ''}" for e in edges
    ]
    return "\n".join(
        [*lines[:MOST_IN_GROUP], *([f"and {len(lines) - MOST_IN_GROUP} more"] if len(lines) > MOST_IN_GROUP else [])]
    )


def _arrow(found: Layout, arrow: tuple[str, str, bool, str], name: str) -> Markup:
    start, end, imports, hint = arrow
    return ARROW.format(
        kind="" if imports else " call", d=_curve(found.routes[start, end]), name=name, hint=visible(hint)
    )


def _curve(points: list[Point]) -> str:
    """Level through each column, an S between two columns; points come in pairs (leave a column, reach the next)."""
    (x, y), *rest = points
    path = [f"M{x:.1f} {y:.1f}"]
    for i, (u, v) in enumerate(rest):
        path.append(
            f"C{(x + u) / 2:.1f} {y:.1f} {(x + u) / 2:.1f} {v:.1f} {u:.1f} {v:.1f}"
            if i % 2 == 0
            else f"L{u:.1f} {v:.1f}"
        )
        x, y = u, v
    return "".join(path)


def _box(node: Node, box: Box) -> Markup:
    room = box.width - 24
    title, subtitle = fitted(node.title, room / TITLE_CHARACTER), fitted(node.subtitle, room / SUBTITLE_CHARACTER)
    lines = Markup("").join(_line(line, box, box.y + HEAD + i * ROW) for i, line in enumerate(node.lines))
    inside = lines + (_tag(node.tag, box) if node.tag else Markup(""))
    return BOX.format(
        node=node,
        box=box,
        hint=visible(node.hint),
        x=box.x + 12,
        y1=box.y + 20,
        y2=box.y + 36,
        title=title,
        subtitle=subtitle,
        inside=inside,
    )


def _tag(tag: str, box: Box) -> Markup:
    """A pill on the upper edge."""
    wide = len_of(tag) * 6.6 + 14
    left = box.x + box.width - wide - 10
    return TAG.format(tag=tag, x=left, y=box.y - 8, w=wide, cx=left + wide / 2, ty=box.y + 3.5)


def _line(line: Line, box: Box, y: float) -> Markup:
    label = fitted(line.label, (box.width - 38) / CHARACTER - len_of(line.note))
    moved = line.colour is not None
    return LINE.format(
        kind=f"moved c{(line.colour or 0) % COLOURS}" if moved else "stays",
        name=Markup(' data-definition="{}"').format(visible(line.label)) if moved else "",
        band=BAND.format(x=box.x + 8, y=y, w=box.width - 16, h=ROW - 3) if moved else "",
        x=box.x + 18,
        y=y + 12,
        right=box.x + box.width - 14,
        label=label,
        note=line.note,
        hint=visible(line.hint or line.label),
    )


def fitted(text: str, columns: float) -> str:
    """`text` in at most `columns` columns, its middle left out: the ends tell names apart."""
    text, room = visible(text).replace("\n", "␊").replace("\t", "␉"), int(columns)
    if len_of(text) <= room:
        return text
    head = room // 2
    tail = text
    while len_of(tail) > room - head - 1:
        tail = tail[1:]
    return set_cell_size(text, head).rstrip() + "…" + tail
