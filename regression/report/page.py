"""The report as one HTML page that needs nothing else; every text of a trace is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from regression.compare.judge import Divergence
from regression.report.facts import OF_A_PHASE, Facts, Verdict, counted, distance, settings_that_differ, sides_of
from regression.report.figures import Picture, svg

STYLE = Path(__file__).with_name("style.css")
MOST = 15
LONGEST = 600
ICONS = {"same": "M7.4 12.4l3.2 3.2 6-6.6", "different": "M12 7v6M12 16.6v.1", "incomparable": "M8 8l8 8M16 8l-8 8"}
TONES = {"not slower": "good", "slower": "bad"}
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{style}</style>
</head>
<body class="{kind}">
{body}
</body>
</html>
"""


def page(facts: Facts, pictures: Sequence[Picture]) -> str:
    """The page; verdict and first cause before everything else."""
    sections = [(anchor, title, html) for anchor, title, html in _sections(facts, pictures) if html]
    links = "".join(f'<a href="#{anchor}">{escape(title)}</a>\n' for anchor, title, _ in sections)
    body = "\n".join(
        [
            _header(facts),
            f'<nav aria-label="Sections">\n{links}</nav>\n<main>',
            *(
                f'<section aria-labelledby="{a}"><h2 id="{a}">{escape(t)}</h2>\n{html}</section>'
                for a, t, html in sections
            ),
            f"</main>\n<footer>Old: {code(facts.old.path)} · New: {code(facts.new.path)}</footer>",
        ]
    )
    return whole(f"{facts.verdict.title} · {facts.old.path.name} and {facts.new.path.name}", facts.verdict.kind, body)


def whole(title: str, kind: str, body: str) -> str:
    return PAGE.format(title=escape(title), style=STYLE.read_text(), kind=kind, body=body)


def _header(facts: Facts) -> str:
    found, timing = facts.found, facts.timing
    differ = sum(cause.differ for cause in facts.causes)
    numbers = {
        "Steps": f"{len(facts.new.steps):,}",
        "Values compared": f"{sum(found.compared.values()):,}",
        "Values that differ": f'<span class="{"bad" if differ else "good"}">{differ:,}</span>',
    }
    if found.first:
        where = f"epoch {found.first.epoch}, phase {found.first.phase}"
        numbers["First difference"] = f"step {found.first.step} <small>{where}</small>"
    if timing:
        tone = TONES.get(timing.verdict, "warn")
        said = f'<span class="{tone}">{escape(timing.title)}</span> <small>{timing.ratio:.3f} × the old</small>'
        numbers["Throughput"] = said
    eyebrow = f"Training regression: {code(facts.old.path.name)} and {code(facts.new.path.name)}"
    return header(facts.verdict, eyebrow, numbers)


def header(verdict: Verdict, eyebrow: str, numbers: Mapping[str, str]) -> str:
    """`eyebrow` and the numbers' values are HTML."""
    icon = (
        '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" '
        f'stroke-linejoin="round" aria-hidden="true"><circle cx="12" cy="12" r="10"/><path d="{ICONS[verdict.kind]}"/></svg>'
    )
    shown = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>\n" for name, value in numbers.items())
    return f"""<header>
<p class="eyebrow">{eyebrow}</p>
<h1>{icon}{escape(verdict.title)}</h1>
<p class="lede">{escape(verdict.why)}</p>
{f'<dl class="numbers">{shown}</dl>' if shown else ""}
</header>"""


def _sections(facts: Facts, pictures: Sequence[Picture]) -> Iterator[tuple[str, str, str]]:
    found = facts.found
    timed = [picture for picture in pictures if picture.name == "throughput"]
    yield "first", "First difference", _first(facts)
    yield "causes", "Phases, in order of cause", _causes(facts)
    yield "expected", "Expected differences", _counts(found.expected)
    yield "localized", "Where in the network", _localized(found.localized)
    yield "curves", "Curves", "".join(_figure(picture) for picture in pictures if picture not in timed)
    yield "throughput", "Throughput", _throughput(facts, timed)
    yield "noise", "Noise", _noise(found.noise)
    yield "differences", "The differences after the first", _differences(found.divergences)
    yield "environment", "Surroundings of both runs", _environment(facts)
    yield "compared", "What was compared, and what was not", f"<p>{escape(facts.covered)}</p>{_items(facts.missing)}"
    yield "notes", "Notes", _items(facts.notes)


def _first(facts: Facts) -> str:
    first = facts.found.first
    if first is None:
        return ""
    old, new = sides_of(first)
    where = f"step {first.step}" if first.step else "before the first step"
    rows = {
        "Where": f"{where}, epoch {first.epoch}, phase {first.phase}",
        "Quantity": code(first.quantity) + (f" of {code(first.name)}" if first.name else ""),
        "Old": code(old),
        "New": code(new),
        "Apart": escape(distance(first)),
        "As well": f"{counted(first.others, 'more value')} of this quantity" if first.others else "",
    }
    for d in settings_that_differ(facts.found)[:MOST]:
        was, now = map(code, sides_of(d))
        rows[f"Setting {code(d.name or d.quantity)}"] = f"{was} in the old run, {now} in the new one"
    shown = "".join(f"<dt>{name}</dt><dd>{value}</dd>\n" for name, value in rows.items() if value)
    means = f'<p class="means"><b>It usually means:</b> {escape(first.meaning)}.</p>\n' if first.meaning else ""
    return f'<div class="card"><dl class="sides">\n{shown}</dl>\n{means}</div>\n'


