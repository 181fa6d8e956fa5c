#!/usr/bin/env python3
"""
One complete dataset YAML per session, from a base and a list of sessions.

    python scripts/build_dataset_configs_from_base.py base_120.yaml sessions.yaml configs/dataset_120

base     : everything but session, cids and the QC lists
sessions : list of dicts with session, cids, ...; what a session gives wins over the base

The files are what train_ddp_multidataset.py reads. It leaves out names with "base" in them, so
the base may lie in the same folder.
"""
import argparse
import copy
from pathlib import Path

import yaml


def merge(base, over):
    out = copy.deepcopy(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merge(out[key], value)
        else:
            out[key] = copy.deepcopy(value)
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    p.add_argument("base")
    p.add_argument("sessions")
    p.add_argument("out_dir")
    args = p.parse_args()

    base     = yaml.safe_load(Path(args.base).read_text())
    sessions = yaml.safe_load(Path(args.sessions).read_text())
    out_dir  = Path(args.out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)

    for session in sessions:
        cfg  = merge(base, session)
        path = out_dir / f"{cfg['session']}.yaml"
        path.write_text(yaml.safe_dump(cfg, sort_keys=False, default_flow_style=None))
        print(f"{path}: {len(cfg['cids'])} cells")


if __name__ == "__main__":
    main()
