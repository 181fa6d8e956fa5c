#!/usr/bin/env python3
"""
Train one V1 model on many sessions at once (DDP over the visible GPUs).

Usage:
    python train_ddp_multidataset_auto.py \
        --model_config configs/learned_res_small.yaml \
        --dataset_configs_path configs/dataset_example \
        --max_datasets 20 --batch_size 256 --num_gpus 2

--batch_size is per GPU and counts samples of all the datasets together.
"""
import os, time, argparse, math, contextlib
from pathlib import Path
from collections import defaultdict
from typing import Optional, Dict

import torch, torch.nn as nn
import torch.distributed as dist
import pytorch_lightning as pl
torch.set_float32_matmul_precision('medium')   # TF32 on the A6000s
import numpy as np
from pytorch_lightning.callbacks import (
    ModelCheckpoint,
    LearningRateMonitor,
    EarlyStopping,
)
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.loggers import WandbLogger

# epoch-wise schedule. bolts has one too, but bolts does not install any more
from torch.optim.lr_scheduler import _LRScheduler

class LinearWarmupCosineAnnealingLR(_LRScheduler):
        """Linear from warmup_start_lr over warmup_epochs, then half a cosine to eta_min."""
        def __init__(self, optimizer, warmup_epochs, max_epochs,
                     warmup_start_lr=0.0, eta_min=0.0, last_epoch=-1):
                self.warmup_epochs   = warmup_epochs
                self.max_epochs      = max_epochs
                self.warmup_start_lr = warmup_start_lr
                self.eta_min         = eta_min
                super().__init__(optimizer, last_epoch)

        def get_lr(self):
                e, w, E = self.last_epoch, self.warmup_epochs, self.max_epochs
                if e < w:
                        return [self.warmup_start_lr + (base - self.warmup_start_lr) * e / w
                                for base in self.base_lrs]
                # past the warm-up: half a cosine over the epochs that are left
                cos = (1 + math.cos(math.pi * (e - w) / (E - w))) / 2
                return [self.eta_min + (base - self.eta_min) * cos for base in self.base_lrs]

from torch.utils.data import Dataset, DataLoader, Sampler
from torch.utils.data.distributed import DistributedSampler

from models.losses import MaskedLoss, PoissonBPSAggregator

# regularizers.py lies next to this script; old checkouts do not have it yet,
# and the eval scripts import this file from anywhere
try:
    from regularizers import create_regularizers, get_excluded_params_for_weight_decay
except ImportError as e:
    print(f"WARNING: regularizers not available ({e}), training without regularization")

    def create_regularizers(*a, **k):
        return []

    def get_excluded_params_for_weight_decay(*a, **k):
        return []


# --------------------------------------------------------------------------- #
#  signs of life                                                              #
# --------------------------------------------------------------------------- #
class Heartbeat(pl.Callback):
    """Print a line every `every` training batches, so that a hung NCCL shows in the log."""
    def __init__(self, every: int = 50):
        self.every = every
        self.t0    = None
        self.rank  = int(os.environ.get("LOCAL_RANK", 0))

    def on_train_start(self, trainer, pl_module):
        self.t0 = time.time()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if self.rank != 0 or (batch_idx + 1) % self.every:
            return
        dt = time.time() - self.t0
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        txt = f"{loss.item():.4f}" if loss is not None else "n/a"
        print(f"[{time.strftime('%H:%M:%S')}] epoch {trainer.current_epoch} "
              f"batch {batch_idx + 1}  loss {txt}  {self.every / max(dt, 1e-9):.2f} it/s",
              flush=True)
        self.t0 = time.time()

class EpochHeartbeat(pl.Callback):
    """
    One line per epoch on rank 0 (we run with the progress bar off, it fills the slurm logs).

    metric_key : what to show at the end of a training epoch, if it has been logged.
                 Validation runs inside the epoch, so its lines come before the epoch's.
    """
    def __init__(self, metric_key: str = "train_loss"):
        super().__init__()
        self.metric_key = metric_key
        self.rank = int(os.environ.get("LOCAL_RANK", 0))

    def _say(self, msg):
        # flush, or slurm shows nothing for an hour
        if self.rank == 0:
            print(f"[{time.strftime('%H:%M:%S')}] {msg}", flush=True)

    def on_fit_start(self, trainer, pl_module):
        self._say("training begins")

    def on_validation_start(self, trainer, pl_module):
        self._say("… running validation")

    def on_validation_end(self, trainer, pl_module):
        self._say("validation done")

    def on_train_epoch_end(self, trainer, pl_module):
        val = trainer.callback_metrics.get(self.metric_key)
        if val is None:
            self._say(f"epoch {trainer.current_epoch} finished")
        else:
            self._say(f"epoch {trainer.current_epoch} — {self.metric_key}: {float(val):.4f}")


