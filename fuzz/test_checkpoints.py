"""Old checkpoints with bytes changed, cut and put in: a clear refusal or a whole file, and never anything else.

`FUZZ_EXAMPLES` says how many of each; the test suite runs this file too, with 2,000 in all.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fuzz.checkpoints import FILES, PROGRAM, ZIP, repacked, survive

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "500"))
fuzzed = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def mutated(draw: st.DrawFn, base: bytes) -> bytes:
    """Up to four bits flipped, bytes set, cut out, put in or put twice, or all from some byte on gone."""
    data = bytearray(base)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.integers(0, 4)):
            case 0 if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case 1 if data:
                data[at] = draw(st.integers(0, 255))
            case 2:
                del data[at:]
            case 3:
                del data[at : at + draw(st.integers(1, 20))]
            case _:
                data[at:at] = draw(st.binary(max_size=12) | st.just(bytes(data[at : at + 30])))
    return bytes(data)


def test_what_is_sound_survives() -> None:
    assert survive(ZIP) and survive(FILES[1]) and survive(repacked(PROGRAM)) and all(map(survive, FILES))


@given(st.sampled_from(FILES).flatmap(mutated))
@fuzzed
def test_files(data: bytes) -> None:
    survive(data)


@given(mutated(PROGRAM))
@fuzzed
def test_pickles_in_a_sound_archive(program: bytes) -> None:
    survive(repacked(program))


@given(st.sampled_from(FILES[3:]).flatmap(mutated) | st.binary(max_size=60))
@example(b"")
@example(b".")
@fuzzed
def test_bare_pickles(data: bytes) -> None:
    survive(data)


@given(st.integers(0, len(ZIP) - 1), st.integers(0, 7))
@fuzzed
def test_one_bit(at: int, bit: int) -> None:
    """Wherever it is, in a tensor too, it is seen, or it does not matter."""
    data = bytearray(ZIP)
    data[at] ^= 1 << bit
    survive(bytes(data))
