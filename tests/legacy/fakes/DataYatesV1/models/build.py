"""Tiny networks with the attributes of the real ones: adapters, frontend, convnet, modulator, recurrent, readouts."""

import torch
import torch.nn as nn

ACTIVATIONS = {"softplus": nn.Softplus, "none": nn.Identity, "identity": nn.Identity}


class Adapter(nn.Module):
    """Scales the image; `log_sigma` never gets a gradient, as in the real one."""

    def __init__(self):
        super().__init__()
        self.log_sigma = nn.Parameter(torch.zeros(()))
        self.log_scale = nn.Parameter(torch.zeros(2))

    def forward(self, x):  # (B, 1, T, H, W)
        return x * torch.sigmoid(self.log_scale).mean() * (1 + 0 * float(self.log_sigma.item()))


class PredictiveCodingModulator(nn.Module):
    def __init__(self, behavior_dim, channels):
        super().__init__()
        self.predict = nn.Linear(behavior_dim, channels)
        self.pred_err = None

    def forward(self, x, behavior):  # (B, C), (B, K)
        error = x - self.predict(behavior)
        self.pred_err = error if self.training else None
        return error


class ConcatModulator(nn.Module):
    def __init__(self, behavior_dim, channels):
        super().__init__()
        self.encode = nn.Linear(behavior_dim, channels)

    def forward(self, x, behavior):
        return x + self.encode(behavior)


class Readout(nn.Module):
    def __init__(self, channels, n_units):
        super().__init__()
        self.features = nn.Linear(channels, n_units, bias=False)
        self.mean = nn.Parameter(torch.zeros(n_units, 2))
        self.std = nn.Parameter(torch.full((n_units, 2), 5.0))
        self.bias = nn.Parameter(torch.zeros(n_units))

    def forward(self, x):
        gauss = torch.exp(-0.5 * (self.mean / self.std.clamp(min=1e-3)).pow(2).sum(1))
        return self.features(x) * gauss + self.bias


class Core(nn.Module):
    def __init__(self, config):
        super().__init__()
        channels = config.get("channels", 4)
        kinds = {k: (config.get(k) or {}).get("type", "none") for k in ("adapter", "frontend", "convnet", "modulator")}
        behavior_dim = (config.get("modulator") or {}).get("params", {}).get("behavior_dim", 3)
        self.channels = channels
        self.frontend = (
            nn.Identity()
            if kinds["frontend"] == "none"
            else nn.Conv3d(1, 2, (3, 1, 1), bias=False)  # (B, 2, T-2, H, W)
        )
        self.convnet = nn.Identity() if kinds["convnet"] == "none" else nn.Conv3d(2, channels, (2, 3, 3))
        self.modulator = {
            "none": lambda: None,
            "concat": lambda: ConcatModulator(behavior_dim, channels),
            "pc": lambda: PredictiveCodingModulator(behavior_dim, channels),
        }[kinds["modulator"]]()
        self.recurrent = nn.Identity()
        self.activation = ACTIVATIONS[config.get("output_activation", "none")]()

    def features(self, x, behavior, batch):
        if x is None:
            x = torch.ones(batch, self.channels, device=behavior.device)
        else:
            x = torch.tanh(self.convnet(self.frontend(x))).mean((2, 3, 4))
        if self.modulator is not None and behavior is not None:
            x = self.modulator(x, behavior)
        return self.recurrent(x)


class TinyMulti(Core):
    def __init__(self, config, dataset_configs):
        super().__init__(config)
        self.adapters = nn.ModuleList(Adapter() for _ in dataset_configs)
        self.readouts = nn.ModuleList(Readout(self.channels, len(c["cids"])) for c in dataset_configs)

    def forward(self, stimulus, dataset_idx, behavior=None):
        if stimulus is None:
            x = self.features(None, behavior, len(behavior))
        else:
            x = self.features(self.adapters[dataset_idx](stimulus), behavior, len(stimulus))
        return self.activation(self.readouts[dataset_idx](x))


class TinySingle(Core):
    def __init__(self, config):
        super().__init__(config)
        self.adapter = Adapter()
        self.readout = Readout(self.channels, config["n_units"])

    def forward(self, stimulus, behavior=None):
        return self.activation(self.readout(self.features(self.adapter(stimulus), behavior, len(stimulus))))


def build_model(config, dataset_configs=None):
    return TinySingle(config) if config.get("model_type", "v1") == "v1" else TinyMulti(config, dataset_configs)
