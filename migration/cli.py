"""`python -m migration plan|diff|apply|verify|status|rollback|audit`: options in, sentences and exit status out."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migration.errors import BadInput, DecisionNeeded, MigrationError

if TYPE_CHECKING:
    from rich.console import Console

    from migration.engine import Run
    from migration.plan import Plan
    from migration.transaction import Store
    from migration.tree import Overlay

COMMANDS = {
    "plan": ("what each step would do; writes nothing", "python -m migration plan --repo ~/VisionCore"),
    "diff": (
        "the unified diff of the whole migration; writes nothing",
        "python -m migration diff --repo ~/VisionCore | git apply --check",
    ),
    "apply": ("carry the plan out, in one transaction", "python -m migration apply --repo ~/VisionCore --through 1.5"),
    "verify": ("ask the gates about the tree as it stands", "python -m migration verify --repo ~/VisionCore"),
    "status": ("which steps are applied, when, by which plan", "python -m migration status --repo ~/VisionCore --json"),
    "rollback": ("take the last apply back, byte for byte", "python -m migration rollback --repo ~/VisionCore"),
    "audit": ("who still needs what the plan takes away", "python -m migration audit --repo ~/VisionCore"),
}


def parser() -> argparse.ArgumentParser:
    """The command line. Every subcommand takes --repo, --plan and --json."""
    top = argparse.ArgumentParser(
        prog="python -m migration", description=__doc__, epilog="example: " + COMMANDS["apply"][1]
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (summary, example) in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary, epilog="example: " + example)
        sub.add_argument(
            "--repo", type=_folder, default=Path(), metavar="DIR", help="the repository (default: this folder)"
        )
        sub.add_argument(
            "--plan",
            default="visioncore",
            metavar="NAME-or-FILE",
            help="a shipped plan's name or a TOML file (default: visioncore)",
        )
        sub.add_argument("--json", action="store_true", help="one JSON object on stdout, everything else on stderr")
        if name in ("plan", "diff", "apply"):
            sub.add_argument("--only", nargs="+", metavar="ID", action="extend", help="these steps only")
            sub.add_argument("--through", metavar="ID", help="the steps up to and including this one")
        if name in ("apply", "rollback"):
            sub.add_argument(
                "--yes",
                action="store_true",
                help="do not ask"
                + ("" if name == "apply" else "; files edited since are kept aside in .migration/edited"),
            )
    return top


def _folder(text: str) -> Path:
    """A path, `~` understood: not every shell expands it in `make migrate REPO=~/x`."""
    return Path(text).expanduser()


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns the exit status of the contract: 0 done, 1 gate failed, 2 bad input, 3 decision needed."""
    arguments = parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return HANDLERS[arguments.command](arguments)
    except MigrationError as error:
        if arguments.json:
            print(json.dumps({"ok": False, "status": error.status, "error": str(error)}))
        print(f"{arguments.command}: {error}", file=sys.stderr)
        return error.status
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        print(f"{arguments.command}: interrupted; the next command finishes it or takes it back", file=sys.stderr)
        return 130


def _console(arguments: argparse.Namespace) -> Console:
    from rich.console import Console

    return Console(stderr=arguments.json or arguments.command == "diff", soft_wrap=False)


def _plan(arguments: argparse.Namespace) -> Plan:
    from migration.plan import load_plan

    plan = load_plan(arguments.plan)
    return plan.select(arguments.only, arguments.through)


def _tree(arguments: argparse.Namespace) -> Overlay:
    from migration.tree import Overlay, Tree

    return Overlay(Tree(arguments.repo))


def _store(arguments: argparse.Namespace) -> Store:
    from migration.transaction import Store

    if not arguments.repo.is_dir():
        raise BadInput(f"--repo {arguments.repo}: not a folder; give the top folder of the repository to migrate")
    return Store(arguments.repo.resolve())


def _recover(store: Store) -> None:
    """Finish or take back what an earlier command left half-way, and say so."""
    if sentence := store.recover():
        print(sentence, file=sys.stderr)


def _rehearse(arguments: argparse.Namespace, quiet: bool = False) -> Run:
    from migration.engine import rehearse
    from migration.report.terminal import step_line

    plan, tree, console = _plan(arguments), _tree(arguments), _console(arguments)
    return rehearse(tree, plan, None if quiet else lambda step, outcome: console.print(step_line(step, outcome)))


def _show(arguments: argparse.Namespace, run: Run, applied: bool) -> dict[str, Any]:
    """The table on the terminal, or the JSON object; the report's data either way."""
    from migration.report import Report
    from migration.report.terminal import render_terminal

    report = Report.build(
        run.plan, run.before, run.after, run.outcomes, run.verdicts, applied=applied, seconds=run.seconds
    )
    if arguments.json:
        print(json.dumps(report.to_json()))
    else:
        render_terminal(report, _console(arguments))
    return report.to_json()


