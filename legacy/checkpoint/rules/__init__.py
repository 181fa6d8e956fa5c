"""What has changed since a checkpoint was saved, and how it is made good: one small function a change, or a row of a table.

To add a rule: write a function whose docstring says what it does and why, put `@rule(name, since=…)` above it in the file it belongs
to, list it in the index below, and add a test. A name that has only moved is a row of moved.toml. What Lightning changed is in
`lightning.UPGRADES`, by version. What one user needs once is a row of a rules file (`user`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from legacy.checkpoint.errors import Refused
from legacy.checkpoint.reader import Checkpoint
from legacy.checkpoint.rules import hyper_parameters, layout, lightning, optimizer, prefixes, user, values
from legacy.checkpoint.rules.registry import Applied, Rule, Work

_FIRST: Final = (hyper_parameters.rename_key, hyper_parameters.open_container, prefixes.strip_wrappers)
_THEN: Final = (
    hyper_parameters.name_the_builder,
    hyper_parameters.drop_live_objects,
    hyper_parameters.drop_type,
    lightning.upgrade,
    values.make_plain,
    optimizer.by_name,
)
INDEX: Final = (*_FIRST, *_THEN)  # in the order they run; a user's rules come between

__all__ = ["INDEX", "Applied", "Rule", "Work", "translated"]


def translated(checkpoint: Checkpoint, rows: Sequence[user.Row] = (), allow: Collection[str] = ()) -> Work:
    """The checkpoint's root, changed in place by every rule that has something to change in it. Raises `CheckpointError`."""
    work = Work(checkpoint, checkpoint.root, allow)
    try:
        return _translated(work, rows)
    except RecursionError:
        raise Refused(f"{checkpoint.path}: its structure is nested too deep to be translated") from None


def _translated(work: Work, rows: Sequence[user.Row]) -> Work:
    for rule in _FIRST:
        rule.apply(work)
    user.apply(work, rows)
    for rule in _THEN:
        rule.apply(work)
    layout.check(work)
    return work