# class PrintTimings(pl.Callback):
#     """Where does the time go? loader wait vs. step, per batch."""
#     def __init__(self, every=20):
#         self.every = every
#         self.t_end = None
#         self.wait  = []
#         self.step  = []
#
#     def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
#         now = time.time()
#         if self.t_end is not None:
#             self.wait.append(now - self.t_end)
#         self.t_start = now
#
#     def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
#         # without this the times are those of the kernel launches
#         torch.cuda.synchronize()
#         self.t_end = time.time()
#         self.step.append(self.t_end - self.t_start)
#         if (batch_idx + 1) % self.every == 0:
#             rank = int(os.environ.get("LOCAL_RANK", 0))
#             w = sum(self.wait) / max(len(self.wait), 1)
#             s = sum(self.step) / max(len(self.step), 1)
#             print(f"[rank {rank}] wait {w*1e3:.1f} ms   step {s*1e3:.1f} ms", flush=True)
#             self.wait, self.step = [], []


class CurriculumCallback(pl.Callback):
    """Tells the contrast-weighted sampler how far training has come."""
    def on_train_batch_start(self, trainer: "pl.Trainer", pl_module, batch, batch_idx):
        loader = trainer.train_dataloader
        if loader is None:
            return
        sampler = getattr(loader, "sampler", None)
        # the plain DistributedSampler has no set_step, only the contrast-weighted
        # one does
        if hasattr(sampler, "set_step"):
            sampler.set_step(trainer.global_step)

# --------------------------------------------------------------------------- #
#  dataset wrappers and collate                                               #
# --------------------------------------------------------------------------- #
def cast_stim(x, norm_removed: bool, dtype=torch.float32):
    x = x.to(dtype)
    return (x - 127) / 255 if norm_removed else x      # what pixelnorm would have done

class Float32View(Dataset):
    """Casts per sample, so that the recording itself can stay small in memory."""
    def __init__(self, ds, norm_removed: bool, float16: bool = False):
        self.ds, self.norm_removed, self.float16 = ds, norm_removed, float16
    def __len__(self): return len(self.ds)
    def __getitem__(self, i):
        it, dtype = self.ds[i], (torch.bfloat16 if self.float16 else torch.float32)
        it["stim"] = cast_stim(it["stim"], self.norm_removed, dtype)
        it["robs"] = it["robs"].to(dtype)
        if "behavior" in it: it["behavior"] = it["behavior"].to(dtype)
        return it

def group_collate(batch):
    import torch.utils.data._utils.collate as _dc
    bucket = defaultdict(list)                     # dataset_idx -> samples, first come first
    for it in batch: bucket[it["dataset_idx"]].append(it)
    return [_dc.default_collate(items) for items in bucket.values()]


# --------------------------------------------------------------------------- #
#  curriculum: high-contrast samples first                                    #
# --------------------------------------------------------------------------- #
class ContrastWeightedSampler(Sampler):
    """
    Distributed sampler that prefers high-contrast samples early in training.

    Below `warmup_steps` the draw is weighted by contrast, with replacement:

        alpha  = 0.5 + 0.5 * step / warmup_steps
        weight = min(alpha * contrast, 1)

    so at step 0 everything above twice the median contrast is equally likely, and at
    the end everything above the median is. From `warmup_steps` on it is a plain
    random permutation, like DistributedSampler.

    Parameters
    ----------
    dataset : ConcatDataset
        the tagged datasets, in the order of `dataset_name_to_idx`
    contrast_scores_dict : dict name -> 1d array
        one score per frame, 1.0 = median contrast over all the datasets
    dataset_name_to_idx : dict name -> int
        position in the ConcatDataset
    num_replicas, rank : int, optional
        default to the process group's
    shuffle : bool
        False gives the samples in order
    seed : int
        must be the same on all ranks
    drop_last : bool
        cut the tail instead of padding, so that all ranks get the same number
    warmup_steps : int
        optimiser steps until the weighting is off

    Notes
    -----
    The scores are per frame of the recording, the samples are the frames of the split.
    We take the first len(samples) scores of each dataset; contrast changes slowly
    enough within a trial that this should not matter much.
    """
    def __init__(self, dataset, contrast_scores_dict, dataset_name_to_idx,
                 num_replicas: Optional[int] = None, rank: Optional[int] = None,
                 shuffle: bool = True, seed: int = 0, drop_last: bool = False,
                 warmup_steps: int = 8000):
        if num_replicas is None:
            if not dist.is_available():
                raise RuntimeError("needs torch.distributed, or give num_replicas")
            num_replicas = dist.get_world_size()
        if rank is None:
            if not dist.is_available():
                raise RuntimeError("needs torch.distributed, or give rank")
            rank = dist.get_rank()
        if rank >= num_replicas or rank < 0:
            raise ValueError(f"rank {rank} is not in [0, {num_replicas - 1}]")

        self.dataset      = dataset
        self.num_replicas = num_replicas
        self.rank         = rank
        self.shuffle      = shuffle
        self.seed         = seed
        self.drop_last    = drop_last
        self.warmup_steps = warmup_steps
        self.epoch        = 0
        self.current_step = 0

        self.contrast_scores_dict = contrast_scores_dict
        self.dataset_name_to_idx  = dataset_name_to_idx
        self.contrast = self._build_contrast()

        # same arithmetic as torch's DistributedSampler: with drop_last the ranks that
        # would get one more give it up
        n = len(self.dataset)
        if self.drop_last and n % self.num_replicas != 0:
            self.num_samples = math.ceil((n - self.num_replicas) / self.num_replicas)
        else:
            self.num_samples = math.ceil(n / self.num_replicas)
        self.total_size = self.num_samples * self.num_replicas

    # ---------------------------------------------------------------- #
    def _build_contrast(self):
        """One contrast per index of the ConcatDataset, (len(dataset),) float32."""
        out = torch.ones(len(self.dataset), dtype=torch.float32)
        sizes  = [len(d) for d in self.dataset.datasets]
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(int)

        for name, idx in self.dataset_name_to_idx.items():
            scores = self.contrast_scores_dict.get(name)
            if scores is None:
                continue                                  # stays 1.0
            scores = torch.as_tensor(np.asarray(scores), dtype=torch.float32)
            n = min(len(scores), sizes[idx])              # rest stays 1.0
            out[starts[idx]:starts[idx] + n] = scores[:n]
        return out

    def _weights(self):
        """Sampling weights at the current step, in [0, 1]."""
        alpha = 0.5 + 0.5 * self.current_step / self.warmup_steps
        return torch.clamp(alpha * self.contrast, max=1.0)

    # ---------------------------------------------------------------- #
    def __iter__(self):
        n = len(self.dataset)
        g = torch.Generator()
        g.manual_seed(self.seed + self.epoch)

        if not self.shuffle:
            indices = list(range(n))
        elif self.current_step >= self.warmup_steps:
            # curriculum is over
            indices = torch.randperm(n, generator=g).tolist()
        else:
            # with replacement: an epoch repeats the good ones and misses some of the
            # dull ones, which is the point
            indices = torch.multinomial(
                self._weights(), n, replacement=True, generator=g
            ).tolist()

        # make it a multiple of the number of ranks
        if len(indices) < self.total_size:
            pad = self.total_size - len(indices)
            reps = math.ceil(pad / max(len(indices), 1))
            indices += (indices * reps)[:pad]
        else:
            indices = indices[:self.total_size]
        assert len(indices) == self.total_size

        # every rank draws the same list and takes its share
        indices = indices[self.rank:self.total_size:self.num_replicas]
        assert len(indices) == self.num_samples
        return iter(indices)

    def __len__(self):
        # per rank
        return self.num_samples

    # ---------------------------------------------------------------- #
    def set_epoch(self, epoch: int):
        """Another order every epoch; called by Lightning."""
        self.epoch = epoch

    def set_step(self, step: int):
        """
        How far the curriculum is; called by CurriculumCallback.

        Only looked at by the next __iter__, i.e. from the next epoch on: the index
        list of the running epoch is drawn already.
        """
        self.current_step = step

