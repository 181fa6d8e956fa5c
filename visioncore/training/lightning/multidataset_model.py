"""The LightningModule."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor, nn

from visioncore.compat import Compat
from visioncore.errors import nearest, one_of
from visioncore.models import ConfigError, build_model, load_config
from visioncore.models.network import MultiDatasetV1Model
from visioncore.training.lightning.optimisation import LR_SCHEDULERS, Optimisation
from visioncore.training.lightning.validation import Validation
from visioncore.training.losses import MaskedPoissonLoss
from visioncore.training.pretrained import Loaded, freeze, load_pretrained
from visioncore.training.provenance import plain, provenance
from visioncore.training.regularizers import create_regularizers
from visioncore.training.sessions import read_dataset_configs

# the hyper-parameters that the old trainer's checkpoints gave back
KEPT_BEFORE = ("model_cfg", "cfg_dir", "lr", "wd", "max_ds", "pretrained_checkpoint", "freeze_vision", "compile_model")


class MultiDatasetModel(Validation, Optimisation):
    """A shared core, one adapter and one readout a session, trained on mixed batches.

    A batch is a list with one dict for each dataset in it: `stim` (B, C, L, H, W), `robs` (B, N), `dfs` (B, 1 | N), perhaps
    `behavior` (B, K), and `dataset_idx` (B,), all the same.
    """

    def __init__(
        self,
        model_cfg: str | Path,
        cfg_dir: str | Path,
        lr: float,
        wd: float,
        max_ds: int,
        pretrained_checkpoint: str | Path | None = None,
        freeze_vision: bool = False,
        compile_model: bool = False,
        *,
        core_lr_scale: float = 1.0,
        lr_scheduler: str = "none",
        warmup_epochs: int = 5,
        compat: Any = None,
        seed: int | None = None,
        model_config: Mapping[str, Any] | None = None,
        dataset_configs: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """
        model_cfg: model YAML; cfg_dir: folder of dataset YAMLs, of which the first `max_ds` by name are used
        lr, wd: learning rate of the head and weight decay; the core's learning rate is `lr * core_lr_scale`
        pretrained_checkpoint: gives adapters, frontend and convnet; freeze_vision: what it gave gets no gradients
        lr_scheduler: none, step, plateau, cosine or cosine_warmup, the last with `warmup_epochs`
        compat: what `Compat.parse` takes; which of the old trainer's quirks to keep
        seed: of the weights; None draws them from torch's generator as it is
        model_config, dataset_configs: the files' contents, which then are not read; checkpoints give them

        Raises ValueError (ConfigError for configs): whatever no model can be trained from.
        """
        super().__init__()
        self.compat = Compat.parse(compat)
        if lr_scheduler not in LR_SCHEDULERS:
            raise ValueError(
                f"lr_scheduler {lr_scheduler!r} is unknown; {one_of(LR_SCHEDULERS)} is expected"
                f"{nearest(str(lr_scheduler), LR_SCHEDULERS)}"
            )
        self._from_checkpoint = model_config is not None
        self.model_config = copy.deepcopy(dict(load_config(model_cfg) if model_config is None else model_config))
        if self.compat.old_networks:
            self.model_config["compat"] = "all"
        self.dataset_configs = [
            dict(config)
            for config in (read_dataset_configs(cfg_dir, max_ds) if dataset_configs is None else dataset_configs)
        ]
        self._keep_hyper_parameters(
            model_cfg=str(model_cfg),
            cfg_dir=str(cfg_dir),
            lr=lr,
            wd=wd,
            max_ds=max_ds,
            pretrained_checkpoint=None if pretrained_checkpoint is None else str(pretrained_checkpoint),
            freeze_vision=freeze_vision,
            compile_model=compile_model,
            core_lr_scale=core_lr_scale,
            lr_scheduler=lr_scheduler,
            warmup_epochs=warmup_epochs,
            compat=self.compat.names(),
            seed=seed,
            model_config=self.model_config,
            dataset_configs=self.dataset_configs,
        )
        self.names = [str(config["_dataset_name"]) for config in self.dataset_configs]
        self.n_units = [len(config["cids"]) for config in self.dataset_configs]
        self.head_lr, self.weight_decay = lr, wd
        self.core_lr = lr if self.compat.core_lr_scale_ignored else lr * core_lr_scale
        self.lr_scheduler_kind, self.warmup_epochs = lr_scheduler, warmup_epochs

        self.model = self._build(str(model_cfg), None if self.compat.unseeded else seed)
        self.log_input = isinstance(self.model.activation, nn.Identity)
        self.is_modulator_only = not self.model.needs_stimulus
        self.pretrained = self._load_pretrained(pretrained_checkpoint, freeze_vision)
        self.regularizers = create_regularizers(
            self.model_config.get("regularization"), self.model.named_parameters(), compat=self.compat
        )
        if compile_model:
            # in place: the state dict keeps its keys. Each readout has another N, so each dataset compiles once
            self.model.compile()
        self.loss_fn = MaskedPoissonLoss(self.log_input, compat=self.compat)
        self.begin_steps()
        self.begin_validation()

    def setup(self, stage: str) -> None:
        # TF32 for float32 matrix products, as in all the lab's runs
        torch.set_float32_matmul_precision("medium")

    def forward(self, stim: Tensor | None, ds_idx: int, beh: Tensor | None = None) -> Tensor:
        """stim (B, C, L, H, W), not looked at by modulator-only models; beh (B, K) or None → (B, N) of dataset `ds_idx`.

        Rates in spikes per bin, at least 1e-8; log rates, at least -20, if the output activation is the identity.
        """
        out = self.model(None if self.is_modulator_only else stim, ds_idx, beh)
        # log(0) in the loss: softplus underflows, in bfloat16 long before it does in float32
        return torch.clamp(out, min=-20 if self.log_input else 1e-8)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds `visioncore`: configs, commit, versions, and what came from a pretrained checkpoint."""
        if self.compat.hyper_parameters_lost:
            return
        kept = provenance({"model": self.model_config, "datasets": self.dataset_configs})
        checkpoint["visioncore"] = kept | {"pretrained": list(self.pretrained.loaded) if self.pretrained else []}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the keys of compiled networks, too, and freezes again what was frozen."""
        state = checkpoint["state_dict"]
        for key in [key for key in state if "_orig_mod." in key]:
            state[key.replace("_orig_mod.", "")] = state.pop(key)
        if self.hparams.get("freeze_vision") and not self.compat.pretrained_loads_nothing:
            freeze(self.model, checkpoint.get("visioncore", {}).get("pretrained", []))

    def _keep_hyper_parameters(self, **values: Any) -> None:
        """In plain containers: checkpoints load with `weights_only=True`, and loggers show them."""
        names = KEPT_BEFORE if self.compat.hyper_parameters_lost else tuple(values)
        self.save_hyperparameters({name: plain(values[name]) for name in names})

    def _build(self, source: str, seed: int | None) -> MultiDatasetV1Model:
        network = build_model(self.model_config, self.dataset_configs, seed=seed, source=source)
        if not isinstance(network, MultiDatasetV1Model):
            raise ConfigError(
                f"{source}: model_type v1multi is expected, {self.model_config.get('model_type')!r} found"
            )
        return network

    def _load_pretrained(self, path: str | Path | None, freeze_vision: bool) -> Loaded | None:
        if path is None:
            if freeze_vision and not self.compat.pretrained_loads_nothing:
                raise ValueError(
                    "freeze_vision keeps what pretrained_checkpoint gave, and there is no pretrained_checkpoint"
                )
            return None
        if self._from_checkpoint and not Path(path).exists():
            rank_zero_warn(f"{path} is gone; its weights are expected in the checkpoint that is being loaded")
            return None
        loaded = load_pretrained(self.model, path, compat=self.compat)
        rank_zero_info(f"{path}: {loaded}")
        if freeze_vision:
            frozen = freeze(self.model, None if self.compat.pretrained_loads_nothing else loaded.loaded)
            rank_zero_info(f"{frozen} parameters frozen")
        return loaded
