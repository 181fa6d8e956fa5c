"""The plan file: TOML, checked whole before anything is read from the repository.

Every field of every kind is written down here once. Adding a kind: a Step class below, its name in `AnyStep`, a codemod of the
same name in `codemods/`, a folder of cases.
"""

from __future__ import annotations

import hashlib
import keyword
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from migration.analysis.modules import dotted_name
from migration.errors import BadInput, nearest
from migration.tree import SKIPPED_FOLDERS, checked_path

SHIPPED = Path(__file__).parent / "plans"


def _inside(path: str) -> str:
    try:
        return checked_path(path)
    except BadInput as error:
        raise ValueError(str(error)) from error


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Step(_Model):
    """What every step has. `risk` is shown, never acted on."""

    id: str = Field(min_length=1)
    title: str
    kind: str
    risk: Literal["low", "medium", "high"] = "low"

    @field_validator("source", "target", "duplicate", "canonical", "file", "package", "moved_to", check_fields=False)
    @classmethod
    def _path_inside(cls, value: str) -> str:
        path = _inside(value)
        if skipped := SKIPPED_FOLDERS.intersection(path.split("/")):
            raise ValueError(f"{min(skipped)}/ is not part of the tree: it is neither read nor written")
        return path


class ExtractSymbols(Step):
    """Move top-level definitions from `source` to `target`."""

    kind: Literal["extract-symbols"]
    source: str
    target: str
    symbols: list[str] = Field(min_length=1)
    reexport: bool = Field(True, strict=True)
    expect_lines: dict[str, tuple[int, int]] = {}


class RemoveDuplicate(Step):
    """Delete `duplicate` in favour of `canonical`, once nothing is lost by it."""

    kind: Literal["remove-duplicate"]
    duplicate: str
    canonical: str
    adopt: list[str] = []
    on_divergence: Literal["stop", "keep", "discard"] = "stop"


class RewritePaths(Step):
    """Replace a script's path by another path or by `-m package.module` in `files`."""

    kind: Literal["rewrite-paths"]
    files: list[str] = Field(min_length=1)
    from_: str = Field(alias="from", min_length=1)
    to: str = Field(min_length=1)

    @field_validator("files")
    @classmethod
    def _globs_inside(cls, value: list[str]) -> list[str]:
        return [_inside(pattern) for pattern in value]


class RemoveCommentedCode(Step):
    """Delete comment blocks that hold code; prose stays."""

    kind: Literal["remove-commented-code"]
    file: str
    blocks: list[str] = Field(min_length=1)


class ReplaceComment(_Model):
    from_: str = Field(alias="from")
    to: str


class DocumentArguments(Step):
    """Give `add_argument` calls their help texts."""

    kind: Literal["document-arguments"]
    file: str
    options: dict[str, str] = {}
    replace_comment: ReplaceComment | None = None


class CreatePackage(Step):
    """Make a folder a Python package."""

    kind: Literal["create-package"]
    package: str


class MoveModule(Step):
    """Move a module whole; its relative imports and its importers follow."""

    kind: Literal["move-module"]
    source: str
    target: str


class DeprecatePackage(Step):
    """Turn a package's `__init__` into a warning forwarder to where its names have moved."""

    kind: Literal["deprecate-package"]
    package: str
    moved_to: str
    names: list[str] = Field(min_length=1)
    message: str
    replacement: str


class RouteCheckpointLoading(Step):
    """Make a loading function recognise checkpoints by what they hold."""

    kind: Literal["route-checkpoint-loading"]
    file: str
    function: str


class UnifyImport(Step):
    """Import one package under one name throughout the tree."""

    kind: Literal["unify-import"]
    from_: str = Field(alias="from", min_length=1)
    to: str = Field(min_length=1)

    @field_validator("from_", "to")
    @classmethod
    def _importable(cls, value: str) -> str:
        if not all(part.isidentifier() and not keyword.iskeyword(part) for part in value.split(".")):
            raise ValueError("expected the name of a package, as an import has it")
        return value