# --------------------------------------------------------------------------- #
#  data module                                                                #
# --------------------------------------------------------------------------- #
class MultiDatasetDM(pl.LightningDataModule):
    """
    All the sessions of one folder of dataset YAMLs, served as mixed batches.

    cfg_dir         : folder with one YAML per session (files with "base" in the name
                      are templates and left out)
    max_ds          : use the first max_ds of them, sorted by name
    batch           : samples per batch and process, all datasets together
    workers         : loader workers per process
    steps_per_epoch : for reference, the Trainer limits the batches
    """
    def __init__(self, cfg_dir, max_ds, batch, workers, steps_per_epoch,
                 enable_curriculum: bool = False):
        super().__init__()
        self.cfg_dir  = cfg_dir
        self.max_ds   = max_ds
        self.batch    = batch
        self.workers  = workers
        self.spe      = steps_per_epoch
        self.enable_curriculum = enable_curriculum
        self.contrast_scores   = {}
        self.name2idx = {}
        self.names, self.cfgs  = [], []
        self.train_dsets, self.val_dsets = {}, {}

    # ---------------------------------------------------------------- #
    def setup(self, stage: Optional[str] = None):
        from DataYatesV1.models.config_loader import load_dataset_configs
        from DataYatesV1.utils.data.loading import remove_pixel_norm
        from DataYatesV1.utils.data import prepare_data

        # one YAML per session, the stem is the dataset's name everywhere (wandb, readouts)
        # must give the same list as MultiDatasetModel.__init__
        yamls = sorted(f for f in os.listdir(self.cfg_dir)
                       if f.endswith(".yaml") and "base" not in f)[:self.max_ds]
        self.cfgs  = load_dataset_configs(yamls, self.cfg_dir)
        self.names = [Path(f).stem for f in yamls]

        for idx, (name, cfg) in enumerate(zip(self.names, self.cfgs)):
            cfg["_dataset_name"] = name
            # pixelnorm would make float32 out of uint8 in RAM; Float32View does it per sample
            cfg, norm_removed = remove_pixel_norm(cfg)
            # prepare_data is very chatty, times 30 sessions, times 2 ranks
            with open(os.devnull, "w") as null, \
                    contextlib.redirect_stdout(null), contextlib.redirect_stderr(null):
                tr, va, cfg = prepare_data(cfg, strict=False)
            self.train_dsets[name] = Float32View(tr, norm_removed, float16=False)
            self.val_dsets[name]   = Float32View(va, norm_removed, float16=False)
            self.name2idx[name]    = idx

        n_tr = sum(len(d) for d in self.train_dsets.values())
        n_va = sum(len(d) for d in self.val_dsets.values())
        print(f"loaded {len(self.names)} datasets: {n_tr} train / {n_va} val samples")

        if self.enable_curriculum:
            self.contrast_scores = self._compute_contrast_scores()

    # ---------------------------------------------------------------- #
    @staticmethod
    @torch.no_grad()
    def _frame_contrast(view: "Float32View"):
        """Std over (C, H, W) of every stored frame, all recordings in a row -> (T,)"""
        out = []
        for d in view.ds.dsets:
            # half precision is plenty for a sampling weight
            stim = d["stim"].to(torch.float16)
            out.append(stim.std(dim=(1, 2, 3)).float())
        return torch.cat(out).cpu().numpy()

    def _compute_contrast_scores(self):
        """
        Contrast of every frame relative to the median frame of all datasets.

        Returns dict name -> (T,) float array. A dataset where this fails (no channel
        axis, ...) gets ones, i.e. it is sampled as if every frame was the median.
        """
        raw = {}
        for name in self.names:
            view = self.train_dsets[name]
            try:
                raw[name] = self._frame_contrast(view)
            except Exception as e:
                print(f"contrast scores failed for {name}: {e}")
                raw[name] = None

        # one common scale, so that a dim session is not sampled like a bright one
        ok = [r for r in raw.values() if r is not None]
        median = float(np.median(np.concatenate(ok))) if ok else 1.0

        scores = {}
        for name, r in raw.items():
            if r is None:
                scores[name] = np.ones(len(self.train_dsets[name]))
            else:
                scores[name] = r / median
        print(f"contrast scores: median std {median:.3f} over {len(ok)} datasets")
        return scores

    # ---------------------------------------------------------------- #
    def _mk_loader(self, dsets, shuffle: bool):
        from torch.utils.data.distributed import DistributedSampler

        class Tag(Dataset):
            """adds the dataset's index to each sample"""
            def __init__(self, ds, idx): self.ds, self.idx = ds, idx
            def __len__(self): return len(self.ds)
            def __getitem__(self, i):
                it = self.ds[i]
                it["dataset_idx"] = self.idx
                return it

        # order of self.names, so that ConcatDataset's position == dataset_idx
        cat = torch.utils.data.ConcatDataset(
            [Tag(dsets[n], self.name2idx[n]) for n in self.names])

        # Lightning would put a DistributedSampler in by itself, but without drop_last,
        # and then the ranks can disagree on the number of batches
        sampler = None
        if dist.is_available() and dist.is_initialized():
            if self.enable_curriculum and shuffle and self.contrast_scores:
                sampler = ContrastWeightedSampler(
                    cat, self.contrast_scores, self.name2idx,
                    shuffle=True, drop_last=True, warmup_steps=8000)
            else:
                sampler = DistributedSampler(cat, shuffle=shuffle, drop_last=True)

        return DataLoader(
            cat, batch_size=self.batch, sampler=sampler,
            num_workers=self.workers,
            pin_memory=True,
            drop_last=True,
            persistent_workers=False,      # True leaks on our machines (torch 2.3)
            collate_fn=group_collate,
        )

    def train_dataloader(self):
        return self._mk_loader(self.train_dsets, shuffle=True)

    def val_dataloader(self):
        # shuffled too: with limit_val_batches=0.05 we would only ever see the first session
        return self._mk_loader(self.val_dsets, shuffle=True)

