"""The index of shards: against webdataset's own reader, and what it refuses."""

import io
import shutil
import tarfile

import pytest
from webdataset.tariterators import group_by_keys, tar_file_iterator

from incarnate.priors.train.shards import Shards, place

SUFFIXES = ("normal.png", "alpha.png", "json")


def test_samples_hold_what_webdataset_reads(data):
    shards = Shards.of(data, SUFFIXES)
    theirs = []
    for path in sorted(data.glob("*.tar")):
        with path.open("rb") as file:
            theirs += group_by_keys({**f, "__url__": ""} for f in tar_file_iterator(file))
    assert len(shards) == len(theirs) == 6
    for i, sample in enumerate(theirs):
        assert shards.rows[i].key == sample["__key__"]
        assert shards.files(i) == {suffix: sample[suffix] for suffix in SUFFIXES}


def test_every_epoch_holds_every_sample_once_in_an_order_of_its_own():
    count = 50
    epochs = [[place(3, e * count + i, count) for i in range(count)] for e in range(4)]
    for order in epochs:
        assert sorted(order) == list(range(count))
    assert len({tuple(order) for order in epochs}) == 4
    assert [place(4, i, count) for i in range(count)] != epochs[0]


def test_joint_names_come_from_the_listing(data, tmp_path):
    assert Shards.of(data, ("json",), named_joints=True).joints[1] == "left_hip"
    for path in data.glob("*.tar"):
        shutil.copy(path, tmp_path)
    assert Shards.of(tmp_path, ("json",)).joints == ()
    with pytest.raises(ValueError, match="studio.json does not list the names"):
        Shards.of(tmp_path, ("json",), named_joints=True)


def test_other_samples_have_another_fingerprint(data, tmp_path):
    shutil.copy(next(data.glob("*.tar")), tmp_path)
    some, every = Shards.of(tmp_path, ("json",)), Shards.of(data, ("json",))
    assert some.fingerprint() != every.fingerprint()
    assert every.fingerprint() == Shards.of(data, ("json",)).fingerprint()


def test_a_folder_without_shards_says_how_to_make_some(tmp_path):
    with pytest.raises(ValueError, match="holds no shards.*incarnate studio"):
        Shards.of(tmp_path, SUFFIXES)


def test_a_sample_without_a_file_is_named(tmp_path):
    with tarfile.open(tmp_path / "mine.tar", "w") as tar:
        for name in ("a.normal.png", "a.alpha.png", "a.json", "b.json"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(ValueError, match="sample b of .*mine.tar lacks b.normal.png"):
        Shards.of(tmp_path, SUFFIXES)


def test_what_is_no_tar_is_refused(tmp_path):
    (tmp_path / "bad.tar").write_bytes(b"no tar at all" * 99)
    with pytest.raises(ValueError, match="bad.tar cannot be read as a shard"):
        Shards.of(tmp_path, SUFFIXES)
