"""The only functions of the package that change the disk, so that a test can stop at every single one of them."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path


class Disk:
    """The real disk. Every method raises OSError and has then changed nothing that matters."""

    def write(
        self, path: Path, content: bytes, mode: int, like: os.stat_result | None = None, times: bool = False
    ) -> None:
        """A new file, on the platter when this returns; owner and, if asked for, modification time as in `like`."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            if like is not None and (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                # The superuser must not take files away from their owner; others may fail to give them, and nothing depends on it.
                with suppress(PermissionError):
                    os.fchown(handle, like.st_uid, like.st_gid)
            os.fchmod(handle, mode)
            if like is not None and times:
                os.utime(handle, ns=(like.st_atime_ns, like.st_mtime_ns))
            self.flush(handle)

    def flush(self, handle: int) -> None:
        os.fsync(handle)

    def replace(self, source: Path, target: Path) -> None:
        os.replace(source, target)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def mkdir(self, path: Path, mode: int | None = None) -> None:
        """A new folder; `mode` counts as it is, whatever the umask, from the first moment."""
        if mode is None:
            os.mkdir(path)
            return
        umask = os.umask(0)
        try:
            os.mkdir(path, mode)
        finally:
            os.umask(umask)
        if mode & ~0o777:
            os.chmod(path, mode)

    def rmdir(self, path: Path) -> None:
        os.rmdir(path)

    def sync(self, folder: Path) -> None:
        """Make renames, creations and deletions in `folder` last."""
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot, and need not
                raise
        finally:
            os.close(handle)
