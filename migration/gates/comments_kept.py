"""No comment is lost. One that goes on purpose is named by the step that takes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from migration.analysis.comments import comments_of
from migration.analysis.source import Unparsable
from migration.gates import Check, Failure, gate
from migration.plan import DocumentArguments, RemoveDuplicate
from migration.tree import Overlay

Places = dict[str, list[tuple[str, int]]]


@gate("comments-kept", "No comment is lost")
def comments_kept(check: Check) -> Iterator[Failure]:
    unread: dict[str, Failure] = {}
    before = _places(check.before, check.touched, unread)
    after = _places(check.after, check.touched, unread)
    yield from unread.values()
    duplicates = {
        s.duplicate for s in check.plan.step if isinstance(s, RemoveDuplicate) and not check.after.exists(s.duplicate)
    }
    excused = _named_by_steps(check, before, after)
    for text, places in before.items():
        own = [place for place in places if place[0] not in duplicates]
        missing = len(own) - len(after.get(text, [])) - excused[text]
        # Which of several equal comments went cannot be told; the last ones are named.
        for path, line in own[len(own) - missing :] if missing > 0 else []:
            yield Failure(path, line, f"the comment {_short(text)!r} is lost; no step says that it removes it")
    for path in sorted(duplicates):
        only = [(line, text) for text, places in before.items() if text not in after for p, line in places if p == path]
        if only:
            listed = ", ".join(f"{line}: {_short(text)!r}" for line, text in sorted(only)[:5])
            more = f" and {len(only) - 5} more" if len(only) > 5 else ""
            yield Failure(
                path,
                min(only)[0],
                f"{len(only)} comment(s) stand only in this removed duplicate ({listed}{more})",
                fatal=False,
            )


def _places(tree: Overlay, paths: Iterable[str], unread: dict[str, Failure]) -> Places:
    """Where each comment stands. A file that cannot be read this way is left out, and noted in `unread`."""
    found: Places = {}
    for path in paths:
        if not tree.exists(path):
            continue
        try:
            for comment in comments_of(path, tree.read(path)):
                found.setdefault(comment.text, []).append((path, comment.line))
        except Unparsable as error:
            unread[path] = Failure(path, error.line, f"its comments cannot be compared ({error.why})", fatal=False)
    return found


def _named_by_steps(check: Check, before: Places, after: Places) -> Counter[str]:
    """How often a step says that a comment goes: removed, replaced by another, or rewritten on its line."""
    excused: Counter[str] = Counter()
    for step in check.plan.step:
        outcome = check.outcomes.get(step.id)
        if outcome is None:
            continue
        excused.update(_stripped(outcome.removed_comments))
        if isinstance(step, DocumentArguments) and step.replace_comment is not None:
            old, new = _words(step.replace_comment.from_), _words(step.replace_comment.to)
            if new <= {_bare(text) for text in after}:
                excused.update(
                    text
                    for text, places in before.items()
                    if _bare(text) in old
                    for path, _ in places
                    if path == step.file
                )
        for finding in outcome.findings:
            # A rewritten comment is in the report with both its texts, and the new one has to be there.
            if finding.level == "change" and "#" in finding.before and "#" in finding.after:
                was, now = (text[text.index("#") :].strip() for text in (finding.before, finding.after))
                excused[was] += now in after and now != was
    return excused


def _stripped(lines: Iterable[str]) -> Iterator[str]:
    return (line.strip() for block in lines for line in block.splitlines() if line.strip())


def _bare(comment: str) -> str:
    return comment.strip().lstrip("#").strip()


def _words(comment: str) -> set[str]:
    """A plan may write a comment with or without its `#`."""
    return {_bare(line) for line in comment.splitlines()} - {""}


def _short(text: str) -> str:
    return text if len(text) <= 72 else text[:69] + "…"
