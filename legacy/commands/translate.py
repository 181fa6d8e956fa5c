"""`translate`: a checkpoint, or a folder of them, made new."""

from __future__ import annotations

import argparse
import json

from legacy.checkpoint import CheckpointError
from legacy.checkpoint.rules.user import load
from legacy.terminal import visible
from legacy.translate import Form, Options, Report, suffixed, translate


def run(arguments: argparse.Namespace) -> int:
    rows = load(arguments.rules) if arguments.rules else []
    folder = arguments.source.is_dir()
    into = folder or arguments.destination.is_dir()
    named = not into and arguments.destination.suffix.lower() == ".safetensors"
    to: Form = arguments.to or ("safetensors" if named else "ckpt")
    if named and to == "ckpt":  # torch, too, goes by the suffix
        raise CheckpointError(
            f"{arguments.destination}: nothing would load a ckpt by that name. Leave out --to, or call it .ckpt"
        )
    options = Options(
        to=to,
        rows=rows,
        allow=frozenset(arguments.allow),
        check=folder if arguments.check is None else arguments.check,
        dry_run=arguments.dry_run,
        hashed=arguments.sha256,
        synced=arguments.sync,
    )
    if folder:
        if not options.synced:
            raise CheckpointError(
                "--no-sync is for a single file: what a folder's manifest has as done must be on the disk"
            )
        from legacy.archive import translate_archive

        return translate_archive(
            arguments.source,
            arguments.destination,
            options,
            jobs=arguments.jobs,
            shard=arguments.shard or (1, 1),
            as_json=arguments.json,
        )
    if arguments.shard:
        raise CheckpointError(f"--shard is for folders: {arguments.source} is none")
    destination = arguments.destination / suffixed(arguments.source, to).name if into else arguments.destination
    report = translate(arguments.source, destination, options)
    print(json.dumps(report.as_json()) if arguments.json else told(report))
    return 0


def told(report: Report) -> str:
    """The report for a terminal."""
    verb = "translated to" if report.written else "would be translated to"
    lines = [f"{report.source} ({report.kind}, {report.format}) {verb} {report.destination}"]
    for done in report.rules:
        lines.append(f"  {done['name']} ({done['count']:,})")
        lines += [f"    {note}" for note in done["notes"]]
    lines += [f"  {name}: {count:,} written as a plainer type" for name, count in report.replaced.items()]
    if not report.rules and not report.replaced:
        lines.append("  no rule had anything to change")
    lines += [f"  warning: {warning}" for warning in report.warnings]
    if report.written:
        told = f"; the source's SHA-256 is {report.sha256}" if report.sha256 else ""
        lines.append(f"  {report.bytes:,} bytes in {report.seconds:.2f} s{told}")
    return "\n".join(map(visible, lines))
