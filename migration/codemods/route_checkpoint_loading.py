"""route-checkpoint-loading: a loading function recognises old checkpoints by what they hold.

A Lightning checkpoint never names its LightningModule's class, and its `model_class` is the network's builder; what tells the classes
apart is which hyper-parameters were saved. A small module beside the file does that, and three lines in the function ask it before
the file is loaded. Where the package `legacy` is installed, it reads the file, runs nothing in it and minds no name that has moved since
(`legacy.load_model`, with the tree's own builder); elsewhere torch loads it into the tree's own old classes.
"""

from __future__ import annotations

import ast

from migration.analysis import modules
from migration.analysis.imports import relative_to
from migration.analysis.source import Source, dotted, splice
from migration.analysis.units import units_of
from migration.codemods import Context, Finding, Outcome, codemod, named_source
from migration.codemods.document_arguments import behind
from migration.errors import BadInput, nearest
from migration.plan import ExtractSymbols, RouteCheckpointLoading
from migration.tree import Overlay

OLD_CLASSES = ("PLCoreVisionModel", "MultiDatasetPLCore")
MODULE = '''\
"""Which class wrote a checkpoint, told by what it holds: the file never names its LightningModule."""

import inspect
import warnings
from collections.abc import Mapping

import torch

OLD_KINDS = ("PLCoreVisionModel", "MultiDatasetPLCore")
OLD_KEYS = {{"model_class", "model_config", "optim_kwargs", "eval_modules", "viz_n_epochs"}}
SCRIPT_KEYS = {{"model_cfg", "cfg_dir", "lr", "wd", "max_ds"}}


def hyper_parameters(checkpoint):
    """The saved hyper-parameters as a plain dict; they may have been a dict, a Namespace or an AttributeDict."""
    found = checkpoint.get("hyper_parameters") if isinstance(checkpoint, Mapping) else None
    if found is None:
        return {{}}
    return dict(found) if isinstance(found, Mapping) else dict(vars(found))


def checkpoint_kind(checkpoint):
    """The name of the class that wrote it, "state_dict" for weights alone, else "unknown"."""
    keys = set(hyper_parameters(checkpoint))
    if SCRIPT_KEYS <= keys:
        return "MultiDatasetModel"
    if OLD_KEYS <= keys:
        return "MultiDatasetPLCore" if "dataset_configs" in keys else "PLCoreVisionModel"
    if not isinstance(checkpoint, Mapping) or not checkpoint:
        return "unknown"
    weights = "state_dict" in checkpoint or all(hasattr(value, "shape") for value in checkpoint.values())
    return "state_dict" if weights else "unknown"


def load_legacy(path, config=None, strict=True, map_location=None):
    """The model of a checkpoint of an old class, with a DeprecationWarning; None where the caller's own way is the right one."""
    try:
        from legacy import kind, load_model, read
    except ImportError:
        load_model = None
        checkpoint = torch.load(path, map_location=map_location, weights_only=False)
        found = checkpoint_kind(checkpoint)
    else:
        found = kind(path)
        refused = [] if found in OLD_KINDS else sorted(read(path).globals.refused)
        if refused:
            raise ValueError(f"{{path}} names {{', '.join(refused)}}, which loading it would run: `python -m legacy inspect` shows where")
    if found == "MultiDatasetModel":
        raise ValueError(
            f"{{path}} holds a MultiDatasetModel of the training script; load it with {script}.load_from_checkpoint"
        )
    if found not in OLD_KINDS:
        return None
    warnings.warn(
        f"{{path}} holds a {{found}}, a deprecated class. Save it again with the new training system.",
        DeprecationWarning,
        stacklevel=3,
    )
{toolkit}{fall_through}    from {core} import PLCoreVisionModel
    from {multi} import MultiDatasetPLCore

    cls = {{"PLCoreVisionModel": PLCoreVisionModel, "MultiDatasetPLCore": MultiDatasetPLCore}}[found]
    known = inspect.signature(cls.__init__).parameters
    saved = {{k: v for k, v in hyper_parameters(checkpoint).items() if k in known and k != "model"}}
    if config is not None:
        saved["model_config"] = config
{build}    model = cls(**saved)
    model.load_state_dict(checkpoint["state_dict"], strict=strict)
    return model
'''
BUILD = """\
    if saved.get("model_class") is None:  # it was saved around a ready network
        from {module} import build_model

        saved["model_class"] = build_model
"""
TOOLKIT = """\
    if load_model is not None:
{builder}        return load_model(path, {argument}strict=strict, model_config=config, map_location=map_location or "cpu")
"""
FALL_THROUGH = """\
    if found == "PLCoreVisionModel":
        return None
"""


