"""Features files: what they must hold, rows in another order, and holes that are told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_benchmarks import made_features, write_cirr, write_fashioniq, write_genecis, write_json
from numpy.typing import NDArray
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors

from cirgen.errors import UserError
from cirgen_benchmark.protocols.cirr import CIRR
from cirgen_benchmark.protocols.contender import Contender, read_contender
from cirgen_benchmark.protocols.fashioniq import FashionIQ
from cirgen_benchmark.protocols.features import arranged, normalised, read_features
from cirgen_benchmark.protocols.genecis import GeneCIS

Tensors = dict[str, NDArray[Any]]


@pytest.fixture
def protocol(tmp_path: Path) -> CIRR:
    return CIRR(write_cirr(tmp_path))


def saved(folder: Path, tensors: Tensors, ids: Mapping[str, object] | None = None) -> Path:
    path = folder / "mine.safetensors"
    save_file(tensors, path, metadata={key: json.dumps(value) for key, value in (ids or {}).items()} or None)
    return path


def scored(protocol: CIRR | FashionIQ, path: Path) -> dict[str, float]:
    return dict(read_contender(protocol, [path]).scores().metrics)


def test_a_file_in_the_order_of_the_annotations_is_scored(tmp_path: Path, protocol: CIRR) -> None:
    features = made_features(protocol)
    assert scored(protocol, saved(tmp_path, features)) == dict(protocol.score(features).metrics)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions_are_read(tmp_path: Path, protocol: CIRR, dtype: Any) -> None:
    features = made_features(protocol)
    other = {name: tensor.astype(dtype) for name, tensor in features.items()}
    assert scored(protocol, saved(tmp_path, other)) == dict(protocol.score(features).metrics)


def test_bfloat16_is_read_as_what_it_is(tmp_path: Path, protocol: CIRR) -> None:
    halved = {name: torch.from_numpy(tensor).bfloat16() for name, tensor in made_features(protocol).items()}
    save_tensors(halved, tmp_path / "mine.safetensors")
    expected = protocol.score({name: tensor.float().numpy() for name, tensor in halved.items()})
    assert scored(protocol, tmp_path / "mine.safetensors") == dict(expected.metrics)


def test_rows_that_a_file_names_may_come_in_any_order(tmp_path: Path, protocol: CIRR) -> None:
    features = made_features(protocol)
    rng = np.random.default_rng(0)
    orders = {name: rng.permutation(len(tensor)) for name, tensor in features.items()}
    ids = {
        "gallery_ids": [protocol.galleries()["gallery"][row] for row in orders["gallery"]],
        "query_ids": [int(protocol.query_ids()["queries"][row]) for row in orders["queries"]],
    }
    path = saved(tmp_path, {name: tensor[orders[name]] for name, tensor in features.items()}, ids)
    assert scored(protocol, path) == dict(protocol.score(features).metrics)


def test_parts_of_a_benchmark_name_their_rows_each(tmp_path: Path) -> None:
    protocol = FashionIQ(write_fashioniq(tmp_path))
    features = made_features(protocol)
    ids = {"gallery_ids.shirt": protocol.galleries()["gallery.shirt"][::-1]}
    turned = {**features, "gallery.shirt": np.ascontiguousarray(features["gallery.shirt"][::-1])}
    assert scored(protocol, saved(tmp_path, turned, ids)) == dict(protocol.score(features).metrics)


@pytest.mark.parametrize("way", ["names", "zeros"])
def test_a_copy_with_holes_is_an_error_that_counts_and_names_or_marks_every_figure(tmp_path: Path, way: str) -> None:
    """A file with the images that are there and their names, or a row of zeros for each that is not: the same."""
    root = write_fashioniq(tmp_path)
    strict, lenient = FashionIQ(root), FashionIQ(root, allow_missing=True)
    features = made_features(strict)
    gallery, asked = strict.galleries()["gallery.dress"], strict.parts[0].asked
    absent = [asked[0].targets[0], next(image for image in gallery if all(image not in (*q.targets,) for q in asked))]
    there = [row for row, image in enumerate(gallery) if image not in absent]
    answered = [row for row, one in enumerate(asked) if one.reference not in absent]
    path = tmp_path / "mine.safetensors"
    if way == "names":
        few = {
            **features,
            "gallery.dress": features["gallery.dress"][there],
            "queries.dress": features["queries.dress"][answered],
        }
        path = saved(
            tmp_path, few, {"gallery_ids.dress": [gallery[row] for row in there], "query_ids.dress": answered}
        )
    else:
        holed = {name: tensor.copy() for name, tensor in features.items()}
        holed["gallery.dress"][[row for row in range(len(gallery)) if row not in there]] = 0
        holed["queries.dress"][[row for row in range(len(asked)) if row not in answered]] = 0
        path = saved(tmp_path, holed)
    lost = sum(one.targets[0] in absent for one in asked)
    names = ", ".join(image for image in gallery if image in absent)
    message = rf"2 of 14 images of gallery\.dress \({names}\), and with them the targets of {lost} of 9 queries"
    with pytest.raises(UserError, match=message):
        scored(strict, path)
    scores = read_contender(lenient, [path]).scores()
    assert all(key.startswith("fashioniq.val.partial.") for key in scores.metrics)
    left = [row["rank"] is None for row in scores.queries.to_pylist()[: len(asked)]]
    assert left == [one.targets[0] in absent or one.reference in absent for one in asked]
    assert scores.notes[0].startswith("Missing: 2 of 14 images")


def test_allowing_holes_changes_nothing_where_there_are_none(tmp_path: Path, protocol: CIRR) -> None:
    features = made_features(protocol)
    assert CIRR(tmp_path, allow_missing=True).score(features).metrics == protocol.score(features).metrics


def test_a_smaller_gallery_ranks_among_what_is_left(tmp_path: Path) -> None:
    protocol = CIRR(write_cirr(tmp_path), allow_missing=True)
    part = protocol.parts[0]
    gallery = np.eye(len(part.gallery), dtype=np.float32)
    target = part.targets[0, 0]
    better = next(row for row in range(60) if row not in (target, part.references[0]))
    queries = np.tile(gallery[target] + 2 * gallery[better], (12, 1))
    whole = protocol.score({"gallery": gallery, "queries": queries}).queries["rank"].to_pylist()[0]
    gallery[better] = 0
    assert (whole, protocol.score({"gallery": gallery, "queries": queries}).queries["rank"].to_pylist()[0]) == (2, 1)


def test_images_that_are_not_on_disk_are_told_where_others_are(tmp_path: Path) -> None:
    protocol = CIRR(write_cirr(tmp_path))
    features = made_features(protocol)
    gallery = protocol.galleries()["gallery"]
    (tmp_path / "dev").mkdir()
    for name in gallery[2:]:
        (tmp_path / "dev" / f"{name}.png").touch()
    with pytest.raises(UserError, match=rf"2 of 60 images of gallery \({gallery[0]}, {gallery[1]}\)"):
        CIRR(tmp_path).score(features)
    assert "cirr.val.partial.mean" in CIRR(tmp_path, allow_missing=True).score(features).metrics


def test_the_same_of_fashioniq_whose_images_are_jpg_or_png(tmp_path: Path) -> None:
    root = write_fashioniq(tmp_path)
    features = made_features(FashionIQ(root))
    names = [name for ids in FashionIQ(root).galleries().values() for name in ids]
    (root / "images").mkdir()
    FashionIQ(root).score(features)  # an empty folder promises nothing
    for place, name in enumerate(names[1:]):
        (root / "images" / f"{name}.{'png' if place % 2 else 'jpg'}").touch()
    with pytest.raises(UserError, match=rf"1 of 14 images of gallery\.dress \({names[0]}\)"):
        FashionIQ(root).score(features)


def broken(features: Tensors, name: str, value: float, rows: int = 2) -> Tensors:
    wrong = {key: tensor.copy() for key, tensor in features.items()}
    wrong[name][1 : 1 + rows, 0] = value
    return wrong


def test_what_does_not_fit_is_told_in_one_sentence(tmp_path: Path, protocol: CIRR) -> None:
    features = made_features(protocol)
    gallery, queries = features["gallery"], features["queries"]
    names = protocol.galleries()["gallery"]
    cases: list[tuple[Tensors, dict[str, object], str]] = [
        (broken(features, "gallery", np.nan), {}, r"NaN or infinity in 2 of 60 rows of 'gallery' \(dev"),
        (broken(features, "queries", np.inf, 4), {}, r"in 4 of 12 rows of 'queries' \(such as 12007, 12014, 12021\)"),
        ({"gallery": gallery}, {}, r"no tensor 'queries' \(there are: gallery\)"),
        ({"gallery": gallery[:-1], "queries": queries}, {}, "59 rows and the benchmark 60; .* as gallery_ids"),
        ({"gallery": gallery, "queries": queries[:3]}, {}, "3 rows and the benchmark 12; .* as query_ids"),
        ({"gallery": gallery[:, :2], "queries": queries}, {}, "'queries' has 4 dimensions and 'gallery' 2"),
        ({"gallery": gallery, "queries": queries[:, None]}, {}, r"the shape \[12, 1, 4\]; it must be \[12, d\]"),
        ({"gallery": gallery[:, :0], "queries": queries}, {}, r"the shape \[60, 0\]"),
        ({"gallery": gallery[0, 0:1].reshape(()), "queries": queries}, {}, r"the shape \[\]"),
        ({"gallery": gallery.astype(np.int32), "queries": queries}, {}, "'gallery' holds int32; .* as float32"),
        (features, {"gallery_ids": names[:-1]}, "gallery_ids .* must be a list of 60 ids"),
        (features, {"gallery_ids": [names[0], *names[:-1]]}, f"gallery_ids .* names {names[0]} twice"),
        (
            features,
            {"gallery_ids": ["x", "y", *names[2:]]},
            r"'gallery' in .* that are not of this split: 2 \(x, y\)",
        ),
        (features, {"query_ids": list(range(12))}, r"'queries' in .*: 12 \(such as 0, 1, 2\); give the features"),
        ({"gallery": gallery * 0, "queries": queries}, {}, "No query of 'queries' has an embedding and a target"),
        ({"gallery": gallery, "queries": queries * 0}, {}, "No query of 'queries' has an embedding and a target"),
    ]
    for tensors, ids, message in cases:
        with pytest.raises(UserError, match=message):
            scored(protocol, saved(tmp_path, tensors, ids))


def test_files_that_are_no_features_are_told(tmp_path: Path, protocol: CIRR) -> None:
    with pytest.raises(UserError, match=r"nothing\.safetensors cannot be read as a features file"):
        read_contender(protocol, [tmp_path / "nothing.safetensors"])
    (tmp_path / "bad.safetensors").write_bytes(b"12345678 is not a header")
    with pytest.raises(UserError, match=r"bad\.safetensors cannot be read as a features file"):
        read_contender(protocol, [tmp_path / "bad.safetensors"])
    path = tmp_path / "ids.safetensors"
    save_file(made_features(protocol), path, metadata={"gallery_ids": "a, b"})
    with pytest.raises(UserError, match=r"gallery_ids in the header of .* is no JSON"):
        read_contender(protocol, [path])


def test_a_features_file_comes_alone(tmp_path: Path, protocol: CIRR) -> None:
    path = saved(tmp_path, made_features(protocol))
    with pytest.raises(UserError, match="one features file"):
        read_contender(protocol, [path, write_json(tmp_path / "a.json", {})])


def test_rankings_are_no_features_to_submit(protocol: CIRR) -> None:
    with pytest.raises(UserError, match="give --features"):
        Contender(protocol).submissions()


def test_cosines_are_compared_where_asked_for_and_a_remark_says_that_they_are_not(
    tmp_path: Path, protocol: CIRR
) -> None:
    rng = np.random.default_rng(0)
    unit = rng.normal(size=(60, 8))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    features = {"gallery": unit.astype(np.float32), "queries": rng.normal(size=(12, 8)).astype(np.float32)}
    long = {**features, "gallery": (unit * rng.uniform(1, 50, size=(60, 1))).astype(np.float32)}
    expected = protocol.score(features).metrics
    assert read_contender(protocol, [saved(tmp_path, features)]).remark == ""
    as_is = read_contender(protocol, [saved(tmp_path, long)])
    assert "'gallery' have norms from" in as_is.remark
    assert as_is.scores().metrics != expected
    cosine = read_contender(protocol, [saved(tmp_path, long)], normalize=True)
    assert cosine.remark == ""
    assert cosine.scores().metrics == expected


def test_normalising_leaves_holes_as_they_are() -> None:
    found = normalised({"gallery": np.array([[3, 4], [0, 0]], np.float32), "queries": np.ones((1, 2), np.float32)})
    assert found["gallery"].tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]
    assert found["queries"].tolist() == [[1, 1]]


def test_tensors_of_other_benchmarks_in_a_file_are_left_alone(tmp_path: Path, protocol: CIRR) -> None:
    features = made_features(protocol)
    path = saved(tmp_path, {**features, "gallery.dress": features["gallery"]}, {"gallery_ids.dress": list(range(60))})
    assert set(arranged(read_features(path), protocol)) == {"gallery", "queries", "gallery.dress"}


def test_numbers_that_cannot_be_squared_are_refused_unless_normalised(tmp_path: Path, protocol: CIRR) -> None:
    features = made_features(protocol)
    for factor in (1e300, 1e-300):
        gallery = {**features, "gallery": features["gallery"].astype(np.float64) * factor}
        with pytest.raises(UserError, match="too large or small to be squared in 60 of 60 rows of 'gallery'"):
            protocol.score(gallery)
        cosines = protocol.score(normalised(features)).metrics
        assert protocol.score(normalised(gallery)).metrics == cosines


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_normalising_hides_nothing_that_is_wrong(protocol: CIRR, value: float) -> None:
    features = made_features(protocol)
    with pytest.raises(UserError, match="NaN or infinity in 2 of 60 rows of 'gallery'"):
        protocol.score(normalised(broken(features, "gallery", value)))
    for tensor in (np.float32(1).reshape(()), features["gallery"][:0], features["gallery"][:, 0]):
        with pytest.raises(UserError, match="Tensor 'gallery' has"):
            protocol.score(normalised({**features, "gallery": tensor}))


def test_tensors_that_no_protocol_asks_for_may_hold_anything(tmp_path: Path, protocol: CIRR) -> None:
    path = saved(tmp_path, {**made_features(protocol), "pairids": np.arange(3)})
    assert scored(protocol, path) == protocol.score(made_features(protocol)).metrics


def test_a_picture_that_several_galleries_show_is_named_once(tmp_path: Path) -> None:
    protocol = GeneCIS(write_genecis(tmp_path))
    features, tensors, ids = made_features(protocol), {}, {}
    for name, pictures in protocol.galleries().items():
        distinct = list(dict.fromkeys(pictures))
        tensors[name] = features[name][[pictures.index(one) for one in distinct]]
        ids[name.replace("gallery", "gallery_ids")] = distinct
    path = saved(tmp_path, {**features, **tensors}, ids)
    scores = read_contender(protocol, [path]).scores()
    assert scores.queries.equals(protocol.score(features).queries)
