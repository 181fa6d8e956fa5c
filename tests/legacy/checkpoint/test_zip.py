"""The zip reader: archives of any torch are read, and those that could be understood in two ways are not."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from legacy.checkpoint import CheckpointError, Damaged, Refused, read, write_ckpt
from legacy.checkpoint import zip_writer as writing
from legacy.checkpoint.zip_reader import content
from tests.legacy.checkpoint.support import same, torch_bytes

VALUE = {"w": torch.arange(100.0), "v": torch.arange(7), "lr": 0.1}


def records(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in parts:
            archive.writestr(name, data)
    return buffer.getvalue()


def repacked(method: int = zipfile.ZIP_STORED, **changed: bytes) -> bytes:
    parts = records(torch_bytes(VALUE))
    return packed(list({**parts, **{f"archive/{name}": data for name, data in changed.items()}}.items()), method)


def check(tmp_path: Path, data: bytes) -> None:
    """Reads, writes again, and compares with what torch loads."""
    (tmp_path / "a").write_bytes(data)
    checkpoint = read(tmp_path / "a")
    write_ckpt(checkpoint, checkpoint.root, tmp_path / "b", {}, check=True)
    made = torch.load(tmp_path / "b", weights_only=True)
    assert same(made, torch.load(tmp_path / "a", weights_only=True))


def entry_at(data: bytes, name: str) -> tuple[int, int]:
    """Where a record's central and local headers begin."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        info = archive.getinfo(name)
        at = archive.start_dir
    while True:
        fields = struct.unpack_from("<4s6H3L5H2L", data, at)
        if data[at + 46 : at + 46 + fields[10]].decode() == name:
            return at, info.header_offset
        at += 46 + fields[10] + fields[11] + fields[12]


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def test_as_torch_writes_it(tmp_path: Path) -> None:
    check(tmp_path, torch_bytes(VALUE))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_as_zipfile_writes_it(tmp_path: Path, method: int) -> None:
    check(tmp_path, repacked(method))


def test_without_the_records_of_newer_torch(tmp_path: Path) -> None:
    parts = records(torch_bytes(VALUE))
    old = {
        name: data
        for name, data in parts.items()
        if not name.rpartition("/")[2].startswith((".", "byteorder", "serial"))
    }
    assert len(old) < len(parts)
    check(tmp_path, packed(list(old.items())))


def test_under_another_top_folder_and_with_entries_for_folders(tmp_path: Path) -> None:
    parts = records(torch_bytes(VALUE))
    moved = [(name.replace("archive/", "épreuve-1/"), data) for name, data in parts.items()]
    check(tmp_path, packed([*moved, ("épreuve-1/data/", b"")]))


def test_with_another_alignment(tmp_path: Path) -> None:
    from torch.utils.serialization import config

    config.save.storage_alignment = 4096
    try:
        check(tmp_path, torch_bytes(VALUE))
    finally:
        config.save.storage_alignment = 64