@codemod(RouteCheckpointLoading)
def route_checkpoint_loading(step: RouteCheckpointLoading, tree: Overlay, context: Context) -> Outcome:
    """Make `function` ask for the kind before it loads the file. Raises BadInput where there is no such function or load."""
    where = f"{context.plan.file}: step {step.id!r}"
    source = named_source(step, "file", tree, context)
    functions = {n.name: n for n in source.tree.body if isinstance(n, ast.FunctionDef)}
    if step.function not in functions:
        raise BadInput(
            f"{where}: field 'function': {step.file} does not define {step.function!r}{nearest(step.function, functions)}"
        )
    function = functions[step.function]
    beside = modules.join(modules.folder_of(step.file), "checkpoint_kind.py")
    if any(isinstance(n, ast.Name) and n.id == "load_legacy" for n in ast.walk(function)):
        return Outcome("already done", f"{step.function} asks what a checkpoint holds")
    if tree.exists(beside):
        raise BadInput(f"{where}: {beside} is there already, and the step would write it; rename it")
    loads = [n for n in ast.walk(function) if isinstance(n, ast.Assign) and _is_load(n)]
    if not loads:
        raise BadInput(
            f"{where}: field 'function': {step.function} in {step.file} has no statement like `checkpoint = torch.load(...)` to ask behind"
        )
    for load in loads:
        if source.text[source.line_starts[load.lineno - 1] : source.span(load)[0]].strip():
            raise BadInput(
                f"{where}: field 'function': {step.file}:{load.lineno}: the torch.load statement has to begin its line, so that the question fits behind it"
            )
    outcome = Outcome(summary=f"{step.function} tells old checkpoints by what they hold ({beside})")
    edits = [_import(source, tree, step.file, function)]
    for load in sorted(loads, key=lambda n: n.lineno):
        edits += [_question(source, function, load), *_explicit_load(source, load, step, outcome)]
        message = f"{step.function} recognises old checkpoints by their hyper-parameters"
        outcome.findings.append(Finding("change", step.file, load.lineno, message))
    outcome.edits[step.file] = source.encode(splice(source.text, edits))
    outcome.edits[beside] = _module(tree, step.file, function, where, context).encode()
    return outcome


def _is_load(node: ast.Assign) -> bool:
    named = len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
    return named and isinstance(node.value, ast.Call) and dotted(node.value.func) == "torch.load"


def _question(source: Source, function: ast.FunctionDef, load: ast.Assign) -> tuple[int, int, str]:
    """The three lines before the load statement."""
    start = source.span(load)[0]
    place = source.line_starts[source.line_of(start) - 1]
    indent = source.text[place:start]
    arguments = [a.arg for a in [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]]
    given = [_path(load, arguments), *(f"{n}={n}" for n in ("config", "strict", "map_location") if n in arguments)]
    lines = [f"legacy = load_legacy({', '.join(given)})", "if legacy is not None:", "    return legacy"]
    return place, place, "".join(indent + text + source.newline for text in lines)


def _path(load: ast.Assign, arguments: list[str]) -> str:
    """What names the file: the function's first argument where torch is given a local name, which may be the opened file."""
    call = load.value
    loaded = call.args[0] if isinstance(call, ast.Call) and call.args else None
    if loaded is not None and not (isinstance(loaded, ast.Name) and loaded.id not in arguments and arguments):
        return ast.unparse(loaded)
    return arguments[0] if arguments else "None"


