"""unify-import: one package, one name. Every absolute import of `from` becomes an import of `to`.

`lightning` and `pytorch_lightning` are the same code under two names whose classes do not mix (a `LightningModule` of one is refused by
the `Trainer` of the other); their submodules map as the packages lay them out: `lightning.pytorch` is `pytorch_lightning`,
`lightning.fabric` is `lightning_fabric`, which `pytorch_lightning` brings along. A module of the tree that has the old name stays.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from migration.analysis import modules
from migration.analysis.bound_names import bindings_of, bound_names, own_nodes
from migration.analysis.imports import bound_by, render_from, with_module, without
from migration.analysis.notebooks import cells, python_text, with_cell_texts
from migration.analysis.source import Source, dotted, splice
from migration.analysis.units import is_script
from migration.codemods import Context, Finding, Outcome, codemod
from migration.errors import BadInput
from migration.outcome import Level
from migration.plan import UnifyImport
from migration.tree import Overlay

# https://github.com/Lightning-AI/pytorch-lightning/blob/master/src/lightning/__init__.py: what its top level takes from where.
LAYOUT = {
    "lightning": {
        "lightning.pytorch": "pytorch_lightning",
        "lightning.fabric": "lightning_fabric",
        "lightning.Fabric": "lightning_fabric.Fabric",
        "lightning": "pytorch_lightning",
    }
}
REVERSE = {"pytorch_lightning": {"pytorch_lightning": "lightning.pytorch", "lightning_fabric": "lightning.fabric"}}
CONFIGS = (".yaml", ".yml", ".toml", ".json")
REQUIREMENTS = re.compile(r"(^|/)(requirements[^/]*\.txt|environment[^/]*\.ya?ml|pyproject\.toml|setup\.(py|cfg))$")
# A value, or a key, that is a dotted name and nothing else.
VALUE = re.compile(
    r"""(?:^[ \t]*|[:=,\[{(][ \t]*|-[ \t]+)["']?(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)(?=["']?[ \t]*(?:\r?$|[,\]}):]|[ \t]\#))""",
    re.MULTILINE,
)
DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
IMPORTING = frozenset({"import_module", "__import__", "find_spec", "importorskip"})
SUFFIX = re.compile(r"cfg|ckpt|csv|ini|ipynb|jsonl?|log|md|np[yz]|pkl|pth?|py|sh|toml|txt|ya?ml")
Edit = tuple[int, int, str]
Table = dict[str, str]


@codemod(UnifyImport)
def unify_import(step: UnifyImport, tree: Overlay, context: Context) -> Outcome:
    """Rewrite imports, the uses that spell the old name out, and strings that are dotted names of the package."""
    table = _table(step)
    ours = any(modules.find_module(tree, step.from_, root) for root in context.roots)
    outcome = Outcome()
    for path in tree.mentioning(step.from_):
        if path.endswith((".py", ".ipynb")):
            _python(tree, path, step, table, context.roots, outcome)
        if REQUIREMENTS.search(path):
            if re.search(rf"(?<![\w.-]){re.escape(step.from_)}(?![\w.-])", tree.read(path).decode(errors="replace")):
                message = f"mentions {step.from_}; look whether it asks for the package"
                outcome.findings.append(Finding("note", path, None, message))
        elif path.endswith(CONFIGS) and not ours:
            _config(tree, path, table, outcome)
    if not outcome.edits:
        return Outcome("already done", f"nothing imports {step.from_}", findings=outcome.findings)
    outcome.summary = f"{step.from_} → {step.to} in {len(outcome.edits)} files"
    return outcome


def _table(step: UnifyImport) -> Table:
    """Old dotted prefixes to new ones."""
    layouts = {"pytorch_lightning": LAYOUT, "lightning": REVERSE}.get(step.to, {})
    return layouts.get(step.from_, {step.from_: step.to})


def _key(name: str, table: Table) -> str | None:
    """The longest key that `name` is or begins with, None where it is none of the package."""
    return max((old for old in table if name == old or name.startswith(old + ".")), key=len, default=None)


def _mapped(name: str, table: Table) -> str | None:
    old = _key(name, table)
    return None if old is None else table[old] + name[len(old) :]


def _in_string(name: str, table: Table) -> str | None:
    """The same for text that may be something else: `lightning.log` is a file, `lightning.max_epochs` a setting."""
    old, last = _key(name, table), name.rpartition(".")[2]
    if (
        old is None
        or SUFFIX.fullmatch(last)
        or (len(table) > 1 and "." not in old and old in LAYOUT and last.islower())
    ):
        return None
    return _mapped(name, table)


# -- Python ----------------------------------------------------------------------------------------------------------------


@dataclass
class _Names:
    """What a file (a notebook: all its cells) binds by plain imports of the package.

    `stands_for` maps a bound name to the old dotted name; those in `spelt_out` are gone afterwards, so their uses spell the new
    name. `brought` are the new packages that the statements bind under their own names, `needed` those that the uses of a bound
    name need so.
    """

    stands_for: dict[str, str] = field(default_factory=dict)
    spelt_out: set[str] = field(default_factory=set)
    brought: set[str] = field(default_factory=set)
    needed: dict[str, set[str]] = field(default_factory=dict)


def _python(tree: Overlay, path: str, step: UnifyImport, table: Table, roots: list[str], outcome: Outcome) -> None:
    raw = tree.read(path)
    if path.endswith(".py"):
        source = tree.source(path)
        if source.parses:
            edits = _edits(tree, [source], step, table, roots, outcome)[0]
            outcome.edits |= {path: source.encode(splice(source.text, edits))} if edits else {}
        elif re.search(rf"^\s*(import|from)\s+{re.escape(step.from_)}\b", raw.decode(errors="replace"), re.MULTILINE):
            message = f"imports {step.from_} and is left alone: it does not parse"
            outcome.findings.append(Finding("warning", path, None, message))
        return
    try:
        parsed = [(cell, Source(path, python_text(cell).encode())) for cell in cells(raw)]
    except BadInput as error:
        outcome.findings.append(Finding("warning", path, None, f"mentions {step.from_} and is left alone: {error}"))
        return
    parsed = [(cell, source) for cell, source in parsed if source.parses]
    every = _edits(tree, [source for _, source in parsed], step, table, roots, outcome)
    changed = {cell.index: splice(cell.text, edits) for (cell, _), edits in zip(parsed, every, strict=True) if edits}
    if changed:
        outcome.edits[path] = with_cell_texts(raw, changed)


def _edits(
    tree: Overlay, sources: list[Source], step: UnifyImport, table: Table, roots: list[str], outcome: Outcome
) -> list[list[Edit]]:
    """The edits of each source of one file; a finding for each edit."""
    imports = [[n for n in s.imports if not _is_ours(tree, s, n, step.from_, roots)] for s in sources]
    names = _names(sources, imports, table)
    found = []
    for source in sources:
        ours = modules.resolve_absolute(tree, step.from_, source.path, roots, modules.path_hints(source))
        strings = [] if ours else _strings(source, table)
        outcome.findings += [] if ours else _left(source, strings, table)
        found.append([*_uses(source, names, table), *strings])
    for source, nodes, edits in zip(sources, imports, found, strict=True):
        for node in nodes:
            start, end = source.span(node)
            if isinstance(node, ast.ImportFrom):
                new = _from_import(source, node, table)
            else:
                new = _plain_import(node, names, table)
            if new is not None and new != source.text[start:end]:
                edits.append((start, end, new))
        outcome.findings += [_finding(source, edit, step) for edit in sorted(edits)]
    return found


def _finding(source: Source, edit: Edit, step: UnifyImport) -> Finding:
    start, end, new = edit
    line = source.line_of(start)
    begin, stop = source.line_starts[line - 1], source.text.find("\n", end)
    whole = source.text[begin : stop if stop >= 0 else None]
    after = splice(whole, [(start - begin, end - begin, new)]).strip()
    return Finding("change", source.path, line, f"{step.from_} is {step.to} now", whole.strip(), after)


def _is_ours(tree: Overlay, source: Source, node: ast.Import | ast.ImportFrom, package: str, roots: list[str]) -> bool:
    """Whether the statement means a module of the tree, which may have a folder of the package's name, or no part of the package."""
    if isinstance(node, ast.ImportFrom) and node.level:
        return True
    wanted = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
    for name in wanted:
        found = modules.resolve_absolute(tree, name, source.path, roots, modules.path_hints(source))
        if found is None or name.partition(".")[0] != package:
            continue
        file, folder = found
        own = modules.folder_of(source.path)
        run = source.path.endswith(".ipynb") or is_script(source) or not tree.exists(modules.join(own, "__init__.py"))
        if folder == own and folder not in roots and not run:
            continue  # a package's own folder is on nobody's path
        if isinstance(node, ast.Import) or any(_defines(tree, file, name, folder, a.name) for a in node.names):
            return True
    return False


def _defines(tree: Overlay, file: str, module: str, folder: str, name: str) -> bool:
    if name == "*" or modules.find_module(tree, f"{module}.{name}", folder):
        return True
    source = tree.source(file)
    return not source.parses or any({name, "*"} & bound_names(statement) for statement in source.tree.body)


def _names(sources: list[Source], imports: list[list[ast.Import | ast.ImportFrom]], table: Table) -> _Names:
    names = _Names()
    for alias in (a for nodes in imports for n in nodes if isinstance(n, ast.Import) for a in n.names):
        if (new := _mapped(alias.name, table)) is None:
            continue
        bound = alias.asname or alias.name.partition(".")[0]
        names.stands_for[bound] = alias.name if alias.asname else bound
        parts = "|".join(re.escape(old) for old in table if old.startswith(alias.name + "."))
        deeper = parts and any(re.search(rf"(?<![\w.])(?:{parts})\b", source.text) for source in sources)
        if not alias.asname and ("." in alias.name or "." in new or deeper):
            names.spelt_out.add(bound)
            names.brought.add(new.partition(".")[0])
    return names


def _plain_import(node: ast.Import, names: _Names, table: Table) -> str | None:
    """`import lightning.pytorch as pl`, `import os, lightning`; and what the uses of the name need beside it."""
    pieces, changed = [], False
    for alias in node.names:
        new = _mapped(alias.name, table)
        changed |= new is not None
        bound = bound_by(node, alias)
        kept = alias.asname if new is None else None if bound in names.spelt_out and not alias.asname else bound
        pieces.append((new or alias.name) + (f" as {kept}" if kept else ""))
        pieces += sorted(names.needed.get(bound, set()) - names.brought) if new is not None else []
    return "import " + ", ".join(dict.fromkeys(pieces)) if changed else None


def _from_import(source: Source, node: ast.ImportFrom, table: Table) -> str | None:
    """`from lightning.pytorch import X`; a name that lives elsewhere under the new name gets a statement of its own."""
    start, end = source.span(node)
    text, module = source.text[start:end], node.module or ""
    new = _mapped(module, table)
    if new is None:
        return None
    apart = {a.name: table[f"{module}.{a.name}"] for a in node.names if f"{module}.{a.name}" in table}
    if not apart:
        return with_module(text, new)
    pieces = []
    if len(apart) < len(node.names):
        rest, comments = without(text, [bound_by(node, a) for a in node.names if a.name in apart])
        pieces = [*comments, with_module(rest.rstrip("\r\n"), new)]
    for alias in (a for a in node.names if a.name in apart):
        home, _, name = apart[alias.name].rpartition(".")
        bound = f" as {alias.asname}" if alias.asname else ""
        pieces.append(render_from(home, [name + bound]) if home else f"import {name} as {bound_by(node, alias)}")
    indent = source.text[source.line_starts[source.line_of(start) - 1] : start]
    return (source.newline + indent if not indent.strip() else "; ").join(pieces)


def _uses(source: Source, names: _Names, table: Table) -> list[Edit]:
    """Uses of a bound name that have to read otherwise; what they need is noted in `names`."""
    edits = []
    for chain in _chains(source.tree, frozenset(names.stands_for)):
        bound, _, rest = dotted(chain).partition(".")
        before = names.stands_for[bound]
        old = _key(f"{before}.{rest}" if rest else before, table)
        if old is None or len(old) < len(before) or (old == before and bound not in names.spelt_out):
            old = before
        part: ast.expr = chain
        for _ in range(rest.count(".") + bool(rest) - old[len(before) :].count(".")):
            assert isinstance(part, ast.Attribute)  # `dotted` gave it as many dots
            part = part.value
        new, base = _mapped(old, table) or old, _mapped(before, table) or before
        if bound not in names.spelt_out and (new == base or new.startswith(base + ".")):
            new = bound + new[len(base) :]
        else:
            names.needed.setdefault(bound, set()).add(new.partition(".")[0])
        if new != dotted(part):
            edits.append((*source.span(part), new))
    return edits


def _chains(node: ast.AST, names: frozenset[str]) -> Iterator[ast.expr]:
    """The longest `name.a.b` for each of `names` in the code below, where no scope binds the name to something else."""
    if isinstance(node, ast.Attribute | ast.Name) and (found := dotted(node)):
        if found.partition(".")[0] in names:
            yield node
        return
    names -= _hidden(node)
    for child in ast.iter_child_nodes(node) if names else ():
        yield from _chains(child, names)


def _hidden(node: ast.AST) -> set[str]:
    """Names that a scope binds itself, and not (also, as a fallback) by an import."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            imports = [n for n in own_nodes(node.body) if isinstance(n, ast.Import)]
            stored = bindings_of(node.body, declared=False, imports=False)
            return _parameters(node.args) | stored - bindings_of(imports, declared=False)
        case ast.Lambda():
            return _parameters(node.args)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            return bindings_of([g.target for g in node.generators], declared=False)
    return set()


def _parameters(arguments: ast.arguments) -> set[str]:
    return {n.arg for n in ast.walk(arguments) if isinstance(n, ast.arg)}


def _strings(source: Source, table: Table) -> list[Edit]:
    """String literals that are a dotted name of the package, and the package's name where a function imports it."""
    if not any(old in source.text for old in table):
        return []
    edits: list[Edit] = []
    kept = _for_its_top(source, table)
    for node in ast.walk(source.tree):
        if node in kept:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and DOTTED.fullmatch(node.value):
            edits += _literal(source, node, node.value, _in_string(node.value, table))
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called, name = dotted(node.func).rpartition(".")[2], node.args[0].value
            if node.args[0] in kept:
                continue
            if called in IMPORTING and isinstance(name, str) and name in table and "." not in name:
                edits += _literal(source, node.args[0], name, table[name])
    return edits


def _for_its_top(source: Source, table: Table) -> set[ast.AST]:
    """What `__import__` is called with where it has to stay: it returns the top of a dotted name, another module then."""
    return {
        node.args[0]
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and dotted(node.func) == "__import__" and node.args
        and isinstance(node.args[0], ast.Constant) and "." in (_mapped(str(node.args[0].value), table) or "")
    }  # fmt: skip


def _left(source: Source, edits: list[Edit], table: Table) -> Iterator[Finding]:
    """Strings that name the package and stay: a logger's name, a pattern for warnings, a key of `sys.modules`."""
    names = "|".join(re.escape(old) for old in sorted(table, key=len, reverse=True))
    pattern = re.compile(rf"[\^(.*]*(?:{names})(?:[)$*|\\].*|\.[\w.]*[*\\(|$+].*)?", re.DOTALL)
    done, stays = {start for start, _, _ in edits}, _for_its_top(source, table)
    keys = {
        n.slice for n in ast.walk(source.tree) if isinstance(n, ast.Subscript) and dotted(n.value).endswith("sys.modules")
    }  # fmt: skip
    prose = {n.value for n in ast.walk(source.tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or node in prose:
            continue
        if not (node in stays or pattern.fullmatch(node.value)) or source.span(node)[0] in done:
            continue
        if node in stays:
            message = "left: __import__ returns the top of a dotted name; use importlib.import_module"
        elif node in keys:
            message = f"left: nothing is in sys.modules as {node.value!r} any more, unless something else imports it"
        else:
            message = f"left: the string {node.value!r}; look whether it means the package"
        level: Level = "warning" if node in stays or node in keys else "note"
        yield Finding(level, source.path, node.lineno, message)


def _literal(source: Source, node: ast.Constant, old: str, new: str | None) -> Iterator[Edit]:
    start, end = source.span(node)
    text = source.text[start:end]
    if new is not None and text.count(old) == 1:
        yield start, end, text.replace(old, new)


# -- configurations --------------------------------------------------------------------------------------------------------


def _config(tree: Overlay, path: str, table: Table, outcome: Outcome) -> None:
    """Values and keys that are, as a whole, a dotted name of the package."""
    text = tree.read(path).decode("utf-8", "surrogateescape")
    edits = []
    for match in VALUE.finditer(text):
        new = _in_string(match["name"], table)
        if new is not None:
            edits.append((*match.span("name"), new))
            line = text.count("\n", 0, match.start("name")) + 1
            outcome.findings.append(Finding("change", path, line, "the package's new name", match["name"], new))
    if edits:
        outcome.edits[path] = splice(text, edits).encode("utf-8", "surrogateescape")
