"""A list of fingerprints finds the pictures that it was made of, and shows none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cirgen import fingerprints
from cirgen.errors import UserError
from cirgen.filters.tools import NEAR, NOT_FOUND, SAME_FILE, SAME_PIXELS
from cirgen.fingerprints import SCHEMA, Fingerprint, Fingerprints, fingerprint, read_fingerprints, write_folder_list
from cirgen.near_duplicates import MAX_BITS, MAX_COLOR
from cirgen.progress import Silent
from cirgen.resources import local_path
from ingest_runs import encoded, fill, png, tiny

NAME_OF_SHOWN = "0003.png"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIRGEN_CACHE", str(tmp_path / "cache"))


def listed(folder: Path, path: Path, **options: Any) -> Fingerprints:
    write_folder_list(folder, path, "a benchmark", Silent(), **options)
    return read_fingerprints(str(path), Silent())


def of(*pictures: bytes) -> Fingerprints:
    rows = [fingerprint(data)._asdict() for data in pictures]
    return fingerprints.of_table(pa.Table.from_pylist(rows, schema=SCHEMA), "mine", Path("mine"))


def photo(number: int, size: int = 192) -> Image.Image:
    paths = sorted(local_path("cirgen:images").glob("*.png"))
    return Image.open(paths[number]).convert("RGB").resize((size, size))


def test_the_same_file_the_same_pixels_and_a_smaller_copy_are_found_and_others_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "bench"
    folder.mkdir()
    for number in range(20):
        photo(number).save(folder / f"{number}.png")
    known = listed(folder, tmp_path / "list.parquet")
    same = (folder / "3.png").read_bytes()
    again = encoded(photo(4), compress_level=1)
    copy = encoded(photo(5, 150), "JPEG", quality=80)
    other = encoded(photo(700))
    assert known.find(of(same, again, copy, other)).tolist() == [SAME_FILE, SAME_PIXELS, NEAR, NOT_FOUND]
    assert (len(known), known.name) == (20, "a benchmark")


def test_a_list_holds_hashes_and_names_where_they_are_asked_for(tmp_path: Path) -> None:
    folder = fill(tmp_path / "bench", 5)
    listed(folder, tmp_path / "plain.parquet")
    listed(folder, tmp_path / "named.parquet", with_names=True)
    plain, named = (pq.read_table(tmp_path / f"{kind}.parquet") for kind in ("plain", "named"))
    assert plain.column_names == ["sha256", "pixel_hash", "perceptual_hash", "color_hash", "name"]
    assert set(plain.column("name").to_pylist()) == {""}
    assert named.column("name").to_pylist()[3] == NAME_OF_SHOWN
    assert max(len(value) for row in plain.to_pylist() for value in row.values()) == 192  # 4 x 8 mean colours


def test_a_folder_and_its_list_are_the_same_thing(tmp_path: Path) -> None:
    folder = fill(tmp_path / "bench", 6)
    from_list = listed(folder, tmp_path / "list.parquet", with_names=True)
    assert read_fingerprints(str(folder), Silent()).content == from_list.content
    renamed = fill(tmp_path / "other", 6)
    (renamed / "0000.png").rename(renamed / "z.png")
    assert read_fingerprints(str(renamed), Silent()).content == from_list.content
    fill(tmp_path / "more", 7)
    assert read_fingerprints(str(tmp_path / "more"), Silent()).content != from_list.content


def test_a_folder_is_fingerprinted_again_only_when_a_file_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(tmp_path / "bench", 3)
    before = read_fingerprints(str(folder), Silent())
    opened: list[str] = []
    original = fingerprints.fingerprint
    monkeypatch.setattr(fingerprints, "fingerprint", lambda data, name="": opened.append(name) or original(data, name))
    assert read_fingerprints(str(folder), Silent()).content == before.content
    assert not opened
    (folder / "0001.png").write_bytes(png(9))
    assert read_fingerprints(str(folder), Silent()).content != before.content
    assert sorted(opened) == ["0000.png", "0001.png", "0002.png"]


def test_files_that_are_no_pictures_are_counted_and_named(tmp_path: Path) -> None:
    folder = fill(tmp_path / "bench", 3)
    (folder / "broken.png").write_bytes(b"no picture")
    written = write_folder_list(folder, tmp_path / "list.parquet", "", Silent())
    assert written.pictures == 3
    assert written.unreadable == ("broken.png: no picture format that can be decoded",)


def test_a_folder_without_a_picture_writes_no_list(tmp_path: Path) -> None:
    empty = tmp_path / "bench"
    empty.mkdir()
    with pytest.raises(UserError, match="There is no picture under"):
        write_folder_list(empty, tmp_path / "list.parquet", "", Silent())
    (empty / "broken.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"None of the 1 files under .* first broken.png: the file is empty; name"):
        write_folder_list(empty, tmp_path / "list.parquet", "", Silent())
    assert [path.name for path in tmp_path.iterdir()] == ["bench"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"sha256": ["a" * 64]}), "its column pixel_hash has not 64 hex digits"),
        (pa.table({name: ["x"] for name in SCHEMA.names}), "its column sha256 has not 64 hex digits"),
        (pa.table({"text": ["a"]}), "its column sha256"),
        (pa.table({name: [1] for name in SCHEMA.names}), "its column sha256 has not 64 hex digits"),
        (pa.table({name: [["a"]] for name in SCHEMA.names}), "its column sha256 has not 64 hex digits"),
        (SCHEMA.empty_table(), "lists no picture"),
    ],
)
def test_what_is_no_list_is_told_in_one_sentence(tmp_path: Path, table: pa.Table, message: str) -> None:
    pq.write_table(table, tmp_path / "list.parquet")
    with pytest.raises(UserError, match=message):
        read_fingerprints(str(tmp_path / "list.parquet"), Silent())


def test_a_list_that_is_not_there_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a list that `cirgen fingerprint` wrote"):
        read_fingerprints(str(tmp_path / "none.parquet"), Silent())
    (tmp_path / "text.parquet").write_text("sha256")
    with pytest.raises(UserError, match="is no list of fingerprints"):
        read_fingerprints(str(tmp_path / "text.parquet"), Silent())


def drawn(structure: list[int], colors: list[int]) -> Fingerprints:
    names = np.asarray([f"{number:064x}" for number in range(len(structure))], dtype="S64")
    spread = np.repeat(np.asarray(colors, dtype=np.uint8)[:, None], 96, axis=1)
    return Fingerprints("drawn", names, names, np.asarray(structure, dtype=np.uint64), spread)


HASH = st.sampled_from([0, 0b1111, 0b11111, 1 << 63, (1 << 63) | 0b111, 0xFFFF_0000_FFFF_0000])
COLOR = st.sampled_from([0, 8, 9, 100, 104, 255])
PICTURES = st.lists(st.tuples(HASH, COLOR), min_size=1, max_size=12)


@given(known=PICTURES, asked=PICTURES)
def test_near_duplicates_are_those_that_comparing_all_with_all_finds(known: Any, asked: Any) -> None:
    lists = [drawn(*map(list, zip(*one, strict=True))) for one in (known, asked)]
    others = Fingerprints("", *_strangers(lists[1]))
    found = lists[0].find(others)
    for level, (structure, color) in zip(found.tolist(), asked, strict=True):
        near = any((structure ^ s).bit_count() <= MAX_BITS and abs(color - c) <= MAX_COLOR for s, c in known)
        assert level == (NEAR if near else NOT_FOUND)


def _strangers(known: Fingerprints) -> tuple[Any, ...]:
    """Return the arrays of pictures of which nothing but the look is the same."""
    names = np.asarray([b"f" * 60 + name[60:] for name in known.files], dtype="S64")
    return names, names, known.structure, known.colors


@given(order=st.permutations(range(6)))
def test_the_order_of_a_list_changes_nothing(order: list[int]) -> None:
    rows = [fingerprint(png(number)) for number in range(6)]

    def table(rows: list[Fingerprint]) -> Fingerprints:
        found = pa.Table.from_pylist([row._asdict() for row in rows], schema=SCHEMA)
        return fingerprints.of_table(found, "", Path("list"))

    shuffled = table([rows[place] for place in order])
    assert shuffled.content == table(rows).content
    assert shuffled.find(of(png(2), encoded(tiny(99)))).tolist() == [SAME_FILE, NOT_FOUND]