def _causes(facts: Facts) -> str:
    rows = []
    for cause in facts.causes:
        state = "bad" if cause.differ else "words" if cause.compared == 0 else "good"
        differ = f"{cause.differ:,}" if cause.differ else "not compared" if cause.compared == 0 else "none"
        first = "" if cause.first is None else f"step {cause.first}"
        is_cause = facts.found.first is not None and facts.found.first.phase == cause.phase
        rows.append(
            f'<tr{_marked(cause.differ, is_cause)}><th>{cause.phase}</th><td class="words">{OF_A_PHASE.get(cause.phase, cause.phase)}</td>'
            f'<td class="num">{cause.compared:,}</td><td class="num {state}">{differ}</td><td class="num">{first}</td></tr>'
        )
    lede = (
        '<p class="lede">A fault spreads downwards and on to later steps: the earliest step that differs, and in it the first phase, '
        "has the cause. A setting that differs is told, and is seen above where it has an effect.</p>\n"
    )
    return lede + table(("Phase", "What it holds", "#Values compared", "#Differ", "#First at"), rows)


def _differences(divergences: Sequence[Divergence]) -> str:
    """All but the first, which has its own section."""
    rows = []
    for d in divergences[1 : MOST + 1]:
        name = f" {code(d.name)}" if d.name else ""
        more = f" <small>and {d.others} more</small>" if d.others else ""
        old, new = map(code, sides_of(d))
        rows.append(
            f'<tr><td class="num">{d.step}</td><td class="name">{d.phase}</td><td>{escape(d.quantity)}{name}{more}</td>'
            f'<td>{old}</td><td>{new}</td><td class="words">{escape(distance(d))}</td></tr>'
        )
    left = len(divergences) - 1 - len(rows)
    rest = f'<p class="lede">{left:,} later ones are in the JSON file.</p>\n' if left > 0 else ""
    return table(("#Step", "Phase", "Quantity", "Old", "New", "Apart"), rows, "differences") + rest if rows else ""


def _counts(expected: Mapping[str, int]) -> str:
    rows = [f'<tr><td>{escape(name)}</td><td class="num">{n:,}</td></tr>' for name, n in expected.items()]
    lede = '<p class="lede">Differences that are meant, each with the number of values that it explains.</p>\n'
    return lede + table(("Why", "#Values"), rows) if rows else ""


def _localized(place: Mapping[str, Any] | None) -> str:
    """A sentence where there is one, and all that is known."""
    rest = dict(place or {})
    sentence = rest.pop("sentence", "")
    said = f"<p>{escape(sentence[:1].upper() + sentence[1:])}.</p>\n" if sentence else ""
    return said + _pairs(rest)


def _noise(noise: Mapping[str, Any] | None) -> str:
    lede = "How far repeated runs of the old trainer are from each other is the floor; outside is what is further off than that."
    return f'<p class="lede">{lede}</p>\n{_pairs(noise)}' if noise else ""


def _pairs(facts: Mapping[str, Any] | None) -> str:
    rows = [
        f"<tr><td>{escape(key.replace('_', ' '))}</td><td>{code(value)}</td></tr>"
        for key, value in (facts or {}).items()
        if value is not None
    ]
    return table(("", ""), rows, "pairs") if rows else ""


def _figure(picture: Picture) -> str:
    said = escape(picture.said)
    drawn = svg(picture).replace("<svg", f'<svg role="img" aria-label="{said}"', 1)
    return f'<figure><div class="scroll">{drawn}</div><figcaption><b>{escape(picture.title)}.</b> {said}</figcaption></figure>\n'


def _throughput(facts: Facts, drawn: Sequence[Picture]) -> str:
    return "".join(map(_figure, drawn)) or (f"<p>{escape(str(facts.timing))}.</p>\n" if facts.timing else "")


def _environment(facts: Facts) -> str:
    rows, group = [], ""
    for row in facts.environment:
        if row.group != group:
            group = row.group
            rows.append(f'<tr class="group"><th colspan="4">{group.capitalize()}</th></tr>')
        differs = '<span class="tag">differs</span>' if row.differs else ""
        rows.append(
            f"<tr{_marked(row.differs, row.differs)}><td>{escape(row.name)}</td><td>{code(row.old)}</td><td>{code(row.new)}</td><td>{differs}</td></tr>"
        )
    return table(("", "Old", "New", ""), rows, "environment")


def table(head: Sequence[str], rows: Sequence[str], kind: str = "") -> str:
    """A `#` before a column's name sets it to the right."""
    cells = "".join(f'<th class="num">{name[1:]}</th>' if name[:1] == "#" else f"<th>{name}</th>" for name in head)
    columns = f"<colgroup>{'<col>' * len(head)}</colgroup>" if kind else ""  # for style.css to set their widths
    top = f"<thead><tr>{cells}</tr></thead>\n" if any(head) else ""
    return (
        f'<div class="scroll"><table class="{kind or "list"}">{columns}{top}<tbody>\n'
        + "\n".join(rows)
        + "\n</tbody></table></div>\n"
    )


def _items(texts: Sequence[str]) -> str:
    return "<ul>\n" + "".join(f"<li>{escape(text)}</li>\n" for text in texts) + "</ul>\n" if texts else ""


def _marked(differs: object, strongly: bool) -> str:
    return f' class="differs{" cause" if strongly else ""}"' if differs else ""


def code(value: object) -> str:
    text = str(value)
    return f"<code>{escape(text if len(text) <= LONGEST else text[: LONGEST - 1] + '…')}</code>"
