"""The file system of a path, found in tables of mounts as kernels write them."""

import os
import subprocess

import pytest

from memtrain.system import file_systems
from memtrain.system.file_systems import FileSystem, file_system_of, find_file_system

WORKSTATION = r"""
22 27 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
23 27 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:2 - sysfs sysfs rw
27 1 259:2 /@ / rw,relatime shared:1 - btrfs /dev/nvme0n1p2 rw,ssd,subvolid=256,subvol=/@
61 27 259:2 /@home /home rw,relatime shared:31 - btrfs /dev/nvme0n1p2 rw,ssd,subvol=/@home
64 61 0:52 / /home/ada/cluster rw,nosuid,nodev shared:33 - fuse.sshfs ada@login:/work rw
70 61 8:1 / /home/ada/My\040Disk\134new rw,relatime shared:40 - ext4 /dev/sda1 rw
71 61 8:17 / /home/ada/usb rw,relatime - fuseblk /dev/sdb1 rw,user_id=0,allow_other,blksize=4096
80 27 0:60 / /net rw,relatime shared:50 - autofs /etc/auto.net rw,fd=7,pgrp=1,timeout=300
81 80 0:61 / /net rw,relatime shared:51 - nfs filer:/export rw,vers=3,rsize=65536
"""

COMPUTE_NODE = r"""
20 1 0:19 / / rw,relatime - tmpfs rootfs rw,size=1048576k
30 20 0:45 /home /home rw,relatime master:7 - nfs4 10.0.0.7:/vol/home rw,vers=4.2,rsize=1048576,hard
31 20 1077:88 / /lustre/scratch rw,nosuid shared:9 master:3 - lustre 10.1.0.1@o2ib:/scratch rw,flock
32 20 259:1 / /local rw,noatime - xfs /dev/nvme0n1p1 rw,attr2,inode64
33 31 1077:88 /project/x /home/project rw - lustre 10.1.0.1@o2ib:/scratch rw,flock
34 32 259:1 /spool /lustre/scratch/fast rw,noatime - xfs /dev/nvme0n1p1 rw
"""

CONTAINER = r"""
594 513 0:95 / / rw master:246 - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/d,workdir=/w
595 594 0:98 / /proc rw,nosuid - proc proc rw
610 594 253:1 /srv/data /data ro,relatime - ext4 /dev/vda1 rw,discard
611 594 0:77 / /weka rw - wekafs fs01/shared rw
612 594 0:78 / /objects rw - fuse s3 rw
613 594 0:79 / /shared rw - virtiofs  rw
"""


@pytest.mark.parametrize(
    ("table", "path", "kind", "mount_point", "is_network"),
    [
        (WORKSTATION, "/srv/rows.npy", "btrfs", "/", False),
        (WORKSTATION, "/home/ada/rows.npy", "btrfs", "/home", False),
        (WORKSTATION, "/home", "btrfs", "/home", False),
        (WORKSTATION, "/homes/rows.npy", "btrfs", "/", False),
        (WORKSTATION, "/home/ada/cluster/rows.npy", "fuse.sshfs", "/home/ada/cluster", True),
        (WORKSTATION, r"/home/ada/My Disk\new/a", "ext4", r"/home/ada/My Disk\new", False),
        (WORKSTATION, "/home/ada/usb/rows.npy", "fuseblk", "/home/ada/usb", False),
        (WORKSTATION, "/net/rows.npy", "nfs", "/net", True),
        (COMPUTE_NODE, "/tmp/rows.npy", "tmpfs", "/", False),
        (COMPUTE_NODE, "/home/ada/rows.npy", "nfs4", "/home", True),
        (COMPUTE_NODE, "/home/project/rows.npy", "lustre", "/home/project", True),
        (COMPUTE_NODE, "/lustre/scratch/rows.npy", "lustre", "/lustre/scratch", True),
        (COMPUTE_NODE, "/lustre/scratch/fast/a", "xfs", "/lustre/scratch/fast", False),
        (CONTAINER, "/home/rows.npy", "overlay", "/", False),
        (CONTAINER, "/data/rows.npy", "ext4", "/data", False),
        (CONTAINER, "/weka/rows.npy", "wekafs", "/weka", True),
        (CONTAINER, "/objects/rows.npy", "fuse", "/objects", True),
        (CONTAINER, "/shared/rows.npy", "virtiofs", "/shared", True),
        ("", "/rows.npy", "unknown", "/", False),
        ("no table\n1 2 3 - ext4", "/rows.npy", "unknown", "/", False),
    ],
)
def test_a_path_is_found_in_a_table(table, path, kind, mount_point, is_network):
    assert find_file_system(path, table) == FileSystem(kind, mount_point, is_network)


KINDS_ACROSS_A_NETWORK = """nfs nfs4 lustre gpfs beegfs ceph cifs smb3 afs 9p glusterfs panfs
    orangefs pvfs2 wekafs fuse fuse.vast"""


@pytest.mark.parametrize("kind", KINDS_ACROSS_A_NETWORK.split())
def test_kinds_across_a_network(kind):
    table = f"1 0 0:1 / / rw,relatime - {kind} source rw"
    assert find_file_system("/rows.npy", table).is_network


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "newfs"])
def test_kinds_of_this_machine(kind):
    table = f"1 0 0:1 / / rw,relatime - {kind} source rw"
    assert find_file_system("/rows.npy", table) == FileSystem(kind, "/", is_network=False)


@pytest.mark.slow
def test_this_machine_agrees_with_df(tmp_path):
    for path in (tmp_path, tmp_path / "not" / "made.yet"):
        found = file_system_of(path)
        command = ["df", "--output=target", tmp_path]
        assert found.mount_point == subprocess.check_output(command, text=True).split()[-1]
        assert found.kind != "unknown"


def test_links_are_followed(tmp_path):
    link = tmp_path / "processes"
    link.symlink_to("/proc")
    assert file_system_of(link / "self") == FileSystem("proc", "/proc", is_network=False)


def test_a_machine_without_a_table_of_mounts(monkeypatch, tmp_path):
    monkeypatch.setattr(file_systems, "_MOUNT_TABLE", tmp_path / "missing")
    assert file_system_of(os.curdir) == FileSystem("unknown", "/", is_network=False)
