"""Which record of one trace is which of the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from regression.trace import Record, Trace

AT_THE_END = ("last", "after", "end")


def aligned(old: Trace, new: Trace) -> Iterator[tuple[tuple[str, int], Record | None, Record | None]]:
    """The records of both, paired by kind, step and number; what only one has comes with None. Only steps that both reached."""
    first = max(old.began, new.began)
    resumed = old.began != new.began
    last = min((trace.records[-1]["step"] for trace in (old, new) if trace.records), default=0)
    whole = old.complete and new.complete and old.records[-1]["step"] == new.records[-1]["step"]

    def both_have(key: tuple[str, int, int]) -> bool:
        kind, step, _ = key
        if resumed and (step <= first or kind in AT_THE_END):
            return False  # what a whole run knows of its beginning, a resumed one does not
        return step <= last and (whole or kind not in AT_THE_END)

    one, other = ({key: r for key, r in keyed(trace).items() if both_have(key)} for trace in (old, new))
    for key in dict.fromkeys((*one, *other)):
        both = key in one and key in other
        # what one run did at its end, the other may do later
        if both or (key[0] != "end" and (whole or key[1] < last)):
            yield key[:2], one.get(key), other.get(key)


def keyed(trace: Trace) -> dict[tuple[str, int, int], Record]:
    """Records by kind, step, and how many of the kind the step has had."""
    seen: Counter[tuple[str, int]] = Counter()
    made = {}
    for record in trace.records:
        kind, step = record["record"], record["step"]
        if kind != "end" or "flags" in record:
            made[kind, step, seen[kind, step]] = record
            seen[kind, step] += 1
    return made
