"""The names of the parameters, written down by hand: old checkpoints are loaded by them, optimiser states by their order."""

import pytest
import torch
from torch.nn.utils import parametrize

from tests.visioncore.models.configs import BEHAVIOR, block, model, session
from visioncore.models import build_model

CONV = "components.conv.conv.weight"
GRU = ["cell.conv_x.weight", "cell.conv_x.bias", "cell.conv_h.weight"]
ENCODER = ["encoder.mlp.0.linear.weight", "encoder.mlp.0.linear.bias", "encoder.mlp.1.weight", "encoder.mlp.1.bias"]
SPLIT = "components.act.ongain"


def names(prefix, config, sessions=1):
    network = build_model(config, [session(3 + i) for i in range(sessions)])
    return [name.removeprefix(f"{prefix}.") for name in network.state_dict() if name.startswith(f"{prefix}.")]


def with_block(**more):
    return {"type": "vanilla", "params": {"channels": [8], "block_config": block(**more)}}


def resnet(**params):
    return {"type": "resnet", "params": {"channels": [4], "block_config": block(), **params}}


@pytest.mark.parametrize(
    ("stage", "prefix", "expected"),
    [
        ("adapter", "adapters.0", ["log_sigma", "log_scale"]),
        ({"type": "adapter", "params": {"transform": "affine"}}, "adapters.0", ["log_sigma", "affine"]),
        ("learnable_temporal", "frontend", ["temporal_conv.weight"]),
        (
            {"type": "learnable_temporal", "params": {"kernel_size": 4, "bias": True}},
            "frontend",
            ["temporal_conv.weight", "temporal_conv.bias"],
        ),
        ("temporal_basis", "frontend", ["basis"]),
        (
            {"type": "temporal_basis", "params": {"batch_norm": True}},
            "frontend",
            ["basis", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "bn.num_batches_tracked"],
        ),
        ({"type": "conv", "params": {"out_channels": 3, **block()}}, "frontend", [CONV]),
        ("vanilla", "convnet", [f"layers.0.{CONV}", f"layers.1.{CONV}"]),
        ("densenet", "convnet", [f"layers.0.{CONV}", f"layers.1.{CONV}"]),
        (
            resnet(stem_config={"out_channels": 2, **block()}),
            "convnet",
            [f"layers.0.{CONV}", f"layers.1.main_block.{CONV}", "layers.1.shortcut.0.weight"],
        ),
        (
            resnet(resnet_shortcut_norm_type="grn", resnet_shortcut_params={"bias": True}),
            "convnet",
            [
                f"layers.0.main_block.{CONV}",
                *(f"layers.0.shortcut.{name}" for name in ("0.weight", "0.bias", "1.offset", "1.gamma", "1.beta")),
            ],
        ),
        (resnet(resnet_shortcut_projection=False), "convnet", [f"layers.0.main_block.{CONV}"]),
        (with_block(norm_type="none"), "convnet", [f"layers.0.{CONV}", "layers.0.components.conv.conv.bias"]),
        (
            with_block(norm_type="grn", act_type="splitrelu"),
            "convnet",
            [
                f"layers.0.{CONV}",
                *(f"layers.0.components.norm.{n}" for n in ("offset", "gamma", "beta")),
                f"layers.0.{SPLIT}",
            ],
        ),
        (with_block(act_type="bsoftplus"), "convnet", [f"layers.0.{CONV}", "layers.0.components.act.log_beta"]),
        (
            with_block(use_weight_norm=True),
            "convnet",
            [f"layers.0.components.conv.conv.parametrizations.weight.original{i}" for i in (0, 1)],
        ),
        (
            with_block(pool_params={"type": "aablur"}),
            "convnet",
            [
                f"layers.0.{CONV}",
                *(
                    f"layers.0.components.pool.{n}"
                    for n in ("blur", "se.1.weight", "se.1.bias", "se.3.weight", "se.3.bias")
                ),
            ],
        ),
        (
            with_block(conv_params={"type": "depthwise", "kernel_size": 3, "padding": 1}),
            "convnet",
            ["layers.0.components.conv.depthwise.weight", "layers.0.components.conv.pointwise.weight"],
        ),
        ("concat", "modulator", ENCODER),
        (
            "film",
            "modulator",
            [*ENCODER, "scale_layer.weight", "scale_layer.bias", "shift_layer.weight", "shift_layer.bias"],
        ),
        (
            {"type": "convgru", "params": {"behavior_dim": BEHAVIOR}},
            "modulator",
            ["beh_emb.weight", "beh_emb.bias", *(f"gru.{n}" for n in GRU), "output_proj.weight", "output_proj.bias"],
        ),
        ("pc", "modulator", ["beh_emb.weight", "beh_emb.bias", *(f"predictor.{n}" for n in GRU)]),
        (
            {"type": "pc", "params": {"behavior_dim": BEHAVIOR, "hidden_dim": 3}},
            "modulator",
            [
                "beh_emb.weight",
                "beh_emb.bias",
                *(f"predictor.{n}" for n in GRU),
                "output_proj.weight",
                "output_proj.bias",
            ],
        ),
        ({"type": "convgru", "params": {}}, "recurrent", GRU),
        ("convlstm", "recurrent", ["cell.gates.weight", "cell.gates.bias"]),
        ("gaussian", "readouts.0", ["bias", "mean", "std", "theta", "features.weight"]),
        ({"type": "gaussian", "params": {"bias": False}}, "readouts.0", ["mean", "std", "theta", "features.weight"]),
        ("linear", "readouts.0", ["bias", "fc.weight", "fc.bias"]),
        ({"type": "linear", "params": {"bias": False}}, "readouts.0", ["fc.weight"]),
    ],
)
def test_names_of_a_stage(stage, prefix, expected):
    assert names(prefix, model(**{prefix.removesuffix(".0").removesuffix("s"): stage})) == expected