def _do_plan(arguments: argparse.Namespace) -> int:
    run = _rehearse(arguments)
    _show(arguments, run, applied=False)
    run.settle()
    return 0


def _do_diff(arguments: argparse.Namespace) -> int:
    from migration.report.diff import unified_diff

    run = _rehearse(arguments, quiet=True)
    run.settle()
    patch = unified_diff(run.before, run.after)
    if arguments.json:
        print(
            json.dumps(
                {"ok": True, "diff": patch.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode()}
            )
        )
    else:
        sys.stdout.buffer.write(patch)
        sys.stdout.flush()
    return 0


def _do_apply(arguments: argparse.Namespace) -> int:
    from migration.engine import apply
    from migration.report import Report, write_reports

    store = _store(arguments)
    with store.locked():
        _recover(store)
        run = _rehearse(arguments)
        if run.decisions or run.failed:
            _show(arguments, run, applied=False)
            run.settle()
        if (
            run.after.edits
            and not arguments.yes
            and sys.stdin.isatty()
            and not _agreed(f"Change {len(run.after.edits)} files in {arguments.repo}?")
        ):
            print("nothing was changed", file=sys.stderr)
            return 0
        applied = apply(run, store)
        report = Report.build(
            run.plan, run.before, run.after, run.outcomes, run.verdicts, applied=applied, seconds=run.seconds
        )
        if applied or not (store.home / "report.json").exists():
            write_reports(report, store.home)
        _show(arguments, run, applied)
    return 0


def _agreed(question: str) -> bool:
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _do_verify(arguments: argparse.Namespace) -> int:
    from migration.engine import verify

    store = _store(arguments)
    with store.locked():
        _recover(store)
        run = verify(arguments.repo, store)
    if run is None:
        _answer(arguments, {"ok": True, "applied": []}, "nothing has been applied here, so there is nothing to verify")
        return 0
    _show(arguments, run, applied=True)
    if run.failed:
        names = ", ".join(v.gate for v in run.failed)
        print(f"verify: {len(run.failed)} gate(s) do not hold on the tree as it stands: {names}", file=sys.stderr)
    return 1 if run.failed else 0


def _do_status(arguments: argparse.Namespace) -> int:
    store = _store(arguments)
    history = store.history()
    applied = [{key: record[key] for key in ("plan", "title", "digest", "time", "steps")} for record in history]
    lines = [f"{r['time']}  {r['plan']}  {r['digest'][:12]}  steps {', '.join(r['steps'])}" for r in applied]
    _answer(
        arguments,
        {"ok": True, "repo": str(arguments.repo.resolve()), "applied": applied},
        "\n".join(lines) or "nothing has been applied here",
    )
    return 0


def _do_rollback(arguments: argparse.Namespace) -> int:
    store = _store(arguments)
    if (
        not arguments.yes
        and sys.stdin.isatty()
        and store.history()
        and not _agreed(f"Take the last migration of {arguments.repo} back?")
    ):
        print("nothing was changed", file=sys.stderr)
        return 0
    try:
        restored = store.rollback(save_edits=arguments.yes)
    except DecisionNeeded as error:
        raise DecisionNeeded(
            f"{error} With --yes they are kept aside in .migration/edited/ and everything else is taken back"
        ) from error
    for note in store.notes:
        print(note, file=sys.stderr)
    sentence = (
        f"{len(restored)} files are as they were before the last apply"
        if restored
        else "nothing has been applied here, so there is nothing to take back"
    )
    _answer(arguments, {"ok": True, "restored": restored, "notes": store.notes}, sentence)
    return 0


def _do_audit(arguments: argparse.Namespace) -> int:
    from migration.audit import audit, render_audit
    from migration.plan import load_plan

    answers = audit(_tree(arguments), load_plan(arguments.plan))
    if arguments.json:
        print(json.dumps({"ok": True, "questions": answers}))
    else:
        render_audit(answers, _console(arguments))
    return 0


def _answer(arguments: argparse.Namespace, data: dict[str, Any], sentence: str) -> None:
    print(json.dumps(data) if arguments.json else sentence)


HANDLERS: dict[str, Callable[[argparse.Namespace], int]] = {
    "plan": _do_plan,
    "diff": _do_diff,
    "apply": _do_apply,
    "verify": _do_verify,
    "status": _do_status,
    "rollback": _do_rollback,
    "audit": _do_audit,
}
