"""Names without what wrappers put into them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from legacy.checkpoint.rules.prefixes import COMPILED, unwrapped

PARTS = st.sampled_from([COMPILED, "model", "core", "0", f"x{COMPILED}", f"{COMPILED}2", ""])


@given(st.lists(PARTS, max_size=6), PARTS)
def test_every_part_that_torch_compile_put_there_goes_but_a_weights_own_name_stays(path: list[str], own: str) -> None:
    assert unwrapped(".".join([*path, own])) == ".".join([*(part for part in path if part != COMPILED), own])