# --------------------------------------------------------------------------- #
#  model                                                                      #
# --------------------------------------------------------------------------- #
class MultiDatasetModel(pl.LightningModule):
    """Shared core, one adapter and one readout per session. Batches: see group_collate."""
    def __init__(self, model_cfg, cfg_dir, lr, wd, max_ds, pretrained_checkpoint: Optional[str] = None,
                 freeze_vision: bool = False, compile_model: bool = False):
        super().__init__(); self.save_hyperparameters()
        from DataYatesV1.models.config_loader import load_dataset_configs, load_config
        from DataYatesV1.models import build_model
        yamls = sorted(f for f in os.listdir(cfg_dir)      # as in MultiDatasetDM.setup
                       if f.endswith(".yaml") and "base" not in f)[:max_ds]
        self.names   = [Path(f).stem for f in yamls]
        dataset_cfgs = load_dataset_configs(yamls, cfg_dir)
        for name, cfg in zip(self.names, dataset_cfgs): cfg["_dataset_name"] = name
        self.model_config = load_config(model_cfg)         # validate_config(self.model_config)
        self.model = build_model(self.model_config, dataset_cfgs)
        # --compile wraps the whole network, it helps when the sessions have similar N
        # self.model = torch.compile(self.model, mode="reduce-overhead", dynamic=True)
        # NB every readout has another N, so each dataset recompiles once in the first epoch
        if compile_model:
            try:
                self.model = torch.compile(self.model)
                print("model compiled")
            except Exception as e:
                print(f"torch.compile failed, staying eager: {e}")

        # no image anywhere in the model: don't move the movies around
        self.is_modulator_only = all(
            self.model_config.get(k, {}).get("type") == "none"
            for k in ("adapter", "frontend", "convnet"))
        if self.is_modulator_only:
            print("modulator-only model, the stimulus is not used")

        mod = getattr(self.model, "modulator", None)
        if mod is None:
            print("no modulator")
        else:
            print(f"modulator: {type(mod).__name__}")
            if "PredictiveCoding" in type(mod).__name__:
                print(f"  predictive coding, lambda_pred = "
                      f"{self.model_config.get('lambda_pred', 0.1)}")

        # components from another run
        if pretrained_checkpoint is not None:
            self._load_pretrained_components(pretrained_checkpoint, freeze_vision)

        # regularizers work on the names of the network (no "model." in front)
        self.regularizers = create_regularizers(
            self.model_config.get("regularization", []), self.model.named_parameters())
        if self.regularizers:
            print(f"{len(self.regularizers)} regularizers: "
                  + ", ".join(r.name for r in self.regularizers))

        # the core learns at another rate than the readouts
        self.core_lr_scale = lr * self.hparams.get("core_lr_scale", 1.0)
        self.head_lr       = lr

        # Identity output -> log rates
        self.log_input = isinstance(self.model.activation, nn.Identity)
        self.loss_fn   = MaskedLoss(nn.PoissonNLLLoss(log_input=self.log_input,
                                                      full=False, reduction="none"))
        # plain lists: neither parameters nor buffers, must stay out of the state_dict
        self.bps_aggs   = [PoissonBPSAggregator() for _ in self.names]
        self.val_losses = []
        self._print_summary(dataset_cfgs)

    # ---------------------------------------------------------------- #
    def _print_summary(self, dataset_cfgs):
        """Parameters per component and cells per session, once, on rank 0."""
        if int(os.environ.get("LOCAL_RANK", 0)) != 0:
            return
        counts = defaultdict(lambda: [0, 0])               # component -> [all, trainable]
        for name, par in self.model.named_parameters():
            top = name.replace("_orig_mod.", "").split(".")[0]
            counts[top][0] += par.numel()
            counts[top][1] += par.numel() if par.requires_grad else 0

        print(f"{'component':<12s} {'parameters':>12s} {'trainable':>12s}")
        for top, (n, n_train) in counts.items():
            print(f"{top:<12s} {n:>12,d} {n_train:>12,d}")

        # which readout is which; the checkpoint only knows the position
        for i, (name, cfg) in enumerate(zip(self.names, dataset_cfgs)):
            print(f"  [{i:2d}] {name:<24s} {len(cfg['cids']):4d} cells")

    # ---------------------------------------------------------------- #
    def _load_pretrained_components(self, ckpt_path, freeze: bool):
        """
        Take adapters, frontend and convnet from a checkpoint of this script.

        The rest (modulator, recurrent, readouts) starts from scratch: that is how we
        put a behaviour modulator on a vision model that is trained already. The
        number of sessions may differ, missing and unexpected keys are fine.

        ckpt_path : a .ckpt with or without the Lightning wrapping
        freeze    : no gradients for what has been loaded
        """
        # our own files, and they hold paths in the hyper-parameters
        print(f"loading pretrained vision components from {ckpt_path}")
        ckpt = torch.load(ckpt_path, map_location="cpu", weights_only=False)
        sd   = ckpt["state_dict"] if "state_dict" in ckpt else ckpt

        # saved from a compiled model: torch.compile wraps the network and its name gets
        # into every key
        if any(k.startswith("model._orig_mod.") for k in sd):
            sd = {k.replace("model._orig_mod.", "", 1)
                  if k.startswith("model._orig_mod.") else k: v for k, v in sd.items()}

        prefixes = ("model.adapters", "model.frontend", "model.convnet")
        vision   = {k: v for k, v in sd.items() if k.startswith(prefixes)}

        # strict=False: everything that is not vision is missing, of course. Sessions the
        # old run did not have keep their fresh adapters
        missing, unexpected = self.model.load_state_dict(vision, strict=False)
        n_missing = sum(k.startswith(prefixes) for k in missing)

        print(f"✓ loaded {len(vision)} pretrained tensors ({n_missing} vision tensors missing)")
        for p in prefixes:
            print(f"    {p.split('.')[1]:<10s} {sum(k.startswith(p) for k in vision)}")

        # the optimiser still gets them, but AdamW skips what has no gradient
        if freeze:
            n_frozen = 0
            for name, par in self.model.named_parameters():
                if name.startswith(("adapters", "frontend", "convnet")):
                    par.requires_grad = False
                    n_frozen += 1
            print(f"froze {n_frozen} vision parameters")

    # ---------------------------------------------------------------- #
    def forward(self, stim, ds_idx: int, beh=None):
        """
        stim   : (B, C, T, H, W), ignored by modulator-only models
        ds_idx : which adapter and readout
        beh    : (B, K) or None

        Returns rates (B, N), or log rates if the output activation is the identity. The
        rates are spikes per bin (of 1/120 s in most of the configs), not per second.
        """
        if self.is_modulator_only:
            out = self.model(None, ds_idx, beh)
        else:
            out = self.model(stim, ds_idx, beh)

        # log(0) in the loss: softplus underflows in bf16 long before it does in fp32.
        # No clamp from above, the gradient clipping takes care of that end
        return torch.clamp(out, min=-20 if self.log_input else 1e-8)

    # ---------------------------------------------------------------- #
    def _to_device(self, b):
        """
        Everything the model looks at to the GPU. For modulator-only models not the
        movie, which is by far the largest tensor of the batch.
        """
        skip = ("stim",) if self.is_modulator_only else ()
        return {k: (v.to(self.device, non_blocking=True)
                    if torch.is_tensor(v) and k not in skip else v)
                for k, v in b.items()}

    def _step(self, batch_list, tag: str):
        """
        One pass over a mixed batch.

        batch_list : list with one dict per dataset that occurs in the batch
                       stim         (B, C, T, H, W)
                       robs         (B, N)
                       dfs          (B, 1) or (B, N), 1 = use this sample
                       behavior     (B, K), only if the session has it
                       dataset_idx  (B,), all the same
        tag        : "train" or "val"

        A dataset whose loss is not finite is left out of the mean and noted under
        {tag}_nan_skip/{name}, the others go on.

        Returns the mean of the losses of the datasets. Each dataset counts the same,
        however many of the samples it has.
        """
        losses = []
        for b in batch_list:
            b      = self._to_device(b)
            ds_idx = int(b["dataset_idx"][0].item())
            name   = self.names[ds_idx]

            # forward
            ctx = torch.no_grad() if tag == "val" else contextlib.nullcontext()
            # the Trainer's precision plugin has autocast on already, a second one here
            # only costs
            # with torch.autocast("cuda", dtype=torch.bfloat16):
            # (it did matter with precision=32 and a bf16 core, keep it in mind)
            with ctx:
                rhat = self(b.get("stim"), ds_idx, b.get("behavior"))

            # Poisson NLL in bf16 is useless: 8 bits of mantissa on log(rate)
            rhat = rhat.float()
            robs = b["robs"].float()
            dfs  = b.get("dfs").float()
            loss = self.loss_fn({"rhat": rhat, "robs": robs, "dfs": dfs})

            # a bad session must not kill the run
            if not torch.isfinite(loss):
                self.log(f"{tag}_nan_skip/{name}", 1.0, on_step=True, on_epoch=False)
                continue

            if self.global_rank == 0:
                self.log(f"{tag}_loss/{name}", loss.detach(),
                         on_step=(tag == "train"), on_epoch=True,
                         batch_size=robs.shape[0], sync_dist=False, rank_zero_only=True)
            losses.append(loss)

            if tag == "val":
                if self.log_input:
                    rhat = torch.exp(rhat)          # the aggregator wants rates
                self.bps_aggs[ds_idx]({"robs": robs, "rhat": rhat, "dfs": dfs})
                self.val_losses.append(loss.detach())

        if not losses:
            # keeps backward() and DDP going
            return torch.tensor(0.0, device=self.device, requires_grad=True)
        return torch.stack(losses).mean()

    # ---------------------------------------------------------------- #
    def _auxiliary_loss(self, batch_list):
        """lambda_pred * mean(pred_err^2) of a predictive-coding modulator, else None."""
        mod = getattr(self.model, "modulator", None)
        err = getattr(mod, "pred_err", None)
        if err is None:
            return None

        lam = self.model_config.get("lambda_pred", 0.1)
        aux = lam * err.float().pow(2).mean()

        if self.global_rank == 0:
            self.log("aux_loss", aux.detach(), on_step=True, on_epoch=True,
                     batch_size=sum(len(b) for b in batch_list),
                     sync_dist=False, rank_zero_only=True)
        if self.global_step < 5:
            print(f"step {self.global_step}: aux_loss {aux.item():.6f} (lambda_pred {lam})")
        return aux

    def training_step(self, batch_list, batch_idx):
        loss = self._step(batch_list, "train")

        # predictive coding: how well the modulator foresees its own input
        aux = self._auxiliary_loss(batch_list)
        if aux is not None:
            loss = loss + aux

        # penalties; the proximal ones come in after the step
        for reg in self.regularizers:
            pen = reg.loss(self.current_epoch)
            if pen.item() != 0.0:
                loss = loss + pen
                if self.global_rank == 0:
                    self.log(f"reg_loss/{reg.name}", pen.detach(),
                             on_step=False, on_epoch=True,
                             batch_size=sum(len(b) for b in batch_list),
                             sync_dist=False, rank_zero_only=True)
        return loss

    # ---------------------------------------------------------------- #
    def on_validation_epoch_start(self):
        # also before the two sanity batches
        for agg in self.bps_aggs:
            agg.reset()

    def validation_step(self, batch_list, batch_idx):
        # nothing to return, it all goes into bps_aggs and val_losses
        self._step(batch_list, "val")

    @torch.no_grad()
    def on_validation_epoch_end(self):
        """
        Loss and bits per spike of the epoch.

        val_loss        : mean over all batches and datasets
        val_bps/{name}  : mean over the cells of a dataset
        val_bps_overall : mean over the datasets; checkpointing and early stopping
                          look at this one
        """
        if self.val_losses:
            self.log("val_loss", torch.stack(self.val_losses).mean(),
                     on_step=False, on_epoch=True, prog_bar=True, sync_dist=True)
        self.val_losses.clear()

        per_dataset = []
        for idx, name in enumerate(self.names):
            agg = self.bps_aggs[idx]
            # every rank has to take part in the reduction, with or without data
            if len(agg.robs) == 0:
                bps_sum = torch.zeros((), device=self.device)
                n_cells = torch.zeros((), device=self.device)
            else:
                bps = agg.closure().to(self.device)
                # worse than the mean rate counts as 0: a few cells at -3 would drown
                # the rest of the session
                bps = torch.clamp(bps, min=0.0)
                bps_sum = bps.sum()
                n_cells = torch.tensor(float(bps.numel()), device=self.device)

            # sums over the ranks; the mean of all cells of all ranks comes out
            if dist.is_available() and dist.is_initialized():
                dist.all_reduce(bps_sum, op=dist.ReduceOp.SUM)
                dist.all_reduce(n_cells, op=dist.ReduceOp.SUM)

            if n_cells.item() > 0:
                mean = bps_sum / n_cells
                per_dataset.append(mean)
                if self.global_rank == 0:
                    self.log(f"val_bps/{name}", mean,
                             on_step=False, on_epoch=True,
                             sync_dist=False, rank_zero_only=True)

        if per_dataset:
            overall = torch.stack(per_dataset).mean().clamp(min=0.0)
        else:
            overall = torch.zeros((), device=self.device)
        self.log("val_bps_overall", overall,
                 on_step=False, on_epoch=True, prog_bar=True, sync_dist=True)

        # validation batches have other shapes (no drop of small groups), the allocator
        # fragments otherwise and we run out of memory in epoch 3 or 4
        torch.cuda.empty_cache()

    # ---------------------------------------------------------------- #
    def _is_core(self, name: str) -> bool:
        return any(k in name for k in ("frontend", "convnet", "modulator"))

    def configure_optimizers(self):
        """
        AdamW with up to four groups: core / head, with / without weight decay.

        core    : frontend, convnet, modulator
        head    : everything else (adapters, recurrent, readouts, baselines)
        without : what an l2 or group_lasso regularizer takes care of
        """
        excluded = set(get_excluded_params_for_weight_decay(self.regularizers))
        if excluded:
            print(f"excluding {len(excluded)} parameters from weight decay:")
            for name in sorted(excluded):
                print(f"    {name}")

        core_decay, core_plain, head_decay, head_plain = [], [], [], []
        for name, par in self.named_parameters():
            if self._is_core(name):
                (core_plain if name in excluded else core_decay).append(par)
            else:
                (head_plain if name in excluded else head_decay).append(par)

        wd = self.hparams.wd
        groups = [
            {"params": core_decay, "lr": self.core_lr_scale, "weight_decay": wd},
            {"params": core_plain, "lr": self.core_lr_scale, "weight_decay": 0.0},
            {"params": head_decay, "lr": self.head_lr,       "weight_decay": wd},
            {"params": head_plain, "lr": self.head_lr,       "weight_decay": 0.0},
        ]
        # the lr monitor numbers the groups as they come, pg1 = core
        groups = [g for g in groups if g["params"]]        # AdamW does not like empty groups
        opt = torch.optim.AdamW(groups)

        for g in groups:
            n = sum(par.numel() for par in g["params"])
            print(f"AdamW group: {len(g['params'])} tensors, {n:,d} parameters, "
                  f"lr {g['lr']:g}, wd {g['weight_decay']:g}")

        kind = self.hparams.get("lr_scheduler", "none")
        if kind == "none":
            return opt

        if kind == "step":
            sched = torch.optim.lr_scheduler.StepLR(opt, step_size=30, gamma=0.5)
        elif kind == "plateau":
            sched = torch.optim.lr_scheduler.ReduceLROnPlateau(
                opt, mode="min", factor=0.5, patience=3, verbose=True)
            return {"optimizer": opt,
                    "lr_scheduler": {"scheduler": sched, "monitor": "val_loss",
                                     "interval": "epoch"}}
        elif kind == "cosine":
            sched = torch.optim.lr_scheduler.CosineAnnealingLR(
                opt, T_max=self.trainer.max_epochs)
        elif kind == "cosine_warmup":
            sched = LinearWarmupCosineAnnealingLR(
                opt,
                warmup_epochs=self.hparams.get("warmup_epochs", 5),
                max_epochs=self.trainer.max_epochs)
        else:
            raise ValueError(f"unknown lr_scheduler {kind!r}")

        # all of them once per epoch; per step would need the number of steps, and that is
        # inf until the loaders are there
        return {"optimizer": opt, "lr_scheduler": {"scheduler": sched, "interval": "epoch"}}

    # ---------------------------------------------------------------- #
    def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure=None, **kw):
        """
        Gradient step, then the proximal updates of the regularizers.

        Prox has to see the parameters after the step and the learning rate of the
        step, so it can be neither in the loss nor in on_before_optimizer_step.
        Clipping happens inside optimizer.step(), as usual.
        """
        # forward + backward
        # (Lightning's closure: zero_grad, training_step, backward)
        loss = optimizer_closure() if optimizer_closure is not None else None

        optimizer.step()
        optimizer.zero_grad()

        # soft-threshold, clamp, ... (in place, on the parameters of the network); the group
        # gives the learning rate
        for group in optimizer.param_groups:
            for reg in self.regularizers:
                reg.prox(self.current_epoch, group["lr"])
        return loss

