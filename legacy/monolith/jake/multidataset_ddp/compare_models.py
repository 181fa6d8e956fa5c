"""
Bits per spike of several models side by side.

    python compare_models.py CHECKPOINT_DIR learned_res_small dense_concat
"""
import sys

from eval_stack_multidataset import load_model


def val_bps(info):
    """val_bps_overall from the checkpoint's file name."""
    name = info["path"]
    if "val_bps_overall=" not in name:
        return float("nan")
    return float(name.split("val_bps_overall=")[1].replace(".ckpt", ""))


def main(checkpoint_dir, model_types):
    rows = []
    for t in model_types:
        try:
            model, info = load_model(model_type=t, checkpoint_dir=checkpoint_dir)
        except FileNotFoundError as e:
            print(e)
            continue
        n = sum(p.numel() for p in model.parameters())
        rows.append((t, val_bps(info), info["epoch"], n))

    print(f"{'model':<28s} {'bps':>8s} {'epoch':>6s} {'parameters':>12s}")
    for t, bps, epoch, n in sorted(rows, key=lambda r: -r[1]):
        print(f"{t:<28s} {bps:8.4f} {epoch:6d} {n:12,d}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