def test_without_crcs(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        data = torch_bytes(VALUE)
    finally:
        torch.serialization.set_crc32_options(True)
    check(tmp_path, data)
    with zipfile.ZipFile(tmp_path / "b") as archive:
        assert archive.testzip() is None
        assert all(info.CRC for info in archive.infolist())


def test_storages_filled_in_later_have_no_crc_and_get_one(tmp_path: Path) -> None:
    with torch.serialization.skip_data():
        torch.save(VALUE, tmp_path / "a")
    checkpoint = read(tmp_path / "a")
    with open(tmp_path / "a", "r+b") as file:
        file.seek(checkpoint.extents["0"].offset)
        file.write(bytes(VALUE["w"].untyped_storage()))  # type: ignore[attr-defined]
    check(tmp_path, (tmp_path / "a").read_bytes())


def test_big_endian_files_stay_big_endian(tmp_path: Path) -> None:
    data = repacked(byteorder=b"big")
    check(tmp_path, data)
    assert read(tmp_path / "b").byteorder == "big"


def test_zip64_headers_are_read_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_FULL32", 300)
    monkeypatch.setattr(writing, "_FULL16", 3)
    (tmp_path / "a").write_bytes(torch_bytes(VALUE))
    checkpoint = read(tmp_path / "a")
    real = struct.pack

    def pack(form: str, *fields: int | bytes) -> bytes:  # what stands for "see the 64 bits" is full in the file
        marks = {"<5H3LH": (6, 7), "<4H2L": (5,), "<4s4H2LH": (5, 6)}.get(form, ())
        return real(form, *(0xFFFFFFFF if n in marks and value == 300 else value for n, value in enumerate(fields)))

    monkeypatch.setattr(struct, "pack", pack)
    write_ckpt(checkpoint, checkpoint.root, tmp_path / "b", {})
    monkeypatch.undo()
    data = patched((tmp_path / "b").read_bytes(), os.path.getsize(tmp_path / "b") - 14, b"\xff\xff\xff\xff")
    assert b"PK\6\6" in data
    check(tmp_path, data)


def test_more_records_than_16_bits_count(tmp_path: Path) -> None:
    parts = records(torch_bytes(VALUE))
    check(tmp_path, packed([*parts.items(), *((f"archive/extra/{n}", b"") for n in range(66_000))]))


def test_written_archives_are_aligned_sound_and_mappable(tmp_path: Path) -> None:
    check(tmp_path, torch_bytes(VALUE))
    checkpoint = read(tmp_path / "b")
    assert all(extent.offset % 64 == 0 for extent in checkpoint.extents.values())
    with zipfile.ZipFile(tmp_path / "b") as archive:
        assert archive.testzip() is None
    assert same(torch.load(tmp_path / "b", weights_only=True, mmap=True)["lr"], 0.1)
    assert torch.load(tmp_path / "b", weights_only=True, map_location="meta")["w"].is_meta


# Tricks


def overlapping() -> bytes:
    data = torch_bytes(VALUE)
    central, _ = entry_at(data, "archive/data/1")
    _, local = entry_at(data, "archive/data/0")
    name = data.index(b"archive/data/0", local)
    data = patched(data, name, b"archive/data/1")  # both entries of the directory, one local header
    return patched(data, central + 42, struct.pack("<L", local))


def ends_later() -> bytes:
    data = packed(list(records(torch_bytes(VALUE)).items()))
    central, local = entry_at(data, "archive/data/0")
    size = struct.pack("<2L", 4000, 4000)
    return patched(patched(data, central + 20, size), local + 18, size)


def bomb() -> bytes:
    return repacked(zipfile.ZIP_DEFLATED, **{"data.pkl": b"\x80\x02" + b"N0" * 10_000_000 + b"N."})


TRICKS: dict[str, Callable[[], bytes]] = {
    "two records of one name": lambda: repacked(**{"data/7": b"x"}).replace(b"archive/data/7", b"archive/data/0"),
    "two pickles": lambda: packed([*records(torch_bytes(VALUE)).items(), ("other/data.pkl", b"N.")]),
    "up and out": lambda: repacked(**{"../../etc/passwd": b"x"}),
    "absolute": lambda: packed([*records(torch_bytes(VALUE)).items(), ("/etc/passwd", b"x")]),
    "backslash": lambda: repacked().replace(b"archive/version", b"archive\\version"),
    "entries in one place": overlapping,
    "an entry reaching into the next": ends_later,
    "encrypted": lambda: flagged(0x1),
    "patched": lambda: flagged(0x20),
    "strongly encrypted": lambda: flagged(0x40),
    "hidden headers": lambda: flagged(0x2000),
    "another name in the local header": lambda: renamed(),
    "another method in the local header": lambda: (
        lambda d: patched(d, entry_at(d, "archive/data/0")[1] + 8, b"\x08\x00")
    )(repacked()),
    "another size in the local header": lambda: (
        lambda d: patched(d, entry_at(d, "archive/data/0")[1] + 18, b"\x07\x00")
    )(repacked()),
    "another crc in the local header": lambda: (
        lambda d: patched(d, entry_at(d, "archive/data/0")[1] + 14, b"\x07\x07")
    )(repacked()),
    "bzip2": lambda: repacked(zipfile.ZIP_BZIP2),
    "a bomb": bomb,
    "torchscript": lambda: repacked(**{"constants.pkl": b"N."}),
    "a huge directory": lambda: (lambda d: patched(d, len(d) - 14, b"\xff\x7f" * 2))(repacked()),
}


def flagged(bit: int) -> bytes:
    data = repacked()
    central, local = entry_at(data, "archive/data/0")
    flags = struct.pack("<H", bit)
    return patched(patched(data, central + 8, flags), local + 6, flags)


def renamed() -> bytes:
    data = repacked()
    _, local = entry_at(data, "archive/data/0")
    return patched(data, local + 30, b"archive/data/9")


@pytest.mark.parametrize("name", TRICKS)
def test_tricks_are_turned_down(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").write_bytes(TRICKS[name]())
    with pytest.raises(CheckpointError) as error:
        read(tmp_path / "a")
    assert str(error.value).startswith(str(tmp_path / "a"))
    assert type(error.value) is Refused


DAMAGES: dict[str, Callable[[], bytes]] = {
    "a flipped bit in the pickle": lambda: (lambda d: patched(d, d.index(b"lr"), b"lx"))(torch_bytes(VALUE)),
    "a comment": lambda: (lambda d: d[:-2] + b"\x03\x00abc")(repacked()),
    "bytes after the end": lambda: torch_bytes(VALUE) + b"\0",
    "bytes before the start": lambda: b"PK\3\4" + torch_bytes(VALUE),
    "no pickle": lambda: packed([("archive/version", b"3\n")]),
    "bytes after the pickle": lambda: repacked(**{"data.pkl": records(torch_bytes(VALUE))["archive/data.pkl"] + b"N."}),
    "a storage left out": lambda: packed(
        [(n, d) for n, d in records(torch_bytes(VALUE)).items() if n != "archive/data/1"]
    ),
    "a storage cut short": lambda: repacked(**{"data/1": b"abc"}),
    "an unknown byte order": lambda: repacked(byteorder=b"middle"),
    "an empty pickle": lambda: repacked(**{"data.pkl": b""}),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").write_bytes(DAMAGES[name]())
    with pytest.raises(Damaged):
        read(tmp_path / "a")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"])
def test_a_corrupt_storage_is_found_on_the_way_and_leaves_nothing(tmp_path: Path, method: int) -> None:
    data = repacked(method)
    (tmp_path / "a").write_bytes(data)
    extent = read(tmp_path / "a").extents["0"]
    (tmp_path / "a").write_bytes(patched(data, extent.offset + 9, bytes([data[extent.offset + 9] ^ 4])))
    checkpoint = read(tmp_path / "a")
    with pytest.raises(Damaged, match=r"corrupt|inflated|deflated"):
        write_ckpt(checkpoint, checkpoint.root, tmp_path / "b", {}, check=True)
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("at", [0, 131_072, 399_999], ids=["first byte", "second block", "last byte"])
def test_a_long_storage_is_checked_to_its_last_byte(tmp_path: Path, at: int) -> None:
    torch.save({"w": torch.zeros(7), "long": torch.ones(100_000)}, tmp_path / "a")
    write_ckpt(read(tmp_path / "a"), read(tmp_path / "a").root, tmp_path / "sound", {}, check=True)
    assert torch.load(tmp_path / "sound", weights_only=True)["long"].eq(1).all()
    (tmp_path / "sound").unlink()
    data = (tmp_path / "a").read_bytes()
    at += read(tmp_path / "a").extents["1"].offset
    (tmp_path / "a").write_bytes(patched(data, at, bytes([data[at] ^ 4])))
    checkpoint = read(tmp_path / "a")
    with pytest.raises(Damaged, match="corrupt: their CRC is"):
        write_ckpt(checkpoint, checkpoint.root, tmp_path / "b", {}, check=True)
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("count, refused", [(16_000_000, False), (18_000_000, True)])
def test_an_archive_that_inflates_out_of_all_measure_is_refused(tmp_path: Path, count: int, refused: bool) -> None:
    data = packed(list(records(torch_bytes({"w": torch.zeros(count)})).items()), zipfile.ZIP_DEFLATED)
    assert len(data) < 100_000
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(Refused, match="would inflate to") if refused else contextlib.nullcontext():
        read(tmp_path / "a")


def test_an_unchecked_copy_keeps_the_crc_and_so_the_evidence(tmp_path: Path) -> None:
    data = torch_bytes(VALUE)
    (tmp_path / "a").write_bytes(data)
    at = read(tmp_path / "a").extents["0"].offset
    (tmp_path / "a").write_bytes(patched(data, at, b"\xff"))
    checkpoint = read(tmp_path / "a")
    write_ckpt(checkpoint, checkpoint.root, tmp_path / "b", {})
    with zipfile.ZipFile(tmp_path / "b") as archive:
        assert archive.testzip() == "archive/data/0"


def test_a_deflated_record_is_read_from_any_byte(tmp_path: Path) -> None:
    value = {"w": torch.arange(1_000_000, dtype=torch.int32)}
    plain = value["w"].numpy().tobytes()
    (tmp_path / "a").write_bytes(packed(list(records(torch_bytes(value)).items()), zipfile.ZIP_DEFLATED))
    checkpoint = read(tmp_path / "a")
    with checkpoint.source.open() as descriptor:
        for skip in (0, 1, 1 << 20, (1 << 20) + 1, len(plain) - 1):
            assert b"".join(content(descriptor, checkpoint.extents["0"], skip)) == plain[skip:]
    assert zlib.crc32(plain) == checkpoint.extents["0"].crc
