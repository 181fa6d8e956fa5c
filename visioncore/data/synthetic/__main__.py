"""`python -m visioncore.data.synthetic`: write sessions to train on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from visioncore.data.errors import DataError
from visioncore.data.formats import SUFFIXES
from visioncore.data.synthetic.study import write_sessions

EXAMPLE = "example: python -m visioncore.data.synthetic --out study --sessions 4 --size 51 --lags 25 --format h5"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 written, 2 what cannot be written."""
    parser = argparse.ArgumentParser(
        prog="python -m visioncore.data.synthetic",
        description="Write synthetic recording sessions, with their truth.",
        epilog=EXAMPLE,
    )
    parser.add_argument("--out", required=True, help="folder to write into")
    parser.add_argument("--sessions", type=int, default=3, help="how many (default: 3)")
    parser.add_argument("--size", type=int, default=15, help="pixels a side (default: 15)")
    parser.add_argument("--lags", type=int, default=8, help="frames of history (default: 8)")
    parser.add_argument("--frames", type=int, default=3000, help="of each stimulus type (default: 3000)")
    parser.add_argument("--units", type=int, default=10, help="cells a session (default: 10)")
    parser.add_argument("--dead", type=int, default=1, help="of them, without a valid sample (default: 1)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=[suffix[1:] for suffix in SUFFIXES], default="dset", help="(default: dset)")
    told = parser.parse_args(arguments)
    try:
        study = write_sessions(
            told.out,
            told.sessions,
            size=told.size,
            lags=told.lags,
            frames=told.frames,
            n_units=told.units,
            n_dead=told.dead,
            seed=told.seed,
            suffix=f".{told.format}",
        )
    except (ValueError, DataError, OSError) as error:
        print(f"visioncore.data.synthetic: {error}", file=sys.stderr)
        return 2
    print(f"{len(study.sessions)} sessions in {study.folder / 'sessions'}: {', '.join(study.sessions)}")
    print(f"dataset YAMLs in {study.configs_path}, model YAMLs in {study.model_config.parent}")
    print(f"python -m visioncore.train --model_config {study.model_config} --dataset_configs_path {study.configs_path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
