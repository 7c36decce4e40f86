import json
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from incarnate.io.container import CAPS, SCHEMA, Meta, migrated, pack, unpack

PNG = b"\x89PNG\r\n\x1a\n"
TENSORS = {"means": torch.arange(6.0).reshape(2, 3), "faces": torch.arange(3)[None]}

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
jsons = st.recursive(
    scalars | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc"), inner, max_size=3),
    max_leaves=8,
)
dtypes = st.sampled_from([torch.float32, torch.float16, torch.int64, torch.uint8, torch.bool])
shapes = st.lists(st.integers(0, 4), max_size=3)


@given(
    meta=st.dictionaries(st.text("abc", min_size=1), jsons, max_size=4),
    kinds=st.dictionaries(st.text("xyz.", min_size=1), st.tuples(dtypes, shapes), max_size=4),
    seed=st.integers(0, 99),
)
def test_what_is_packed_is_unpacked(
    tmp_path_factory: pytest.TempPathFactory,
    meta: Meta,
    kinds: dict[str, tuple[torch.dtype, list[int]]],
    seed: int,
):
    rng = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randint(0, 255, shape, generator=rng).to(dtype)
        for name, (dtype, shape) in kinds.items()
    }
    path = tmp_path_factory.mktemp("avatars") / "me.avatar"
    pack(path, meta, tensors, PNG)
    meta_back, tensors_back = unpack(path)
    assert meta_back == meta
    assert tensors_back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert tensors_back[name].dtype == tensor.dtype
        assert torch.equal(tensors_back[name], tensor)


def test_equal_avatars_have_equal_bytes(tmp_path: Path):
    """Whatever the order of the keys, the strides, or the time of day."""
    turned = {"faces": TENSORS["faces"], "means": TENSORS["means"].T.contiguous().T}
    pack(tmp_path / "a", {"x": 1, "y": [2]}, TENSORS, PNG)
    pack(tmp_path / "b", {"y": [2], "x": 1}, turned, PNG)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with zipfile.ZipFile(tmp_path / "a") as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {1980}


def zipped(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def entries(**changed: bytes) -> dict[str, bytes]:
    head = {"format": "incarnate-avatar", "schema": SCHEMA, "meta": {}}
    parts = {"avatar": json.dumps(head).encode(), "tensors": safetensors.torch.save(TENSORS)}
    avatar, tensors = (changed.get(name, data) for name, data in parts.items())
    return {"avatar.json": avatar, "tensors.safetensors": tensors, "preview.png": PNG}


BAD_ENTRIES = {
    "a name that climbs": ({**entries(), "../evil": b""}, "exactly avatar.json"),
    "a missing part": ({"avatar.json": entries()["avatar.json"]}, "exactly avatar.json"),
    "a pickle for tensors": (entries(tensors=b"\x80\x04cos\nsystem\n"), "damaged"),
    "tensors cut off": (entries(tensors=safetensors.torch.save(TENSORS)[:-3]), "damaged"),
    "not JSON": (entries(avatar=b"{"), "not JSON"),
    "JSON without bottom": (entries(avatar=b"[" * 100_000), "not JSON"),
    "another format": (entries(avatar=b'{"format": "vrm"}'), "another format"),
    "a newer schema": (
        entries(avatar=b'{"format": "incarnate-avatar", "schema": 99, "meta": {}}'),
        r"newer incarnate \(schema 99, .*upgrade",
    ),
    "a schema of the past": (
        entries(avatar=b'{"format": "incarnate-avatar", "schema": 0, "meta": {}}'),
        "schema 0 can no longer be read",
    ),
    "too much text": (entries(avatar=b" " * (CAPS["avatar.json"] + 1)), "refused: avatar.json"),
}


@pytest.mark.parametrize("name", BAD_ENTRIES)
def test_bad_avatars_are_refused_in_one_line(tmp_path: Path, name: str):
    parts, message = BAD_ENTRIES[name]
    with pytest.raises(ValueError, match=message) as caught:
        unpack(zipped(tmp_path / "me.avatar", parts))
    assert "\n" not in str(caught.value)


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path: Path):
    bomb = zipped(tmp_path / "me.avatar", entries(tensors=bytes(1 << 20)), zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="refused: tensors.safetensors unpacks to 1048576"):
        unpack(bomb)


def test_no_cut_or_flipped_byte_reads_as_an_avatar_silently(tmp_path: Path):
    path = tmp_path / "me.avatar"
    pack(path, {"name": "me"}, TENSORS, PNG)
    whole = path.read_bytes()
    for size in range(0, len(whole), 37):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError):
            unpack(path)
    start = whole.index(TENSORS["means"].numpy().tobytes())
    for position in range(start, start + 24):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(ValueError, match="CRC"):
            unpack(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        unpack(tmp_path / "nobody.avatar")


def test_migrations_run_in_order_from_the_schema_of_the_file():
    def renamed(meta: Meta, tensors: dict[str, Tensor]) -> tuple[Meta, dict[str, Tensor]]:
        return {"title": meta["name"]}, tensors

    def doubled(meta: Meta, tensors: dict[str, Tensor]) -> tuple[Meta, dict[str, Tensor]]:
        return meta | {"loud": meta["title"].upper()}, {k: 2 * v for k, v in tensors.items()}

    steps = {1: renamed, 2: doubled}
    meta, tensors = migrated({"name": "me"}, TENSORS, range(1, 3), steps)
    assert meta == {"title": "me", "loud": "ME"}
    assert torch.equal(tensors["means"], 2 * TENSORS["means"])
    meta, _ = migrated({"title": "x"}, TENSORS, range(2, 3), steps)
    assert meta == {"title": "x", "loud": "X"}
    with pytest.raises(ValueError, match="schema 0"):
        migrated({}, {}, range(0, 3), steps)


def test_what_cannot_be_read_back_is_not_written(tmp_path: Path):
    path = tmp_path / "me.avatar"
    with pytest.raises(ValueError):
        pack(path, {"x": float("nan")}, TENSORS, PNG)
    with pytest.raises(ValueError, match="preview.png has"):
        pack(path, {}, TENSORS, bytes(CAPS["preview.png"] + 1))
    assert not list(tmp_path.iterdir())
