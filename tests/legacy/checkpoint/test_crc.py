"""CRCs: zlib's, whoever computes them, and at hand where only the standard library is."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st

from legacy.checkpoint.crc import crc32


@given(st.lists(st.binary(max_size=300)))
def test_in_pieces_it_is_what_zlib_says_of_the_whole(pieces: list[bytes]) -> None:
    crc = 0
    for piece in pieces:
        crc = crc32(memoryview(piece), crc)
    assert crc == zlib.crc32(b"".join(pieces))


def test_without_zlib_ng_the_same_file_is_written(tmp_path: Path) -> None:
    torch.save({"state_dict": {"w": torch.randn(300, 300)}}, tmp_path / "old.ckpt")
    program = """if True:
        import sys
        if sys.argv[2] == "without":
            sys.modules["zlib_ng"] = None
        from pathlib import Path
        from legacy.checkpoint import read, write_ckpt
        checkpoint = read(Path(sys.argv[1], "old.ckpt"))
        write_ckpt(checkpoint, checkpoint.root, Path(sys.argv[1], sys.argv[2]), {}, check=True)
        print(sys.modules["legacy.checkpoint.crc"].crc32.__module__ or "zlib")
    """
    names = [
        subprocess.run(
            [sys.executable, "-c", program, tmp_path, way], check=True, capture_output=True, text=True
        ).stdout.strip()
        for way in ("with", "without")
    ]
    assert names == ["zlib_ng.zlib_ng", "zlib"]
    assert (tmp_path / "with").read_bytes() == (tmp_path / "without").read_bytes()
