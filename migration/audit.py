"""`audit`: the questions to answer before starting, answered from the tree.

Who still imports the old modules, which checkpoints lie about, what else lives in a folder that the plan empties, and so whether
the old names have to keep working and both ways of training side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from migration.analysis import modules
from migration.analysis.paths import references
from migration.analysis.units import is_script
from migration.plan import DeprecatePackage, ExtractSymbols, MoveModule, Plan, RemoveDuplicate
from migration.tree import Overlay, is_record

if TYPE_CHECKING:
    from rich.console import Console

CHECKPOINTS = (".ckpt", ".pt", ".pth", ".safetensors")
SHOWN = 12
ELSEWHERE = "another package"
UNREAD = "does not parse"


@dataclass(frozen=True)
class Evidence:
    path: str
    line: int | None
    text: str


def audit(tree: Overlay, plan: Plan) -> list[dict[str, Any]]:
    """Five questions, each with `answer` (a sentence) and `evidence` (path, line, text)."""
    old = sorted(
        {s.source for s in plan.step if isinstance(s, MoveModule)}
        | {f"{s.package}/__init__.py" for s in plan.step if isinstance(s, DeprecatePackage)}
    )
    importers = list(_importers(tree, old, plan))
    checkpoints = [Evidence(p, None, f"{tree.size(p):,} bytes") for p in tree.paths() if p.endswith(CHECKPOINTS)]
    entries = sorted(
        {s.source for s in plan.step if isinstance(s, ExtractSymbols)}
        | {s.duplicate for s in plan.step if isinstance(s, RemoveDuplicate)}
    )
    callers = list({(e.path, e.line): e for entry in entries for e in _callers(tree, entry)}.values())
    users = [e for e in _importers(tree, entries, plan) if e.path not in entries]
    kinds = {kind: sum(e.text.startswith(kind) for e in importers) for kind in (ELSEWHERE, UNREAD)}
    ours = len(importers) - sum(kinds.values())
    needs_old = [*importers, *checkpoints, *users]
    return [
        _entry(
            "Are there any active experiments using the old Lightning modules?",
            f"{ours} import(s) of {', '.join(old) or 'nothing'} in this tree"
            + (f", {kinds[ELSEWHERE]} of a module of the same name in another package" if kinds[ELSEWHERE] else "")
            + (f"; {kinds[UNREAD]} file(s) that name one of them do not parse" if kinds[UNREAD] else ""),
            importers,
        ),
        _entry(
            "Do we have old checkpoints that need to be loadable?",
            f"{len(checkpoints)} checkpoint file(s) in this tree"
            + ("" if checkpoints else "; what lies outside the repository is not seen"),
            checkpoints,
        ),
        *_folders(tree, plan),
        _entry(
            "Should we keep backward compatibility or force migration?",
            f"Keep it: {len(needs_old)} place(s) rely on old names"
            if needs_old
            else "Nothing in this tree relies on the old names; they may go",
            needs_old,
        ),
        _entry(
            "Do we need to support both old and new training systems simultaneously?",
            f"{len(callers)} call(s) of the old entry points; the script keeps its path and its options, so both are served by the same file"
            if callers
            else "Nothing in this tree calls the old entry points",
            callers,
        ),
    ]


def _entry(question: str, answer: str, evidence: list[Evidence]) -> dict[str, Any]:
    return {"question": question, "answer": answer, "evidence": [asdict(e) for e in evidence]}


def _importers(tree: Overlay, paths: list[str], plan: Plan) -> Iterator[Evidence]:
    """Every import of one of `paths`, and imports of a module of the same dotted name in some other package."""
    roots = plan.python.roots
    stems = {p.removesuffix("/__init__.py").removesuffix(".py").rsplit("/", 1)[-1] for p in paths}
    dotted = {name for p in paths if (name := modules.dotted_name(p, roots))}
    for path in tree.mentioning(*sorted(stems), suffixes=(".py",)) if stems else []:
        source = tree.source(path)
        if not source.parses:
            yield Evidence(path, None, f"{UNREAD}, and names one of them: look at it by hand")
            continue
        hints = modules.path_hints(source)
        for node in source.imports:
            start, end = source.span(node)
            text = " ".join(source.text[start:end].split())
            names = [a.name for a in node.names] if not hasattr(node, "module") else [node.module or ""]
            for name in names:
                level = getattr(node, "level", 0)
                found = (
                    modules.resolve_relative(tree, name or None, level, path)
                    if level
                    else _absolute(tree, name, path, roots, hints)
                )
                if found in paths and path not in paths:
                    yield Evidence(path, node.lineno, text)
                elif found is None and not level and any(name.endswith("." + d) for d in dotted):
                    yield Evidence(path, node.lineno, f"{ELSEWHERE}: {text}")


def _absolute(tree: Overlay, name: str, path: str, roots: list[str], hints: list[str]) -> str | None:
    """The file that an absolute import means. What lies beside a package's module is found only by those who run it by path."""
    file, folder = modules.resolve_absolute(tree, name, path, roots, hints) or (None, ".")
    own = modules.folder_of(path)
    beside = folder == own and own not in (*roots, *hints) and tree.exists(modules.join(own, "__init__.py"))
    return None if beside and not is_script(tree.source(path)) else file


def _callers(tree: Overlay, script: str) -> Iterator[Evidence]:
    name = script.rsplit("/", 1)[-1]
    for path in tree.mentioning(name):
        raw = tree.read(path)
        for spelling in dict.fromkeys((name, script)):
            for mention in references(path, raw, spelling):
                if mention.role in ("call", "call-in-string", "commented-call"):
                    yield Evidence(path, mention.line, f"{mention.role} of {spelling}")


def _folders(tree: Overlay, plan: Plan) -> Iterator[dict[str, Any]]:
    """What else is in the folders that the plan takes duplicates out of."""
    gone = {s.duplicate for s in plan.step if isinstance(s, RemoveDuplicate)}
    folders = sorted({modules.folder_of(path) for path in gone})
    if not folders:
        yield _entry("Is a folder that the plan empties still needed for anything?", "The plan empties no folder", [])
    for folder in folders:
        left = [p for p in tree.paths() if p.startswith(folder + "/") and p not in gone and not is_record(p)]
        stems = {p.rsplit("/", 1)[-1].removesuffix(".py"): p for p in left if p.endswith(".py")}
        used = list(_importers(tree, list(stems.values()), plan)) if stems else []
        outside = [e for e in used if not e.path.startswith(folder + "/")]
        yield _entry(
            f"Is the `{folder}/` directory still needed for anything?",
            f"Yes: {len(left)} file(s) stay, {len(outside)} import(s) from outside it, {len(used) - len(outside)} among themselves"
            if left
            else "No: nothing else is in it",
            outside or [Evidence(p, None, f"{tree.size(p):,} bytes") for p in left],
        )


def render_audit(answers: list[dict[str, Any]], console: Console) -> None:
    """The questions with their answers and the first pieces of evidence."""
    for number, entry in enumerate(answers, 1):
        console.print(f"[bold]{number}. {entry['question']}[/bold]", highlight=False)
        console.print(f"   {entry['answer']}", highlight=False, markup=False)
        for found in entry["evidence"][:SHOWN]:
            place = found["path"] + (f":{found['line']}" if found["line"] else "")
            console.print(f"     {place}  {found['text']}", highlight=False, markup=False)
        if len(entry["evidence"]) > SHOWN:
            console.print(
                f"     … and {len(entry['evidence']) - SHOWN} more (--json lists all)", highlight=False, markup=False
            )
