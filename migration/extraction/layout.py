"""Where the units of one source go, and what that makes the modules lean on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from migration.analysis.units import Unit
from migration.extraction.names import Scope
from migration.extraction.registration import registrars


@dataclass
class Layout:
    """Where the units of one source go. `home` maps unit indices of `scope` to target paths."""

    source: str
    scope: Scope
    home: dict[int, str] = field(default_factory=dict)
    why: dict[int, str] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)  # the targets' new texts, once composed
    claimed: dict[str, set[str]] = field(
        default_factory=dict
    )  # targets that are there already, by names they import back

    @property
    def setup(self) -> str:
        """The small module for statements that the source ran on import, whichever of its names was asked for."""
        folder, _, name = self.source.rpartition("/")
        return f"{folder}/_{name.removesuffix('.py')}_setup.py".lstrip("/")

    def place(self, name: str) -> str | None:
        """The target of the definition of `name`, None where it stays."""
        return next((self.home[u.index] for u in self.scope.binders.get(name, []) if u.index in self.home), None)

    @property
    def names(self) -> dict[str, str]:
        """Every name that moves, with its target."""
        return {
            name: target for u in self.scope.units if (target := self.home.get(u.index)) for name in sorted(u.binds)
        }

    def moving(self, target: str) -> list[Unit]:
        """The units that go to `target`, in the source's order."""
        return [u for u in self.scope.units if self.home.get(u.index) == target]

    def staying(self) -> list[Unit]:
        return [u for u in self.scope.units if u.index not in self.home]

    def leans(self, target: str, now_only: bool = False) -> dict[str, set[str]]:
        """Other homes that `target` imports from, with the names; the source's own path for what stays there."""
        found: dict[str, set[str]] = {}
        for unit in self.moving(target):
            needed = (
                self.scope.while_loading(unit) if now_only else {(n, self.scope.provider(n, unit)) for n in unit.needs}
            )
            for name, provider in needed:
                if (
                    provider is None
                    or provider.sort in ("import", "guarded import", "future")
                    or self.home.get(provider.index) == target
                ):
                    continue
                home = self.place(name) or self.home.get(provider.index, self.source)
                if home != target:
                    found.setdefault(home, set()).add(name)
        return found

    @property
    def backward(self) -> set[str]:
        """Targets that lead back to the source when imported, directly or through one another."""
        targets = set(self.home.values())
        leans = {t: set(self.leans(t)) for t in targets}
        found = {t for t in targets if self.source in leans[t]}
        while more := {t for t in targets - found if leans[t] & found}:
            found |= more
        return found

    @cached_property
    def registering(self) -> dict[str, set[str]]:
        """Targets that have to be loaded for what they define to be known, with the names that it is made known by."""
        found: dict[str, set[str]] = {}
        for unit in self.scope.units:
            if (target := self.home.get(unit.index)) and (names := registrars(self.scope, unit)):
                found.setdefault(target, set()).update(names)
        return found

    def mutual(self, target: str) -> set[str]:
        """Targets that import `target` back, directly or through one another."""
        return {t for t in self.reached(target) if t != target and target in self.reached(t)}

    def reached(self, start: str, now_only: bool = False) -> set[str]:
        """Targets that `start` leads to, as it loads or at whatever time."""
        targets = set(self.home.values())
        seen: set[str] = set()
        todo = [start]
        while todo:
            for following in self.leans(todo.pop(), now_only).keys() & targets - seen:
                seen.add(following)
                todo.append(following)
        return seen

    def late(self, target: str) -> dict[str, set[str]]:
        """Homes, with the names that `target` leans on later, that come to `target` before they define anything: whichever of
        the two is imported first, they have to hand the names over themselves.
        """
        found: dict[str, set[str]] = {}
        now = self.leans(target, now_only=True).keys()
        for home in (self.mutual(target) & self.leans(target).keys()) - now:
            eager = self.leans(home, now_only=True).keys() & set(self.home.values())
            if any(target == first or target in self.reached(first) for first in eager):
                found[home] = self.leans(target)[home]
        return found
