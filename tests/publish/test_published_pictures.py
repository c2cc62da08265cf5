"""What a corpus shows of the files that it was made from."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image, PngImagePlugin

import runs
from cirgen import load_triplets
from cirgen.run_folder import Run
from cirgen.stages.export import export
from runs import make_run, toy, with_recipe

SECRET = b"52.5 N 13.4 E"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run whose pictures tell where they were taken."""
    plain = runs._picture

    def located(color: str, shape: str, extra: int) -> bytes:
        info = PngImagePlugin.PngInfo()
        info.add_text("place", SECRET.decode())
        file = io.BytesIO()
        with Image.open(io.BytesIO(plain(color, shape, extra))) as image:
            image.save(file, "PNG", pnginfo=info)
        return file.getvalue()

    monkeypatch.setattr(runs, "_picture", located)
    return make_run(tmp_path)


def _published(run: Run) -> list[dict[str, object]]:
    export(run)
    rows: list[dict[str, object]] = pq.read_table(run.dataset / "images").to_pylist()
    return rows


def _pictures(run: Run) -> list[bytes]:
    tables = [pq.read_table(run.dataset / config) for config in ("images", "preview")]
    return [
        value["bytes"]
        for table in tables
        for row in table.to_pylist()
        for value in row.values()
        if isinstance(value, dict) and "bytes" in value
    ]


def test_no_picture_tells_where_it_was_taken_unless_the_recipe_says_so(run: Run) -> None:
    rows = _published(run)
    assert not [content for content in _pictures(run) if SECRET in content]
    assert {row["sha256"] for row in rows}.isdisjoint({row["image_id"] for row in rows})
    rows = _published(with_recipe(run, export={"strip_metadata": False}))
    assert all(SECRET in content for content in _pictures(run))
    assert [row["sha256"] for row in rows] == [row["image_id"] for row in rows]


def test_image_id_names_the_original_and_sha256_the_bytes_in_the_corpus(run: Run) -> None:
    for row in _published(run):
        image, aliases = row["image"], row["aliases"]
        assert isinstance(image, dict) and isinstance(aliases, list)
        original = (run.folder.parent / "images" / aliases[0]["source_id"]).read_bytes()
        assert row["image_id"] == hashlib.sha256(original).hexdigest()
        assert row["sha256"] == hashlib.sha256(image["bytes"]).hexdigest()


def test_pictures_without_metadata_show_what_the_originals_show(run: Run) -> None:
    originals = {toy(row): row for row in pq.read_table(run.catalog).to_pylist()}
    for row in _published(run):
        image = row["image"]
        assert isinstance(image, dict)
        with Image.open(originals[toy(row)]["path"]) as one, Image.open(io.BytesIO(image["bytes"])) as other:
            if one.size == other.size:
                assert one.convert("RGB").tobytes() == other.convert("RGB").tobytes()


def test_the_card_says_what_became_of_metadata(run: Run) -> None:
    _published(run)
    assert "EXIF, GPS, comments and thumbnails were removed" in _card(run)
    _published(with_recipe(run, export={"strip_metadata": False}))
    assert "**metadata included**" in _card(run)
    _published(with_recipe(run, export={"images": "none"}))
    assert "metadata" not in _card(run)


def _card(run: Run) -> str:
    text = (run.dataset / "README.md").read_text(encoding="utf8")
    return " ".join(text.partition("## Recipe")[0].split())


def test_a_corpus_of_smaller_copies_tells_no_more(run: Run) -> None:
    _published(with_recipe(run, export={"max_side": 48}))
    assert not [content for content in _pictures(run) if SECRET in content]


def test_originals_are_found_by_the_hash_of_the_file_as_it_was(run: Run, tmp_path: Path) -> None:
    _published(with_recipe(run, export={"images": "none"}))
    row = load_triplets(run.dataset, images=tmp_path / "images")[0]
    assert row["reference"].size[0] == 96
