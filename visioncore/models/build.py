"""From a model config and the sessions' configs to a network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from visioncore.errors import ConfigError
from visioncore.models.activations import make_activation
from visioncore.models.adapters import make_adapter
from visioncore.models.convnets import make_convnet
from visioncore.models.frontends import make_frontend
from visioncore.models.modulators import make_modulator
from visioncore.models.network import MultiDatasetV1Model, V1Model
from visioncore.models.probe import check_shapes
from visioncore.models.reading import parse_model_config
from visioncore.models.readouts import make_readout
from visioncore.models.recurrent import make_recurrent
from visioncore.models.schema.model import ModelConfig
from visioncore.models.sessions import Session, read_sessions


def build_model(
    model_config: Mapping[str, Any] | ModelConfig,
    dataset_configs: Sequence[Mapping[str, Any]] | None = None,
    *,
    seed: int | None = None,
    source: str = "the model config",
) -> V1Model | MultiDatasetV1Model:
    """The network of a model config, with one adapter and one readout for each dataset config.

    model_config: as `load_config` gives it; with `model_type: v1` dataset configs may be missing
    dataset_configs: as `load_dataset_configs` gives them: `cids`, if known `keys_lags` and `behavior_dim`, if wanted an `adapter`
        and a `readout` of their own
    seed: draws the weights from a generator of their own; None draws from torch's, as seeded by the caller
    source: the config's file, to open sentences with

    Raises ConfigError: an unknown type or key, a value or a shape that cannot be.
    """
    config = model_config if isinstance(model_config, ModelConfig) else parse_model_config(model_config, source)
    sessions = read_sessions(config, dataset_configs, source)
    with _seeded(seed):
        network = _wire(config, sessions, source)
    check_shapes(network, config, sessions, source)
    return network


@contextlib.contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _wire(config: ModelConfig, sessions: Sequence[Session], source: str) -> V1Model | MultiDatasetV1Model:
    """Stage after stage, each with the channels that the one before puts out.

    Readouts come last, so that one seed gives one core for any number of sessions.
    """
    stage = "output_activation"
    try:
        activation = make_activation(config.output_activation)
        multi = MultiDatasetV1Model(config, activation) if config.model_type == "v1multi" else None
        single = V1Model(config, activation) if multi is None else None
        network = multi or single
        assert network is not None

        stage = "adapter"
        adapters = [make_adapter(session.adapter, config.compat) for session in sessions]
        if multi is not None:
            multi.adapters = nn.ModuleList(adapters)
        elif single is not None:
            single.adapter = adapters[0]

        stage = "frontend"
        frontend, channels = make_frontend(config.frontend, config.initial_input_channels)
        stage = "convnet"
        convnet, channels = make_convnet(config.convnet, channels, config.compat)
        stage = "modulator"
        modulator, channels = make_modulator(config.modulator, channels, config.compat)
        stage = "recurrent"
        recurrent, channels = make_recurrent(config.recurrent, channels)
        network.add_core(frontend, convnet, modulator, recurrent)

        stage = "readout"
        baseline = config.baseline.init_value if config.baseline.enabled else None
        readouts = [make_readout(session.readout, channels, session.n_units) for session in sessions]
        if multi is not None:
            multi.add_readouts(readouts, baseline)
        elif single is not None:
            single.add_readout(readouts[0], baseline)
        return network
    except ValueError as error:
        raise ConfigError(f"{source}: {stage}: {error}") from error
