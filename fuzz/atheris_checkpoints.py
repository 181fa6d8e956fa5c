"""The same with atheris, which looks for inputs that reach new code: `python -m fuzz.atheris_checkpoints build/corpus` (pip install atheris).

The first run fills an empty folder with sound files to begin with. It goes on until something is found or it is stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris")
    with atheris.instrument_imports(include=["legacy"]):
        from fuzz.checkpoints import FILES, PROGRAM, repacked, survive
    for folder in [Path(argument) for argument in arguments[1:2] if not argument.startswith("-")]:
        folder.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(FILES):
            (folder / f"sound-{number}").write_bytes(data)
        (folder / "program").write_bytes(b"P" + PROGRAM)

    def one(data: bytes) -> None:
        survive(repacked(data[1:]) if data[:1] == b"P" and data[:2] != b"PK" else data)

    atheris.Setup(arguments, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
