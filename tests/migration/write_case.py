"""`python -m tests.migration.write_case KIND/NAME`: writes `after/` from `before/` and `plan.toml`, to be read before it is committed."""

from __future__ import annotations

import shutil
import sys

from migration.engine import rehearse
from tests.migration.cases import FOLDER, _case
from tests.migration.support import overlay, write_tree

for name in sys.argv[1:]:
    case = _case(FOLDER / name)
    run = rehearse(overlay(case.before), case.plan)
    for outcome in run.outcomes.values():
        print(name, outcome.status, outcome.summary)
    for verdict in run.failed:
        print("  FAILED", verdict.gate, verdict.failures)
    shutil.rmtree(FOLDER / name / "after", ignore_errors=True)
    write_tree(FOLDER / name / "after", {p + ".txt": run.after.read(p) for p in run.after.paths()})
