from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.visioncore.training.support import NAMES, old_trainer, session, write_configs
from visioncore.training.curriculum import CHUNK, contrast_scores, frame_contrast

SESSIONS = {name: session(name, cells) for name, cells in NAMES.items()}


def test_contrast_is_a_frames_standard_deviation() -> None:
    stimulus = SESSIONS["Allen_2022-02-16"].stimulus
    by_hand = [frame.double().numpy().std(ddof=1) for frame in stimulus]
    assert frame_contrast(stimulus).tolist() == pytest.approx(by_hand, rel=1e-5)


def test_in_chunks() -> None:
    stimulus = torch.randint(0, 256, (CHUNK + 3, 1, 2, 2), dtype=torch.uint8)
    assert np.array_equal(frame_contrast(stimulus)[-3:], frame_contrast(stimulus[-3:]))


def test_q10_a_sample_has_the_score_of_its_frame() -> None:
    scores = contrast_scores(SESSIONS)
    for name, part in SESSIONS.items():
        assert len(scores[name]) == len(part)
        ratio = scores[name] / frame_contrast(part.stimulus)[part.frames]
        assert ratio.tolist() == pytest.approx([ratio[0]] * len(part))
    raw = np.concatenate([frame_contrast(part.stimulus) for part in SESSIONS.values()])
    assert 1 / ratio[0] == pytest.approx(np.median(raw))


def test_q10_the_old_scores_are_of_the_raw_frames(tmp_path: object) -> None:
    scores = contrast_scores(SESSIONS, by_raw_frame=True)
    assert all(len(scores[name]) == len(part.stimulus) > len(part) for name, part in SESSIONS.items())


def test_same_bits_as_the_old_data_module(tmp_path_factory: pytest.TempPathFactory) -> None:
    paths = write_configs(tmp_path_factory.mktemp("configs"))
    with old_trainer() as old:
        data = old.MultiDatasetDM(paths[1], 30, 8, 0, 5, enable_curriculum=True)
        data.setup()
    scores = contrast_scores(SESSIONS, by_raw_frame=True)
    assert all(np.array_equal(scores[name], data.contrast_scores[name]) for name in NAMES)


def test_a_blank_stimulus() -> None:
    blank = session("Allen_2022-02-16", 4)
    blank.stimulus = torch.zeros_like(blank.stimulus)
    assert contrast_scores({"a": blank})["a"].tolist() == [0.0] * len(blank)
