"""Bytes on disk: a source that must not change while it is read, copies from file to file, a destination whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from legacy.checkpoint.crc import crc32
from legacy.checkpoint.errors import CheckpointError, Damaged

# Fits a core's own cache: with a mebibyte, copying and hashing side by side take half as long again.
CHUNK: Final = 1 << 17
_PAGE: Final = 1 << 12
_AHEAD: Final = 1 << 25
_SMALL: Final = 1 << 16  # gathered with what lies beside it
_NO_RANGES: Final = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF, errno.ETXTBSY}

Identity: TypeAlias = tuple[int, int]  # device and inode: the same under every name, link and spelling


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it was when it was first opened."""

    path: Path
    size: int
    mtime_ns: int
    identity: Identity

    @contextlib.contextmanager
    def open(self) -> Iterator[int]:
        """A descriptor to read from. Raises `Damaged` where the file is no longer the one that was read, at the end as well."""
        with opened(self.path) as (descriptor, now):
            if now != self:
                raise Damaged(f"{self.path} was changed after it was read: read it again")
            yield descriptor
            after = os.fstat(descriptor)
            if (after.st_size, after.st_mtime_ns) != (self.size, self.mtime_ns):
                raise Damaged(f"{self.path} is being written to: read it again once that is done")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[int, Source]]:
    """A descriptor and what identifies the file. Raises `Damaged` where there is no regular file to read."""
    try:
        descriptor = os.open(
            path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_BINARY", 0)
        )  # a pipe must not hold us up
    except OSError as error:
        raise Damaged(f"{path} cannot be read: {error.strerror}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise Damaged(f"{path} is not a file: a checkpoint is expected")
        yield (
            descriptor,
            Source(Path(os.path.abspath(path)), found.st_size, found.st_mtime_ns, (found.st_dev, found.st_ino)),
        )
    finally:
        os.close(descriptor)


def read_at(descriptor: int, offset: int, count: int) -> bytes:
    """Exactly `count` bytes. Raises `Damaged` where the file ends before."""
    data = os.pread(descriptor, count, offset)
    while len(data) < count:  # the system gives at most 2 GiB at a time
        more = os.pread(descriptor, count - len(data), offset + len(data))
        if not more:
            raise Damaged(
                f"the file ends at byte {offset + len(data):,}, where {count - len(data):,} more bytes should follow"
            )
        data += more
    return data


def blocks(descriptor: int, offset: int, count: int) -> Iterator[bytes]:
    """The same in pieces of up to `CHUNK`."""
    end = offset + count
    while offset < end:
        piece = read_at(descriptor, offset, min(CHUNK, end - offset))
        offset += len(piece)
        yield piece


class Window:
    """Small pieces of a file, of which the next mostly lies behind the last: several are read at a time."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._start, self._held = 0, b""

    def read(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes. Raises `Damaged` where the file ends before."""
        at = offset - self._start
        if at < 0 or at + count > len(self._held):
            self._held = os.pread(self.descriptor, max(count, _PAGE), offset)
            self._start, at = offset, 0
            if len(self._held) < count:
                return read_at(self.descriptor, offset, count)
        return self._held[at : at + count]


class Destination:
    """A file being written under a temporary name: small things are gathered, what is copied goes through one buffer, or not at all."""

    def __init__(self, descriptor: int, synced: bool = True) -> None:
        self._descriptor = descriptor
        self._synced = synced
        self._gathered = bytearray()
        self._written = 0
        self._begun = 0  # up to where the disk was told to write
        self._buffer = memoryview(bytearray())
        self._window = Window(-1)
        # On a disk of this machine a buffer is faster; elsewhere (a server's disk, copy-on-write) the system may copy by itself.
        self._ranges = hasattr(os, "copy_file_range") and os.major(os.fstat(descriptor).st_dev) == 0

    @property
    def position(self) -> int:
        return self._written + len(self._gathered)

    def write(self, data: bytes | bytearray) -> None:
        if len(data) >= CHUNK:
            self.flush()
            self._put(memoryview(data))
            return
        self._gathered += data
        if len(self._gathered) >= CHUNK:
            self.flush()

    def flush(self) -> None:
        self._put(memoryview(self._gathered))
        self._gathered = bytearray()

    def settle(self) -> None:
        """What was given so far is on the disk when this returns, if it is to be: little is left for the end."""
        self.flush()
        if self._synced:
            getattr(os, "fdatasync", os.fsync)(self._descriptor)

    def rewrite(self, offset: int, data: bytes) -> None:
        """Replaces bytes already given."""
        self.flush()
        os.pwrite(self._descriptor, data, offset)

    def copy(self, source: int, offset: int, count: int) -> None:
        """Bytes of another file, not looked at where the system can copy them by itself."""
        if count < _SMALL:
            self.write(self._small(source, offset, count))
            return
        if self._ranges and count >= CHUNK // 4:
            self.flush()
            copied = self._copy_ranges(source, offset, count)
            offset, count = offset + copied, count - copied
        for _ in self._copied(source, offset, count):
            pass

    def copy_checked(self, source: int, offset: int, count: int) -> int:
        """The same, with every byte looked at; returns their CRC-32."""
        crc = 0
        for piece in self._copied(source, offset, count):
            crc = crc32(piece, crc)
        return crc

    def _copied(self, source: int, offset: int, count: int) -> Iterator[bytes | memoryview]:
        """Each piece once it is written; valid until the next."""
        if count < _SMALL:
            data = self._small(source, offset, count)
            self.write(data)
            yield data
            return
        self.flush()
        if not self._buffer:
            self._buffer = memoryview(bytearray(CHUNK))
        end = offset + count
        while offset < end:
            room = CHUNK - self._written % _PAGE  # whole pages are written in four fifths of the time
            got = os.preadv(source, [self._buffer[: min(room, end - offset)]], offset)
            if not got:
                raise Damaged(f"the file ends at byte {offset:,}, where {end - offset:,} more bytes should follow")
            self._put(self._buffer[:got])
            yield self._buffer[:got]
            offset += got

    def _small(self, source: int, offset: int, count: int) -> bytes:
        if self._window.descriptor != source:
            self._window = Window(source)
        return self._window.read(offset, count)

    def _put(self, data: memoryview) -> None:
        self._written += len(data)
        while data:
            data = data[os.write(self._descriptor, data) :]
        if self._synced and self._written - self._begun >= _AHEAD and hasattr(os, "posix_fadvise"):
            # The disk begins to write what will not be needed again, so that at the end there is less to wait for.
            os.posix_fadvise(self._descriptor, self._begun, self._written - self._begun, os.POSIX_FADV_DONTNEED)
            self._begun = self._written

    def _copy_ranges(self, source: int, offset: int, count: int) -> int:
        done = 0
        while done < count:
            try:
                step = os.copy_file_range(source, self._descriptor, count - done, offset + done)
            except OSError as error:
                if error.errno not in _NO_RANGES:
                    raise
                self._ranges = False
                break
            if step == 0:
                break
            done += step
        self._written += done
        return done


def identity(path: Path) -> Identity | None:
    """The file or folder that the name leads to, however it is spelt; None where there is none."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be looked at: {error.strerror}") from None
    return found.st_dev, found.st_ino


def check_replaceable(path: Path, source: Source, spared: Collection[Identity] = ()) -> None:
    """Raises `CheckpointError` where `path` is the source, is or lies in what is `spared`, or is no file."""
    found = identity(path)
    if found == source.identity:
        raise CheckpointError(f"{path} is the checkpoint that is read: give another name to write to")
    if found in spared or identity(path.parent) in spared:
        raise CheckpointError(f"{path} is among the checkpoints that are read: give another folder to write to")
    if found and not path.is_file():
        raise CheckpointError(f"{path} is there and is not a file: give another name to write to")


@contextlib.contextmanager
def destination(
    path: Path, source: Source, spared: Collection[Identity] = (), synced: bool = True
) -> Iterator[Destination]:
    """A file that appears under `path` when the block ends well, with the source's times, and otherwise never.

    Where it is not `synced`, only a crash of the system itself can leave less: what `cp` promises, and as fast.
    Raises `CheckpointError` where `path` is the source itself, is or lies in what is `spared`, or cannot be written.
    """
    check_replaceable(path, source, spared)
    partial = path.with_name(f".{path.name[:100]}.{os.urandom(4).hex()}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {error.strerror}") from None
    try:
        try:
            made = Destination(descriptor, synced)
            yield made
            made.flush()
            if synced:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.utime(partial, ns=(source.mtime_ns, source.mtime_ns))
        check_replaceable(path, source, spared)  # again: what has been put there since is a source no less
        os.replace(partial, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        if isinstance(error, OSError):
            raise CheckpointError(f"{path} could not be written: {error.strerror}") from error
        raise
    if synced:
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """So that the new name, too, survives a power cut; not every file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