def test_names_and_shapes_of_a_whole_model():
    config = model(
        convnet=resnet(
            block_config=block(act_type="splitrelu", pool_params={"type": "max", "kernel_size": 3, "stride": 2})
        ),
        recurrent="convgru",
        baseline={"enabled": True},
    )
    network = build_model(config, [session(3), session(4)])
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == {
        "adapters.0.log_sigma": (),
        "adapters.0.log_scale": (2,),
        "adapters.1.log_sigma": (),
        "adapters.1.log_scale": (2,),
        "frontend.temporal_conv.weight": (3, 1, 6),
        "convnet.layers.0.main_block.components.conv.conv.weight": (4, 3, 3, 3, 3),
        "convnet.layers.0.main_block.components.act.ongain": (1,),
        "convnet.layers.0.shortcut.0.weight": (8, 3, 1, 1, 1),
        "recurrent.cell.conv_x.weight": (15, 8, 3, 3),
        "recurrent.cell.conv_x.bias": (15,),
        "recurrent.cell.conv_h.weight": (15, 5, 3, 3),
        "readouts.0.bias": (3,),
        "readouts.0.mean": (3, 2),
        "readouts.0.std": (3, 2),
        "readouts.0.theta": (3,),
        "readouts.0.features.weight": (3, 5, 1, 1),
        "readouts.1.bias": (4,),
        "readouts.1.mean": (4, 2),
        "readouts.1.std": (4, 2),
        "readouts.1.theta": (4,),
        "readouts.1.features.weight": (4, 5, 1, 1),
        "baselines.0": (3,),
        "baselines.1": (4,),
    }


def test_parameters_come_in_the_order_of_the_stages():
    config = model(modulator="film", recurrent="convlstm", baseline={"enabled": True}, output_activation="bsoftplus")
    stages = [name.split(".")[0] for name, _ in build_model(config, [session(3), session(4)]).named_parameters()]
    expected = ["activation", "adapters", "frontend", "convnet", "modulator", "recurrent", "readouts", "baselines"]
    assert list(dict.fromkeys(stages)) == expected


def test_the_gain_of_splitrelu_is_kept_and_not_learnt():
    network = build_model(model(convnet=with_block(act_type="splitrelu")), [session(3)])
    assert not dict(network.named_parameters())[f"convnet.layers.0.{SPLIT}"].requires_grad


def test_the_bias_of_a_linear_readout_has_two_names_and_is_one_parameter():
    readout = build_model(model(readout="linear"), [session(3)]).readouts[0]
    assert readout.bias is readout.fc.bias


def test_a_plain_weight_loads_into_a_weight_normalised_convolution():
    plain, normalised = (
        build_model(model(convnet=with_block(use_weight_norm=on)), [session(3)], seed=on) for on in (False, True)
    )
    normalised.load_state_dict(plain.state_dict())
    conv = normalised.convnet.layers[0].components["conv"].conv
    assert parametrize.is_parametrized(conv)
    torch.testing.assert_close(conv.weight, plain.convnet.layers[0].components["conv"].conv.weight)
