import errno
import os
import subprocess
import sys

import pytest

from memsync_client.errors import StorageFull, StorageReadOnly, StorageUnavailable
from memsync_client.files import clear_temporaries, make_dir, storage_error, write_atomic


def test_write_atomic__replaces_with_the_mode_whatever_the_umask(tmp_path):
    before = os.umask(0o777)
    try:
        write_atomic(tmp_path / "file", b"one", 0o640)
        write_atomic(tmp_path / "file", b"two")
    finally:
        os.umask(before)
    assert (tmp_path / "file").read_bytes() == b"two"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["file"]


def test_write_atomic__disk_full__old_file_stays_and_nothing_is_left_behind(tmp_path):
    write_atomic(tmp_path / "file", b"old")
    # A process's limit on the size of its files acts as a full disk does: in the middle of the file.
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from memsync_client.files import write_atomic\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: write_atomic(Path(sys.argv[1]), bytes(2**20))\n"
        "except Exception as error: print(type(error).__name__)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "StorageFull\n"
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_write_atomic__target_is_a_folder__error_and_nothing_is_left_behind(tmp_path):
    (tmp_path / "file").mkdir()
    with pytest.raises(StorageUnavailable):
        write_atomic(tmp_path / "file", b"data")
    assert os.listdir(tmp_path) == ["file"]


def test_write_atomic__folder_missing__storage_unavailable(tmp_path):
    with pytest.raises(StorageUnavailable, match="No such file"):
        write_atomic(tmp_path / "missing" / "file", b"data")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EROFS, StorageReadOnly),
        (errno.EACCES, StorageReadOnly),
        (errno.EPERM, StorageReadOnly),
        (errno.EIO, StorageUnavailable),
    ],
)
def test_storage_error__by_errno(tmp_path, number, kind):
    error = storage_error(OSError(number, "said"), tmp_path)
    assert type(error) is kind
    assert error.next_step


def test_make_dir__makes_all_with_the_mode_and_leaves_what_is_there(tmp_path):
    tmp_path.chmod(0o755)
    make_dir(tmp_path / "a" / "b")
    make_dir(tmp_path / "a" / "b")
    assert [path.stat().st_mode & 0o777 for path in (tmp_path, tmp_path / "a", tmp_path / "a" / "b")] == [
        0o755,
        0o700,
        0o700,
    ]


def test_make_dir__a_file_is_in_the_way__storage_unavailable(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageUnavailable):
        make_dir(tmp_path / "file" / "folder")


def test_clear_temporaries__old_ones_of_killed_writers_go__all_else_stays(tmp_path):
    for name in (".file.01ab.tmp", ".new.02cd.tmp", ".hidden", "file.tmp"):
        (tmp_path / name).write_bytes(b"half")
        if name != ".new.02cd.tmp":
            os.utime(tmp_path / name, (0, 0))
    clear_temporaries(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".hidden", ".new.02cd.tmp", "file.tmp"]
    clear_temporaries(tmp_path, {"new"})
    assert sorted(os.listdir(tmp_path)) == [".hidden", "file.tmp"]
    clear_temporaries(tmp_path / "none")