def _import(source: Source, tree: Overlay, path: str, function: ast.FunctionDef) -> tuple[int, int, str]:
    """Behind the last import above the function; above the function where there is none."""
    dot = "." if tree.exists(modules.join(modules.folder_of(path), "__init__.py")) else ""
    begin = source.span(function)[0]
    above = [u for u in units_of(source) if u.statement.end <= begin]
    place = max((u.statement.end for u in above if u.sort in ("docstring", "future", "import")), default=begin)
    gap = source.newline * 3 if place == begin else source.newline
    return place, place, f"from {dot}checkpoint_kind import load_legacy{gap}"


def _explicit_load(
    source: Source, load: ast.Assign, step: RouteCheckpointLoading, outcome: Outcome
) -> list[tuple[int, int, str]]:
    """`weights_only=False` said aloud: old checkpoints hold functions, which torch ≥ 2.6 refuses otherwise."""
    call = load.value
    if not isinstance(call, ast.Call):
        return []
    given = next((k.value for k in call.keywords if k.arg == "weights_only"), None)
    if given is not None:
        if not (isinstance(given, ast.Constant) and given.value is False):
            message = f"{step.function} loads with weights_only={ast.unparse(given)}; where that is true, torch refuses checkpoints of the old classes before anyone can ask what they hold"
            outcome.findings.append(Finding("warning", step.file, load.lineno, message))
        return []
    arguments: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
    last = max(arguments, key=lambda n: (n.end_lineno or 0, n.end_col_offset or 0), default=call.func)
    place = behind(source, source.span(last)[1], source.span(call)[1] - 1)
    message = f"{step.function} loads with weights_only=False: checkpoints of the old classes hold functions. It runs code from the file; load only what you trust"
    outcome.findings.append(
        Finding(
            "behaviour",
            step.file,
            load.lineno,
            message,
            ast.unparse(call),
            ast.unparse(call)[:-1] + ", weights_only=False)",
        )
    )
    return [(place, place, ", weights_only=False")]


def _module(tree: Overlay, path: str, function: ast.FunctionDef, where: str, context: Context) -> str:
    """The text of the module beside the file."""
    found = {name: _defining(tree, path, name, context.roots) for name in OLD_CLASSES}
    missing = [name for name, module in found.items() if module is None]
    if missing:
        raise BadInput(
            f"{where}: no module of the tree defines {', '.join(missing)}, so old checkpoints could not be loaded into it"
        )
    own = modules.join(modules.folder_of(path), "build.py")
    builds = tree.exists(own) and b"def build_model" in tree.read(own)
    build = BUILD.format(module=".build") if builds else ""
    builder = "        from .build import build_model\n\n" if builds else ""
    toolkit = TOOLKIT.format(builder=builder, argument="build_model, " if builds else "")
    reads_again = any(isinstance(n, ast.Attribute) and n.attr == "load_from_checkpoint" for n in ast.walk(function))
    script = next((s for s in _homes_of_script_model(tree, context)), "the training script's MultiDatasetModel")
    return MODULE.format(
        core=found[OLD_CLASSES[0]],
        multi=found[OLD_CLASSES[1]],
        build=build,
        toolkit=toolkit,
        fall_through="" if reads_again else FALL_THROUGH,
        script=script,
    )


def _defining(tree: Overlay, path: str, name: str, roots: list[str]) -> str | None:
    """How the module beside `path` imports the file that defines class `name`."""
    for candidate in tree.mentioning(f"class {name}", suffixes=(".py",)):
        source = tree.source(candidate)
        if source.parses and any(isinstance(n, ast.ClassDef) and n.name == name for n in source.tree.body):
            found = relative_to(path, candidate.removesuffix(".py").removesuffix("/__init__"))
            if found := found or modules.dotted_name(candidate, roots):
                return found
    return None


def _homes_of_script_model(tree: Overlay, context: Context) -> list[str]:
    targets = [s.target for s in context.steps(ExtractSymbols) if "MultiDatasetModel" in s.symbols]
    return [
        f"{name.rpartition('.')[0] or name}.MultiDatasetModel"
        for t in targets
        if (name := modules.dotted_name(t, context.roots))
    ]
