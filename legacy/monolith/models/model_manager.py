"""A json file that remembers which model lies where."""
import json
import time
from pathlib import Path

from .checkpoint import load_model_from_checkpoint
from .lightning import PLCoreVisionModel


class ModelRegistry:
    """
    Registry of trained models, in `model_registry.json` of a folder.

    An entry has id, checkpoint_path, config, metrics, metadata and the class it is loaded as.
    """
    def __init__(self, registry_dir):
        self.dir  = Path(registry_dir)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.file = self.dir / "model_registry.json"
        self.entries = {}
        if self.file.exists():
            with open(self.file) as f:
                self.entries = json.load(f)

    def _save(self):
        with open(self.file, "w") as f:
            json.dump(self.entries, f, indent=2, default=str)

    def register(self, model_id, checkpoint_path, config=None, metrics=None, metadata=None):
        """Add or replace an entry."""
        self.entries[model_id] = {
            "id": model_id,
            "checkpoint_path": str(checkpoint_path),
            "config": config or {},
            "metrics": metrics or {},
            "metadata": dict(metadata or {}, registered=time.strftime("%Y-%m-%d %H:%M:%S")),
            "class": PLCoreVisionModel.__name__,
        }
        self._save()
        return self.entries[model_id]

    def get(self, model_id):
        return self.entries[model_id]

    def best(self, metric="val_bps", mode="max"):
        """The entry with the best metric, None if nobody has it."""
        have = [e for e in self.entries.values() if metric in e["metrics"]]
        if not have:
            return None
        pick = max if mode == "max" else min
        return pick(have, key=lambda e: e["metrics"][metric])

    def load(self, model_id, **kw):
        entry = self.entries[model_id]
        return load_model_from_checkpoint(entry["checkpoint_path"],
                                          config=entry["config"] or None, **kw)