# --------------------------------------------------------------------------- #
#  main                                                                       #
# --------------------------------------------------------------------------- #
def main():
    p = argparse.ArgumentParser(description="Multi-dataset V1 training")
    # what to train
    p.add_argument("--model_config",           type=str,   required=True,
                   help="model YAML (adapter, frontend, convnet, modulator, "
                        "recurrent, readout)")
    p.add_argument("--dataset_configs_path",   type=str,   required=True,
                   help="folder with one YAML per session")
    p.add_argument("--max_datasets",           type=int,   default=30)
    p.add_argument("--batch_size",             type=int,   default=64,
                   help="per GPU")
    # optimisation
    p.add_argument("--learning_rate",          type=float, default=1e-4)
    p.add_argument("--core_lr_scale",          type=float, default=1.0,
                   help="core learning rate = learning_rate * core_lr_scale")
    p.add_argument("--weight_decay",           type=float, default=1e-5)
    p.add_argument("--max_epochs",             type=int,   default=100)
    p.add_argument("--precision",              type=str,   default="bf16",
                   choices=["16", "bf16", "32", "16-mixed", "bf16-mixed"])
    p.add_argument("--num_gpus",               type=int,   default=2)
    p.add_argument("--num_workers",            type=int,   default=16)
    p.add_argument("--steps_per_epoch",        type=int,   default=1000)
    # bookkeeping
    p.add_argument("--project_name",           type=str,   default="multidataset")
    p.add_argument("--experiment_name",        type=str,   default=None)
    p.add_argument("--checkpoint_dir",         type=str,   default="./checkpoints")
    p.add_argument("--lr_scheduler",           type=str,   default="none",
                   choices=["none", "step", "plateau", "cosine", "cosine_warmup"])
    p.add_argument("--warmup_epochs",          type=int,   default=5)
    p.add_argument("--enable_curriculum",      action="store_true")
    p.add_argument("--pretrained_checkpoint",  type=str,   default=None,
                   help="take adapters, frontend and convnet from this checkpoint")
    p.add_argument("--freeze_vision",          action="store_true")
    p.add_argument("--compile",                action="store_true",
                   help="torch.compile the network")
    # passthroughs (ignored but kept for compatibility)
    p.add_argument("--gradient_clip_val",      type=float, default=1.0)
    p.add_argument("--accumulate_grad_batches",type=int,   default=1)
    p.add_argument("--early_stopping_patience",type=int,   default=10)
    p.add_argument("--early_stopping_min_delta",type=float, default=0.0)
    args = p.parse_args()

    if args.experiment_name is None:
        args.experiment_name = (f"{Path(args.model_config).stem}_ddp_bs{args.batch_size}"
                                f"_ds{args.max_datasets}_lr{args.learning_rate}"
                                f"_wd{args.weight_decay}")

    dm = MultiDatasetDM(args.dataset_configs_path, args.max_datasets, args.batch_size,
                        args.num_workers, args.steps_per_epoch,
                        enable_curriculum=args.enable_curriculum)
    model = MultiDatasetModel(args.model_config, args.dataset_configs_path,
                              args.learning_rate, args.weight_decay, args.max_datasets,
                              pretrained_checkpoint=args.pretrained_checkpoint,
                              freeze_vision=args.freeze_vision,
                              compile_model=args.compile)
    # not arguments of the model, but we want them in the checkpoint
    model.hparams.core_lr_scale = args.core_lr_scale
    model.hparams.lr_scheduler  = args.lr_scheduler
    model.hparams.warmup_epochs = args.warmup_epochs

    # one folder per experiment
    ckpt_dir = Path(args.checkpoint_dir) / args.experiment_name
    ckpt_dir.mkdir(parents=True, exist_ok=True)

    callbacks = [
        ModelCheckpoint(dirpath=ckpt_dir, filename="{epoch:02d}-{val_bps_overall:.4f}",
                        monitor="val_bps_overall", mode="max", save_top_k=3, save_last=True),
        LearningRateMonitor(logging_interval="epoch"),
        EpochHeartbeat("train_loss"),
        EarlyStopping(monitor="val_bps_overall", mode="max",
                      patience=args.early_stopping_patience,
                      min_delta=args.early_stopping_min_delta,
                      verbose=True, check_on_train_epoch_end=False),
    ]
    if args.enable_curriculum:
        callbacks.append(CurriculumCallback())

    # the other ranks stay silent
    rank0  = int(os.environ.get("LOCAL_RANK", 0)) == 0
    logger = WandbLogger(project=args.project_name, name=args.experiment_name,
                         save_dir="./logs") if rank0 else None

    trainer = pl.Trainer(
        max_epochs=args.max_epochs,
        accelerator="gpu",
        devices=args.num_gpus,
        # the other datasets' readouts get no gradient in most batches
        strategy=DDPStrategy(find_unused_parameters=True, gradient_as_bucket_view=True),
        callbacks=callbacks,
        logger=logger,
        limit_train_batches=args.steps_per_epoch,
        limit_val_batches=0.05,        # 5 % is enough to rank epochs
        precision=args.precision,
        log_every_n_steps=50,
        gradient_clip_val=args.gradient_clip_val,
        accumulate_grad_batches=args.accumulate_grad_batches,
        val_check_interval=1.0,
        enable_progress_bar=False,
    )

    if rank0:
        print("=" * 60 + "\n  multi-dataset training\n" + "=" * 60)
        print(f"experiment        : {args.experiment_name}")
        print(f"accumulate batches: {args.accumulate_grad_batches}")
        print(f"training batches  : {trainer.num_training_batches}")

    # testing is done by the eval scripts
    trainer.fit(model, datamodule=dm)

if __name__ == "__main__":
    main()
