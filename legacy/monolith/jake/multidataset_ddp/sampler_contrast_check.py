"""
Does the curriculum do anything? Mean contrast of the drawn samples against the step.

    python sampler_contrast_check.py
"""
import numpy as np
import torch
from torch.utils.data import ConcatDataset, TensorDataset


def fake_scores(n, seed):
    """Log-normal, median 1, like the real ones."""
    return np.exp(np.random.default_rng(seed).normal(0.0, 0.6, n))


def mean_contrast(steps, sizes=(2000, 3000), warmup_steps=8000):
    # slow to import, and only needed here
    from train_ddp_multidataset import ContrastWeightedSampler

    names  = [f"s{i}" for i in range(len(sizes))]
    scores = {n: fake_scores(size, i) for i, (n, size) in enumerate(zip(names, sizes))}
    data   = ConcatDataset([TensorDataset(torch.zeros(size)) for size in sizes])
    flat   = np.concatenate([scores[n] for n in names])

    sampler = ContrastWeightedSampler(data, scores, {n: i for i, n in enumerate(names)},
                                      num_replicas=1, rank=0, warmup_steps=warmup_steps)
    out = []
    for step in steps:
        sampler.set_step(step)
        out.append(flat[list(sampler)].mean())
    return out


if __name__ == "__main__":
    steps = [0, 2000, 4000, 6000, 8000]
    for step, c in zip(steps, mean_contrast(steps)):
        print(f"step {step:5d}: mean contrast {c:.3f}")
