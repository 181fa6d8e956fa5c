"""The parts of a module's text, and how they are put together."""

from __future__ import annotations

import ast
import re

from migration.analysis.units import Unit
from migration.extraction.header import RULER, header_end


def attached_comment(unit: Unit) -> str:
    """The comment lines directly above an import, unless they are, or end, a section's banner; a file's first block is its own."""
    block: list[str] = []
    lead = unit.lead if unit.statement.lead else unit.lead[header_end(unit.lead, of_definition=False) :]
    for line in reversed(lead.splitlines(keepends=True)):
        if not line.strip().startswith("#"):
            break
        block.insert(0, line)
    return "" if any(RULER.match(line.strip()) or re.match(r"#\s?%%", line) for line in block) else "".join(block)


def literal_all(units: tuple[Unit, ...] | list[Unit]) -> list[str] | None:
    """The names of a literal `__all__`, None where there is none."""
    for unit in units:
        for node in unit.nodes:
            if (
                isinstance(node, ast.Assign)
                and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
                and isinstance(node.value, ast.List | ast.Tuple)
            ):
                return [e.value for e in node.value.elts if isinstance(e, ast.Constant) and isinstance(e.value, str)]
    return None


def new_module(
    docstring: str, futures: list[str], imports: list[str], exported: list[str], body: str, tail: list[str]
) -> str:
    sections = [docstring, "\n".join(futures), "\n".join(imports), "\n".join(exported)]
    top = "\n\n".join(s for s in sections if s)
    blank = "\n\n\n" if re.match(r"\s*(#|@|def |class |async def )", body) or tail else "\n\n"
    return top + blank + body.lstrip("\r\n") + below(tail)


def below(tail: list[str]) -> str:
    """The statements below the definitions."""
    return "\n" + "".join("\n" + line + "\n" for line in tail) if tail else ""


def merged(edits: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Insertions at one offset joined into one, so that their order is the order given."""
    found: dict[tuple[int, int], str] = {}
    for start, end, text in edits:
        found[start, end] = found.get((start, end), "") + text
    return [(start, end, text) for (start, end), text in found.items()]
