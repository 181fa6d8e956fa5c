"""The report of several trainings: what was found of each, in a row of one table."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from urllib.parse import quote

from regression.report.facts import Facts, Verdict, counted
from regression.report.markdown import plain


def verdict(runs: Mapping[str, Facts]) -> Verdict:
    """The worst of all: the same only where every training is."""
    kinds = [facts.verdict.kind for facts in runs.values()]
    if not kinds:
        return Verdict("incomparable", "Nothing compared", "No training was compared.")
    values = sum(sum(facts.found.compared.values()) for facts in runs.values())
    told = f"{counted(len(runs), 'training')}, {counted(values, 'value')} compared."
    off = len(kinds) - kinds.count("same")
    if not off:
        return Verdict("same", "All the same", f"{told} Each has its own page, which says what was not compared.")
    kind = "different" if "different" in kinds else "incomparable"
    return Verdict(kind, f"{off} of {len(kinds)} not the same", told)


def page(name: str, runs: Mapping[str, Facts]) -> str:
    """Links to NAME/TRAINING.html."""
    from regression.report.page import header, table, whole

    said, rows = verdict(runs), []
    for training, facts in runs.items():
        link = f'<a href="{escape(quote(f"{name}/{training}.html"))}">{escape(training)}</a>'
        tone = "good" if facts.verdict.kind == "same" else "bad"
        numbers = "".join(f'<td class="num">{n:,}</td>' for n in (len(facts.new.steps), *_numbers(facts)))
        rows.append(
            f'<tr><td class="name">{link}</td><td class="name {tone}">{escape(facts.verdict.title)}</td>{numbers}'
            f'<td class="words">{escape(_why(facts))}</td></tr>'
        )
    columns = ("Training", "Verdict", "#Steps", "#Values", "#Differ", "#Expected to", "First difference")
    body = f"{header(said, 'Training regression', {})}\n<main>\n{table(columns, rows)}</main>"
    return whole(f"{said.title} · training regression", said.kind, body)


def markdown(runs: Mapping[str, Facts]) -> str:
    """A row for each training, and below them the first differences."""
    said = verdict(runs)
    lines = [f"### Training regression: {said.title.lower()}", "", plain(said.why), ""]
    lines += ["| training | verdict | values compared | differ | expected to |", "| --- | --- | ---: | ---: | ---: |"]
    for training, facts in runs.items():
        numbers = " | ".join(f"{n:,}" for n in _numbers(facts))
        lines.append(f"| {plain(training)} | {plain(facts.verdict.title.lower())} | {numbers} |")
    lines += [
        "",
        *(f"- **{plain(training)}**: {plain(_why(facts))}" for training, facts in runs.items() if _why(facts)),
    ]
    gaps = dict.fromkeys(text for facts in runs.values() for text in facts.missing if "GPU" in text)
    return "\n".join([*lines, "", *map(plain, gaps)]).rstrip() + "\n"


def _numbers(facts: Facts) -> tuple[int, int, int]:
    """Values compared, that differ, and that are expected to."""
    differ = sum(cause.differ for cause in facts.causes)
    return sum(facts.found.compared.values()), differ, sum(facts.found.expected.values())


def _why(facts: Facts) -> str:
    first = facts.found.first
    if facts.found.incomparable or first is None:
        return facts.verdict.why if facts.found.incomparable else ""
    return f"{first}. It usually means: {first.meaning}." if first.meaning else f"{first}."
