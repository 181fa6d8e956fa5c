"""Trees to measure on: the old tree that ships with the project, and a generated one of 3,000 files and a million lines."""

from __future__ import annotations

import shutil
from pathlib import Path

MONOLITH = Path(__file__).parent.parent / "legacy" / "monolith"
FUNCTION = '''
def step_{i}_{j}(signal, rate={j}, window=({i}, {j})):
    """Filter `signal` at `rate` hertz within `window`."""
    total = 0.0
    for index, value in enumerate(signal):
        if window[0] <= index < window[1]:
            total += value / max(rate, 1)  # normalised
        elif value is None:
            continue
    return {{"total": total, "name": "step_{i}_{j}", "scale": [rate * k for k in range(3)]}}

'''


def monolith(root: Path) -> Path:
    """A copy of the old tree at `root`."""
    shutil.copytree(MONOLITH, root, dirs_exist_ok=True)
    return root


def large(root: Path, files: int = 3000, lines: int = 1_000_000, mentions: int = 30) -> Path:
    """The old tree among `files` generated modules of `lines` lines altogether; `mentions` of them import the training script."""
    monolith(root)
    each = lines // files // (FUNCTION.count("\n") - 1)
    for i in range(files):
        folder = root / f"analysis_{i % 40}"
        folder.mkdir(exist_ok=True)
        head = f'"""Analysis {i}."""\n\nimport math\nfrom pathlib import Path\n'
        if i < mentions:
            head += "\nfrom training.train_ddp_multidataset import MultiDatasetModel, cast_stim\n\nMODELS = [MultiDatasetModel, cast_stim]\n"
        body = "".join(FUNCTION.format(i=i, j=j) for j in range(each))
        (folder / f"module_{i}.py").write_text(f"{head}\n{body}\nHERE = Path(__file__), math.pi\n")
    return root
