"""The report's summary as Markdown, short enough for a comment on a pull request."""

from __future__ import annotations

from regression.report.facts import Facts, counted, distance, settings_that_differ, sides_of

LONGEST = 100
MOST = 12


def markdown(facts: Facts) -> str:
    """Verdict, first difference, one row a phase, throughput, and what was not compared."""
    found, first = facts.found, facts.found.first
    lines = [
        f"### Training regression: {plain(facts.verdict.title.lower())}",
        "",
        f"{code(facts.old.path.name)} and {code(facts.new.path.name)}. {plain(facts.verdict.why)}",
        "",
    ]
    if first:
        old, new = map(code, sides_of(first))
        name = f" of {code(first.name)}" if first.name else ""
        apart = f" ({distance(first)})" if distance(first) else ""
        settings = [(d, map(code, sides_of(d))) for d in settings_that_differ(found)[:MOST]]
        more = f", and {counted(first.others, 'more value')}" if first.others else ""
        lines += [
            f"**First difference**: step {first.step}, epoch {first.epoch}, phase {first.phase}: {code(first.quantity)}{name} "
            f"is {old} in the old run and {new} in the new one{apart}{more}.",
            *([f"It usually means: {plain(first.meaning)}."] if first.meaning else []),
            *(f"Setting {code(d.name or d.quantity)} is {was} and {now}." for d, (was, now) in settings),
            "",
        ]
    lines += ["| phase | values compared | differ | first at |", "| --- | ---: | ---: | --- |"]
    for cause in facts.causes:
        at = "" if cause.first is None else f"step {cause.first}"
        differ = f"**{cause.differ:,}**" if cause.differ else "not compared" if cause.compared == 0 else "0"
        lines.append(f"| {cause.phase} | {cause.compared:,} | {differ} | {at} |")
    lines.append("")
    if facts.timing:
        lines += [f"**Throughput**: {plain(str(facts.timing))}.", ""]
    expected = [f"{plain(name)} ({n:,})" for name, n in found.expected.items() if n]
    if expected:
        lines += [f"**Expected differences**: {'; '.join(expected)}.", ""]
    lines += _folded("Not compared", facts.missing)
    lines += _folded("Notes", facts.notes)
    return "\n".join(lines).rstrip() + "\n"


def _folded(title: str, texts: list[str]) -> list[str]:
    if not texts:
        return []
    rest = [f"- and {len(texts) - MOST} more, in the page"] if len(texts) > MOST else []
    items = [f"- {plain(text)}" for text in texts[:MOST]]
    return [f"<details><summary>{title}: {len(texts)}</summary>", "", *items, *rest, "", "</details>", ""]


def plain(text: str) -> str:
    """Nothing of it is markup, and nobody is called by it."""
    for sign, told in (("&", "&amp;"), ("<", "&lt;"), ("\n", " "), ("@", "@&#8203;")):
        text = text.replace(sign, told)
    for sign in "\\`*_|[]":
        text = text.replace(sign, f"\\{sign}")
    return text if len(text) <= 3 * LONGEST else f"{text[: 3 * LONGEST - 1]}…"


def code(value: object) -> str:
    text = " ".join(str(value).split()).replace("`", "'").replace("|", "¦")
    return f"`{text if len(text) <= LONGEST else text[: LONGEST - 1] + '…'}`"
