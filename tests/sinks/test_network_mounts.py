"""Mounts whose locks stay on this machine, by lines as Linux writes them."""

from pathlib import Path

import pytest

from scraper.model.errors import DestinationError
from scraper.model.shards import Shard
from scraper.sinks import network_mounts
from scraper.sinks.directory.sink import DirectorySink
from scraper.sinks.network_mounts import local_lock, local_lock_by
from scraper.sinks.shard_lock import hold_shard

ROOT = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw"
NFS = "90 22 0:51 / /data rw,relatime shared:9 - nfs4 nas:/data rw,vers=4.2,local_lock={}"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (NFS.format("none"), ""),
        (NFS.format("flock"), "nfs4 with local_lock=flock"),
        (NFS.format("all"), "nfs4 with local_lock=all"),
        ("9 22 0:5 / /data rw - nfs nas:/d rw,vers=3,nolock,local_lock=none", "nfs with nolock"),
        ("9 22 0:5 / /data rw - cifs //nas/d rw,vers=3.1.1", ""),
        ("9 22 0:5 / /data rw - cifs //nas/d rw,nobrl", "cifs with nobrl"),
        ("9 22 0:5 / /data rw - lustre mgs@tcp:/l rw,flock", ""),
        ("9 22 0:5 / /data rw - lustre mgs@tcp:/l rw,localflock", "lustre with localflock"),
        ("9 22 0:5 / /data rw - fuse.sshfs me@host:/d rw,user_id=0", "fuse.sshfs"),
        ("9 22 0:5 / /data rw - tmpfs none rw", ""),
        ("what is no line", ""),
    ],
)
def test_by_kind_and_options(line: str, why: str) -> None:
    mounts = f"{ROOT}\n{line}\n"
    assert local_lock_by(mounts, "/data/out") == local_lock_by(mounts, "/data") == why
    assert local_lock_by(mounts, "/database") == ""


def test_the_innermost_and_latest_mount_counts() -> None:
    inner = r"91 90 0:7 / /data/a\040b rw - ext4 /dev/sdb rw"
    mounts = f"{ROOT}\n{inner}\n{NFS.format('all')}\n"
    assert local_lock_by(mounts, "/data/a b/out") == ""
    assert local_lock_by(mounts, "/data/a") != ""
    over = "92 22 0:8 / /data rw - xfs /dev/sdc rw"
    assert local_lock_by(f"{mounts}{over}\n", "/data/a") == ""


def test_this_machine_can_be_looked_at(tmp_path: Path) -> None:
    assert local_lock(tmp_path) == ""


def test_shards_refuse_such_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(f"{ROOT}\n{NFS.format('flock').replace('/data rw', f'{tmp_path} rw')}\n")
    monkeypatch.setattr(network_mounts, "MOUNTS", table)
    sink = DirectorySink(tmp_path / "out")
    sink.check()
    with pytest.raises(DestinationError, match="nfs4 with local_lock=flock"):
        hold_shard(sink, str(tmp_path / "out"), Shard(0, 2), "fail", lambda _: None)
    assert not (tmp_path / "out/.scraper/plans").exists()