class EntryPoint(Step):
    """Hold the entry script to its size and let it run by path without shadowing anything."""

    kind: Literal["entry-point"]
    file: str
    max_lines: int = Field(gt=0, strict=True)
    symbols_left: list[str]


AnyStep = (
    ExtractSymbols
    | RemoveDuplicate
    | RewritePaths
    | RemoveCommentedCode
    | DocumentArguments
    | CreatePackage
    | MoveModule
    | DeprecatePackage
    | RouteCheckpointLoading
    | UnifyImport
    | EntryPoint
)
KINDS: dict[str, type[Step]] = {get_args(c.model_fields["kind"].annotation)[0]: c for c in get_args(AnyStep)}


class Python(_Model):
    """Where Python starts looking: import roots, in order."""

    roots: list[str] = Field(["."], min_length=1)

    @field_validator("roots")
    @classmethod
    def _roots_inside(cls, value: list[str]) -> list[str]:
        return [root if root == "." else _inside(root) for root in value]


class Plan(_Model):
    """A checked plan. `digest` is the SHA-256 of the file it was read from."""

    schema_: Literal[1] = Field(alias="schema")
    name: str
    title: str
    python: Python = Python(roots=["."])
    step: list[Annotated[AnyStep, Field(discriminator="kind")]] = Field(min_length=1)
    digest: str = ""
    file: str = ""

    def select(self, only: list[str] | None = None, through: str | None = None) -> Plan:
        """The plan with the asked-for steps only, in plan order. Raises BadInput for an unknown id."""
        ids = [step.id for step in self.step]
        for asked in [*(only or []), *([through] if through else [])]:
            if asked not in ids:
                raise BadInput(f"{self.file}: no step {asked!r}{nearest(asked, ids)}; the steps are {', '.join(ids)}")
        last = ids.index(through) if through else len(ids) - 1
        kept = [step for i, step in enumerate(self.step) if i <= last and (not only or step.id in only)]
        if not kept:
            raise BadInput(f"{self.file}: --only and --through leave no step to do")
        return self.model_copy(update={"step": kept})


