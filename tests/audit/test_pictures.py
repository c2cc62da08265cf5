"""Pictures: each content hashed and encoded once, copies and near copies found, what cannot be read counted."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from cirgen.audit.audit import Findings, Settings, audit
from cirgen.audit.catalog import catalog
from cirgen.audit.corpora.files import FolderPictures
from cirgen.audit.corpus import BytePictures, Corpus, Row
from cirgen.fingerprints import write_folder_list
from cirgen.progress import Silent
from cirgen.resources import local_path


def drawn(number: int) -> Image.Image:
    """Draw a picture that is like no other."""
    rng = np.random.default_rng(number)
    image = Image.new("RGB", (96, 96), tuple(int(c) for c in rng.integers(0, 255, 3)))
    pen = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, w, h = (int(v) for v in rng.integers(0, 60, 4))
        pen.rectangle((x, y, x + w, y + h), fill=tuple(int(c) for c in rng.integers(0, 255, 3)))
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def made() -> Corpus:
    """Five pictures, a copy in another file format, a resized one, one that is broken, and one that is gone."""
    files = {f"p{number}": encoded(drawn(number)) for number in range(5)}
    files |= {
        "copy": encoded(drawn(0), "BMP"),
        "near": encoded(drawn(1).resize((192, 192), Image.Resampling.BICUBIC)),
        "broken": b"\x89PNG nothing more",
    }
    rows = [
        Row("0", "all", "g", "p0", "make it red", "p1"),
        Row("1", "all", "g", "p1", "make it blue", "near"),
        Row("2", "all", "g", "p2", "add a box", "gone"),
        Row("3", "all", "g", "p3", "add a box", "broken"),
        Row("4", "all", "g", "p3", "remove the box", "p4"),
    ]
    return Corpus("made", "made", tuple(rows), {"g": (*files, "gone")}, pictures=BytePictures(files))


def values(found: Findings, section: str) -> dict[str, float]:
    there = found.audit.section(section)
    assert there is not None
    return {figure.name: figure.value for figure in there.figures if figure.value is not None}


def test_copies_near_duplicates_and_what_cannot_be_read_are_counted() -> None:
    found = audit(made(), Settings())
    images = values(found, "images")
    assert (images["images"], images["absent"], images["broken"]) == (9, 1, 1)
    assert images["copies"] == pytest.approx(100 * 2 / 7)
    assert images["near"] == pytest.approx(100 * 4 / 7)
    assert values(found, "pairs")["within_group"] == pytest.approx(100 / 5)


class Counting(Silent):
    """Remembers how much each step had to do."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}

    @contextmanager
    def step(self, label: str, total: int | None = None) -> Iterator[Any]:
        self.done[label.partition(",")[0]] = self.done.get(label.partition(",")[0], 0) + (total or 0)
        yield self


@pytest.mark.integration
def test_nothing_is_hashed_or_encoded_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIRGEN_CACHE", str(tmp_path))
    first, again = Counting(), Counting()
    settings = Settings(encoders=("cirgen:judge-encoder",))
    one, two = audit(made(), settings, first), audit(made(), settings, again)
    assert first.done["Hash pictures"] == 8 and first.done["Embed images"] == 7 and first.done["Embed texts"] == 4
    assert again.done["Hash pictures"] == 1  # the broken one is tried again: it may have been mended
    assert "Embed images" not in again.done and "Embed texts" not in again.done
    assert one.audit == two.audit
    assert one.ranks is not None and two.ranks is not None
    assert (one.ranks.ranks == two.ranks.ranks).all()
    assert values(one, "shortcuts")["queries"] == 3
    assert values(one, "shortcuts")["left_out"] == 2


def test_without_an_encoder_the_reason_names_the_option() -> None:
    found = audit(made(), Settings()).audit
    for section in ("shortcuts", "false_negatives", "similarity"):
        there = found.section(section)
        assert there is not None and all("--encoder MODEL" in figure.absent for figure in there.figures)


def benchmark_folder(root: Path) -> Path:
    root.mkdir()
    (root / "one.bmp").write_bytes(encoded(drawn(2), "BMP"))
    (root / "two.jpg").write_bytes(encoded(drawn(4).resize((180, 180)), "JPEG", quality=80))
    (root / "three.png").write_bytes(encoded(drawn(77)))
    return root


def test_a_benchmark_that_has_some_of_the_pictures_is_found_from_its_folder(tmp_path: Path) -> None:
    found = audit(made(), Settings(benchmarks=(str(benchmark_folder(tmp_path / "bench")),)))
    overlap = values(found, "overlap")
    assert overlap["benchmark"] == 3
    assert overlap["same"] == pytest.approx(100 / 7)
    assert overlap["near"] == pytest.approx(100 * 2 / 7)
    assert overlap["rows"] == pytest.approx(100 * 2 / 5)


def test_a_list_of_fingerprints_does_what_the_folder_does(tmp_path: Path) -> None:
    folder, path = benchmark_folder(tmp_path / "bench"), tmp_path / "list.parquet"
    write_folder_list(folder, path, "the bench", Silent())
    listed, of_folder = (audit(made(), Settings(benchmarks=(str(place),))) for place in (path, folder))
    assert values(listed, "overlap") == values(of_folder, "overlap")
    assert listed.audit.settings["benchmarks"][0]["name"] == "the bench"


def test_several_benchmarks_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.png").write_bytes(encoded(drawn(88)))
    places = (str(benchmark_folder(tmp_path / "bench")), str(tmp_path / "other"))
    overlap = values(audit(made(), Settings(benchmarks=places)), "overlap")
    assert overlap["near_1"] > 0 == overlap["near_2"]


def test_two_audits_share_what_they_have_in_common(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIRGEN_CACHE", str(tmp_path))
    names = tuple(sorted(path.name for path in local_path("cirgen:images").glob("*.png"))[:30])
    pictures = FolderPictures(local_path("cirgen:images"))
    first, second = Counting(), Counting()
    catalog(Corpus("a", "made", (), {"g": names[:20]}, pictures=pictures), first)
    catalog(Corpus("b", "made", (), {"g": names[10:]}, pictures=pictures), second)
    assert (first.done["Hash pictures"], second.done["Hash pictures"]) == (20, 10)
