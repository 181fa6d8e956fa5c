"""One checkpoint made new: read, changed by the rules, written with its tensors' bytes as they are."""

from __future__ import annotations

import contextlib
import datetime
import json
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from legacy import __version__
from legacy.checkpoint import Checkpoint, Refused, read, write_ckpt, write_safetensors
from legacy.checkpoint.beside import beside, check_beside
from legacy.checkpoint.files import Identity, check_replaceable
from legacy.checkpoint.hashing import Sha256
from legacy.checkpoint.names import PLACES
from legacy.checkpoint.pickles.emit import Emitter
from legacy.checkpoint.pickles.machine import uncollected
from legacy.checkpoint.rules import Work, translated
from legacy.checkpoint.rules.user import Row
from legacy.checkpoint.safetensors_writer import checked_parts, left_out
from legacy.checkpoint.writer import encode
from legacy.terminal import visible

Form: TypeAlias = Literal["ckpt", "safetensors"]
_MAX_RECORD: Final = 1 << 19  # bytes; readers stop at twice that


@dataclass(frozen=True, slots=True)
class Options:
    """How to translate: the same for every file of an archive."""

    to: Form = "ckpt"
    rows: Sequence[Row] = ()
    allow: Collection[str] = ()
    check: bool = False  # every record's CRC
    dry_run: bool = False
    hashed: bool = True  # the source's SHA-256, for the provenance record
    synced: bool = True  # on the disk when it is done


@dataclass(slots=True)
class Report:
    """What a translation came to. `rules` counts the changes by rule; `replaced` what has a plainer type now."""

    source: str
    destination: str
    kind: str
    format: str
    written: bool
    sha256: str | None = None
    bytes: int = 0
    seconds: float = 0.0
    rules: list[dict[str, Any]] = field(default_factory=list)
    replaced: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def translate(source: Path, destination: Path, options: Options, spared: Collection[Identity] = ()) -> Report:
    """Translates a file; what is `spared` is never written over, nor is the source.

    Raises `Refused` for globals that nobody allowed, `Damaged` or `CheckpointError` for what cannot be read or written.
    """
    with uncollected():
        return _translate(source, destination, options, spared)


def outputs(destination: Path, to: Form) -> list[Path]:
    """The files that a translation to `destination` makes."""
    return [destination, beside(destination)] if to == "safetensors" else [destination]


def suffixed(name: Path, to: Form) -> Path:
    """What a checkpoint is called once translated: a safetensors file by that suffix, and nothing else."""
    return name.with_suffix(f".{to}") if to == "safetensors" or name.suffix.lower() == ".safetensors" else name


def _translate(source: Path, destination: Path, options: Options, spared: Collection[Identity]) -> Report:
    began = time.perf_counter()
    checkpoint = read(source)
    for path in outputs(destination, options.to):  # also for a dry run, which writes nothing that could fail
        check_replaceable(path, checkpoint.source, spared)
    if options.to == "safetensors":
        check_beside(destination)
    refuse(checkpoint, {*options.allow, *(row.value["from"] for row in options.rows if row.kind == "replace_global")})
    work = translated(checkpoint, options.rows, options.allow)
    if options.to == "safetensors":
        _warn_of_left_out(work)
    elif checkpoint.beside and checkpoint.beside.described:
        work.warn(
            f"of the JSON beside it, what is only described there is left out: {', '.join(checkpoint.beside.words())}"
        )
    report = Report(
        source=str(source),
        destination=str(destination),
        kind=work.kind,
        format="legacy-pickle" if checkpoint.format == "pickle" else checkpoint.format,
        written=not options.dry_run,
        rules=[{"name": name, "count": done.count, "notes": done.notes} for name, done in work.applied.items()],
        warnings=work.warnings,
    )
    if options.dry_run:
        if options.to == "ckpt":
            _tell(report, encode(checkpoint, work.root, options.allow)[1])
    else:
        _write(checkpoint, work, destination, options, report, spared)
    report.seconds = round(time.perf_counter() - began, 3)
    return report


def _warn_of_left_out(work: Work) -> None:
    """Warns of tensors that have no place in safetensors. Raises `Refused` for weights that have none."""
    try:
        _, *beside_them = checked_parts(work.root)
    except Refused as error:
        raise Refused(f"{work.checkpoint.path}: {error}") from None
    if told := left_out(*beside_them):
        work.warn(told)


def _tell(report: Report, emitter: Emitter) -> None:
    """What came of writing it."""
    report.replaced = emitter.replaced
    if emitter.kept:
        names = ", ".join(sorted(map(str, emitter.kept)))
        report.warnings.append(
            f"plain torch will not load it with weights_only=True, for the names that were allowed: {names}"
        )


def refuse(checkpoint: Checkpoint, allow: Collection[str]) -> None:
    """Raises `Refused` for globals that nobody allowed, with their places."""
    refused = {name: use for name, use in checkpoint.globals.refused.items() if name not in allow}
    if refused:
        lines = []
        for name, use in refused.items():
            more = f" and {use.count - PLACES:,} more places" if use.count > PLACES else ""
            lines.append(f"\n  {visible(name)} at {', '.join(use.places)}{more}")
        raise Refused(
            f"{checkpoint.path}: names that nobody allowed:{''.join(lines)}\n"
            "None of them was looked up or called. --allow NAME lets one through as a record"
        )


def _write(
    checkpoint: Checkpoint,
    work: Work,
    destination: Path,
    options: Options,
    report: Report,
    spared: Collection[Identity],
) -> None:
    with Sha256(checkpoint.source) if options.hashed else contextlib.nullcontext() as digest:

        def provenance(emitter: Emitter | None = None) -> dict[str, Any]:
            report.sha256 = digest.hexdigest() if digest else None
            if emitter:
                _tell(report, emitter)
            return record(checkpoint, options, report)

        if options.to == "ckpt":
            written = write_ckpt(
                checkpoint,
                work.root,
                destination,
                provenance,
                allow=options.allow,
                check=options.check,
                spared=spared,
                synced=options.synced,
            )
        else:
            written = write_safetensors(
                checkpoint, work.root, destination, provenance(), spared=spared, synced=options.synced
            )
    report.bytes = written.nbytes


def record(checkpoint: Checkpoint, options: Options, report: Report) -> dict[str, Any]:
    """The provenance that a translated file carries: enough to find its source, and to translate it again in the same way."""
    made: dict[str, Any] = {
        "tool": "python -m legacy",
        "version": __version__,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "source": {
            "name": checkpoint.path.name,
            "sha256": report.sha256,
            "bytes": checkpoint.source.size,
            "mtime_ns": checkpoint.source.mtime_ns,
        },
        "kind": report.kind,
        "format": report.format,
        "rules": report.rules,
        "replaced": report.replaced,
        "warnings": report.warnings[:20],
        "user_rules": json.loads(json.dumps([dict(row.text) for row in options.rows], default=str)),  # TOML has dates
        "allowed": sorted(options.allow),
        "previous": checkpoint.provenance,
    }
    for dispensable in ("previous", "warnings", "rules"):
        if len(json.dumps(made, default=str)) <= _MAX_RECORD:
            break
        made[dispensable] = (
            [{"name": rule["name"], "count": rule["count"]} for rule in report.rules]
            if dispensable == "rules"
            else None
        )
    return made
