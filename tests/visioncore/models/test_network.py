"""Whole networks: every type runs, learns, and is the same from the same seed."""

import copy
import io
import warnings

import pytest
import torch

from tests.visioncore.models.configs import EVERY_TYPE, LAGS, SIZE, behavior, model, session, stimulus
from visioncore.models import MultiDatasetV1Model, V1Model, build_model

SESSIONS = [session(3), session(4)]


@pytest.mark.parametrize(("stage", "kind"), EVERY_TYPE)
def test_every_type_gives_one_rate_a_cell(stage, kind):
    network = build_model(model(**{stage: kind}), SESSIONS)
    for index, cells in enumerate((3, 4)):
        rates = network(stimulus(), index, behavior())
        assert rates.shape == (2, cells)
        assert (rates > 0).all()


@pytest.mark.parametrize(("stage", "kind"), EVERY_TYPE)
def test_every_learnt_parameter_gets_a_gradient(stage, kind):
    network = build_model(model(**{stage: kind}), [session(3)])
    if stage == "modulator" and kind == "film":  # its two layers start at zero, and hide the encoder in the first step
        torch.nn.init.ones_(network.modulator.scale_layer.weight)
    network(stimulus(), 0, behavior()).square().sum().backward()
    without = [
        name for name, p in network.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    # a round ellipse can be turned without effect
    assert without == [name for name in without if name.endswith("theta")]


@pytest.mark.parametrize(("stage", "kind"), EVERY_TYPE)
def test_one_model_of_one_session_has_the_singular_names(stage, kind):
    network = build_model(model("v1", **{stage: kind}))
    assert isinstance(network, V1Model)
    assert network(stimulus(), behavior()).shape == (2, 16)
    assert not [name for name in network.state_dict() if name.startswith(("adapters", "readouts"))]


def test_a_single_model_takes_its_cells_from_the_session_if_there_is_one():
    assert build_model(model("v1"), [session(5)])(stimulus()).shape == (2, 5)


def test_the_same_seed_gives_the_same_bits_and_leaves_the_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second = (build_model(model(), SESSIONS, seed=7).state_dict() for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = build_model(model(), SESSIONS, seed=8).state_dict()
    assert not torch.equal(
        first["convnet.layers.0.components.conv.conv.weight"], other["convnet.layers.0.components.conv.conv.weight"]
    )


def test_without_a_seed_the_callers_generator_decides():
    def weights():
        torch.manual_seed(3)
        return build_model(model(), SESSIONS).state_dict()

    first, second = weights(), weights()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_core_of_a_seed_is_the_same_for_any_number_of_sessions():
    one, two = (build_model(model(), sessions, seed=1) for sessions in (SESSIONS[:1], SESSIONS))
    for name, weight in one.convnet.state_dict().items():
        assert torch.equal(weight, two.convnet.state_dict()[name])


def test_sessions_share_the_core_and_nothing_else():
    network = build_model(model(), SESSIONS, seed=0)
    before = network(stimulus(), 0)
    with torch.no_grad():
        network.readouts[1].bias += 1
        network.adapters[1].log_sigma += 1
    assert torch.equal(network(stimulus(), 0), before)
    with torch.no_grad():
        network.frontend.temporal_conv.weight *= 2
    assert not torch.equal(network(stimulus(), 0), before)


def test_a_session_may_have_its_own_adapter_and_readout():
    own = session(4, adapter={"type": "adapter", "params": {"grid_size": 11}}, readout={"type": "linear"})
    network = build_model(model(), [session(3), own])
    assert network.adapters[0].grid_size == 9
    assert network.adapters[1].grid_size == 11
    assert type(network.readouts[1]).__name__ == "LinearReadout"
    assert network(stimulus(), 1).shape == (2, 4)


def test_what_the_trainer_looks_up_is_there():
    network = build_model(model(output_activation="none"), SESSIONS)
    assert isinstance(network.activation, torch.nn.Identity)
    assert network.modulator is None
    assert "PredictiveCoding" in type(build_model(model(modulator="pc"), SESSIONS).modulator).__name__


@pytest.mark.parametrize(("activation", "added"), [("relu", 0.25), ("softplus", 0.25)])
def test_a_baseline_is_added_to_the_rates(activation, added):
    config = model(baseline={"enabled": True, "activation": activation, "init_value": added})
    network, plain = build_model(config, SESSIONS, seed=0), build_model(model(), SESSIONS, seed=0)
    expected = added if activation == "relu" else torch.tensor(added).exp().log1p().item()
    assert [tuple(p.shape) for p in network.baselines] == [(3,), (4,)]
    torch.testing.assert_close(network(stimulus(), 1) - plain(stimulus(), 1), torch.full((2, 4), expected))


def test_the_current_frame_is_the_last_one_inside():
    """A readout right behind the stimulus looks at lag 0, the current frame, which comes first in the batch."""
    network = build_model(model(frontend="none", convnet="none", output_activation="none"), SESSIONS)
    x, other = stimulus(), stimulus(seed=1)
    changed = x.clone()
    changed[:, :, 1:] = other[:, :, 1:]
    assert torch.equal(network(x, 0), network(changed, 0))
    changed[:, :, 0] = other[:, :, 0]
    assert not torch.equal(network(x, 0), network(changed, 0))


def test_the_old_lag_order_looks_at_the_oldest_frame():
    config = model(frontend="none", convnet="none", output_activation="none", compat={"lag_order": True})
    network = build_model(config, SESSIONS)
    x = stimulus()
    changed = x.clone()
    changed[:, :, :-1] = 0
    assert torch.equal(network(x, 0), network(changed, 0))


@pytest.mark.parametrize("modulator", ["concat", "film", "convgru"])
def test_a_modulator_alone_needs_no_stimulus(modulator):
    network = build_model(model(adapter="none", frontend="none", convnet="none", modulator=modulator), SESSIONS)
    rates = network(None, 1, behavior())
    assert rates.shape == (2, 4)
    assert torch.equal(rates, network(stimulus(), 1, behavior())), "the stimulus is not looked at"


def test_a_batch_without_stimulus_or_behavior_is_told():
    with pytest.raises(ValueError, match="look at the stimulus, and the batch has none"):
        build_model(model(), SESSIONS)(None, 0)
    with pytest.raises(ValueError, match=r"modulator \(ConcatModulator\), and the batch has no behavior"):
        build_model(model(modulator="concat"), SESSIONS)(stimulus(), 0)


def test_film_is_passed_over_where_there_is_no_behavior():
    network, plain = build_model(model(modulator="film"), SESSIONS), build_model(model(), SESSIONS)
    plain.load_state_dict(
        {name: value for name, value in network.state_dict().items() if not name.startswith("modulator")}
    )
    assert torch.equal(network(stimulus(), 0), plain(stimulus(), 0))


@pytest.mark.parametrize(("stage", "kind"), EVERY_TYPE)
def test_weights_go_through_a_file(stage, kind):
    config = model(**{stage: kind}, baseline={"enabled": True})
    first, second = (build_model(config, SESSIONS, seed=seed).eval() for seed in (0, 1))
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(first(stimulus(), 1, behavior()), second(stimulus(), 1, behavior()))


def test_weights_of_the_old_package_warn_unless_the_network_is_like_the_old():
    weights = build_model(model(), SESSIONS).state_dict()
    weights._metadata[""]["version"] = 1
    with pytest.warns(UserWarning, match="lags backwards.*compat: all"):
        build_model(model(), SESSIONS).load_state_dict(weights)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_model(model(compat="all"), SESSIONS).load_state_dict(weights)


def test_a_network_can_be_copied_and_moved():
    network = build_model(model(convnet="resnet", modulator="pc", recurrent="none"), SESSIONS)
    twin = copy.deepcopy(network).double()
    assert isinstance(twin, MultiDatasetV1Model)
    rates = twin(stimulus().double(), 0, behavior().double())
    torch.testing.assert_close(rates.float(), network(stimulus(), 0, behavior()))


def test_lags_and_size_are_free_where_no_stage_fixes_them():
    network = build_model(model(), SESSIONS)
    assert network(torch.randn(1, 1, LAGS + 5, SIZE + 8, SIZE), 0).shape == (1, 3)


def test_a_few_steps_learn_a_known_cell():
    """A cell that follows one pixel of the current frame: the loss falls far below that of the mean."""
    config = model(frontend="none", convnet="none", adapter="adapter", output_activation="none")
    config["adapter"]["params"] = {"grid_size": SIZE, "init_sigma": 0.3}
    config["readout"]["params"] = {"initial_std": 1.0}
    network = build_model(config, [session(1)], seed=0)
    x = stimulus(64)
    y = x[:, 0, 0, 6, 7, None]
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(150):
        loss = (network(x, 0) - y).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.2 * y.var()