def load_plan(name_or_file: str) -> Plan:
    """Read a plan by shipped name (`visioncore`) or by file. Raises BadInput, naming file, step, field and what was expected."""
    path = Path(name_or_file)
    if not path.is_file() and (SHIPPED / f"{name_or_file}.toml").is_file():
        path = SHIPPED / f"{name_or_file}.toml"
    if not path.is_file():
        shipped = sorted(p.stem for p in SHIPPED.glob("*.toml"))
        raise BadInput(
            f"no plan {name_or_file!r}: neither a file nor one of the shipped plans ({', '.join(shipped)}){nearest(name_or_file, shipped)}"
        )
    raw = path.read_bytes()
    try:
        data = tomllib.loads(raw.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not a TOML file ({error})") from error
    return parse_plan(data, str(path), hashlib.sha256(raw).hexdigest())


def parse_plan(data: dict[str, Any], file: str, digest: str = "") -> Plan:
    """Check plan data already read. Raises BadInput."""
    for reserved in ("digest", "file"):
        if reserved in data:
            raise BadInput(f"{file}: unknown field {reserved!r}; a plan has schema, name, title, python and step")
    try:
        plan = Plan.model_validate({**data, "digest": digest, "file": file})
    except ValidationError as error:
        raise BadInput(_in_words(error, data, file)) from None
    _check_together(plan)
    return plan


def _in_words(error: ValidationError, data: dict[str, Any], file: str) -> str:
    """pydantic's first complaint as a sentence that names the step, the field and what was expected."""
    problem = error.errors(include_url=False)[0]
    location = [str(part) for part in problem["loc"]]
    where, known = file, ["schema", "name", "title", "python", "step"]
    if location[0] == "step" and len(location) > 1:
        step = data["step"][int(location[1])]
        where = (
            f"{file}: step {step.get('id', int(location[1]) + 1)!r}"
            if isinstance(step, dict)
            else f"{file}: step {location[1]}"
        )
        if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
            kind = step.get("kind") if isinstance(step, dict) else None
            expected = f"expected one of {', '.join(KINDS)}"
            return (
                f"{where}: unknown kind {kind!r}{nearest(str(kind), KINDS)}; {expected}"
                if kind
                else f"{where}: field 'kind' is missing; {expected}"
            )
        model = KINDS[location[2]] if len(location) > 2 and location[2] in KINDS else Step
        known = [field.alias or name for name, field in model.model_fields.items()]
        location = location[3:]
    elif location[0] == "python":
        known = ["roots"]
    field = ".".join(location) or "step"
    if problem["type"] == "extra_forbidden":
        return f"{where}: unknown field {field!r}{nearest(location[-1], known)}; expected {', '.join(known)}"
    if problem["type"] == "missing":
        return f"{where}: field {field!r} is missing; expected {', '.join(known)}"
    return f"{where}: field {field!r}: {problem['msg'].removeprefix('Value error, ')}, found {problem['input']!r}"


def _check_together(plan: Plan) -> None:
    """What no single step can see: ids, and steps that fight over one file or symbol."""
    ids: set[str] = set()
    homes: dict[tuple[str, str], str] = {}
    claims: dict[str, tuple[str, str]] = {}
    for step in plan.step:
        where = f"{plan.file}: step {step.id!r}"
        if step.id in ids:
            raise BadInput(f"{where}: two steps have this id; ids must be unique")
        ids.add(step.id)
        for pair in (("source", "target"), ("duplicate", "canonical"), ("package", "moved_to")):
            first, second = (getattr(step, name, None) for name in pair)
            if first is not None and first == second:
                raise BadInput(f"{where}: fields {pair[0]!r} and {pair[1]!r} are both {first!r}; they must differ")
        if isinstance(step, MoveModule) and step.source.endswith(".py") != step.target.endswith(".py"):
            raise BadInput(
                f"{where}: field 'target': {step.target!r} and 'source' {step.source!r} must both be .py files, or neither of them"
            )
        if isinstance(step, ExtractSymbols):
            for field in ("source", "target"):
                if not str(getattr(step, field)).endswith(".py"):
                    raise BadInput(f"{where}: field {field!r}: {getattr(step, field)!r} is not a .py file")
            if dotted_name(step.target, plan.python.roots) is None:
                raise BadInput(
                    f"{where}: field 'target': {step.target!r} cannot be imported from the roots {', '.join(plan.python.roots)}: it has to lie under one of them, and every folder and file name has to be a Python identifier and no keyword"
                )
            for symbol in step.symbols:
                if step.symbols.count(symbol) > 1:
                    raise BadInput(f"{where}: field 'symbols' lists {symbol!r} twice")
                other = homes.setdefault((step.source, symbol), step.id)
                if other != step.id:
                    raise BadInput(
                        f"{where}: steps {other!r} and {step.id!r} both move {symbol!r} out of {step.source}; one of them must go"
                    )
            for name in step.expect_lines:
                if name not in step.symbols:
                    raise BadInput(
                        f"{where}: field 'expect_lines' names {name!r}, which is not in 'symbols'{nearest(name, step.symbols)}"
                    )
        for path, claim in _claims(step):
            other_id, other_claim = claims.setdefault(path, (step.id, claim))
            if other_id != step.id and "gone" in (claim, other_claim):
                raise BadInput(
                    f"{where}: steps {other_id!r} and {step.id!r} fight over {path}: one removes or moves it, the other needs it to stay or writes it too"
                )


def _claims(step: Step) -> Iterator[tuple[str, str]]:
    """(path, "gone" | "kept"): what a step does away with and what it must find or make in place."""
    match step:
        case ExtractSymbols():
            yield step.source, "kept"
            yield step.target, "kept"
        case RemoveDuplicate():
            yield step.duplicate, "gone"
            yield step.canonical, "kept"
        case MoveModule():
            yield step.source, "gone"
            yield step.target, "gone"
        case RemoveCommentedCode() | DocumentArguments() | EntryPoint() | RouteCheckpointLoading():
            yield step.file, "kept"
