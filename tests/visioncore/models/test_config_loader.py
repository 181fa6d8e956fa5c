from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from visioncore.models import load_dataset_configs
from visioncore.models.config_loader import _read_yaml


def test_a_key_that_is_there_twice_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("cids: [0]\nkeys_lags: {robs: 0, robs: 1}\ncids: [1]\n")
    with pytest.warns(UserWarning) as told:
        (config,) = load_dataset_configs(["a.yaml"], tmp_path)
    assert config["cids"] == [1]
    assert {str(each.message).rpartition(": ")[2] for each in told} == {
        "key 'robs' is there twice, and the last one counts",
        "key 'cids' is there twice, and the last one counts",
    }
    assert all("a.yaml: line " in str(each.message) for each in told)


def test_anchors_merges_and_equal_keys_of_different_blocks_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: &a {x: 1, self: [1]}\nb: {<<: *a, x: 2}\nc: [*a, *a]\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _read_yaml(tmp_path / "a.yaml")["b"] == {"x": 2, "self": [1]}
