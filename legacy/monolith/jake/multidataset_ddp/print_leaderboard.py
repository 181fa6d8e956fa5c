"""Best checkpoint of every experiment, from the file names alone."""
import sys
from pathlib import Path

from eval_stack_multidataset import model_type_of, score_of


def main(checkpoint_dir):
    rows = {}
    for f in Path(checkpoint_dir).glob("*/*.ckpt"):
        s = score_of(f)
        if s is None:
            continue
        row = {"type": model_type_of(f.parent.name), "key": s[0], "value": s[1], "file": f}
        best = rows.get(f.parent.name)
        if best is None or row["value"] > best["value"]:
            rows[f.parent.name] = row

    for name, row in sorted(rows.items(), key=lambda kv: -kv[1]["value"]):
        # trained by train_ddp_multidataset.py or by the older scripts (val_loss)
        print(f"{row["type"]:<28s} {row["key"]:<16s} {row["value"]:9.4f}  {f"{name}/{row["file"].name}"}")


if __name__ == "__main__":
    main(sys.argv[1])
