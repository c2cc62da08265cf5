"""How fast `cirgen score` ranks, against the widespread way: a full sort of the gallery, and arrays of names.

Run: python benchmark/perf/score_speed.py [--cirr DIR] [--fashioniq DIR] [--dimensions 64] [--repeats 3]

`plain` is an implementation of its own, in this file, that shares no code with cirgen: it reads the annotation files
itself, sorts every query's whole gallery with torch, looks names up with numpy and compares them, as is widespread.
Both rank the same made features of CIRR val (R@K and R_subset@K) and FashionIQ val (three categories, original
gallery, reference kept). Times are CPU seconds, the least of some repeats in turns, of ranking alone: what is read
from files before is not in them. `plain` sorts float32 similarities; so that rounding decides nothing, its ranks with
float64 ones are compared with cirgen's: they must agree in every query, and so must every figure, or the script ends
with exit code 1. OMP_NUM_THREADS=1 gives both one thread, which makes times on a busy machine steadier.

Without --cirr and --fashioniq, folders of annotation files, files of the same size are made.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cirgen_benchmark.protocols.base import Protocol, Scores
from cirgen_benchmark.protocols.registry import open_benchmark

CATEGORIES = {"dress": (3_817, 2_017), "shirt": (6_346, 2_038), "toptee": (5_373, 1_961)}
"""Images of the gallery and queries of each category of FashionIQ val."""
CIRR_SIZE = (2_297, 4_181)
NOISE = 2.0
"""How far a made query lies from its target, in norms: some are found and some are not."""

Tensors = dict[str, NDArray[np.float32]]
Columns = Mapping[str, NDArray[Any]]
"""Ranks by name."""
Figures = Mapping[str, float]


def main() -> None:
    """Print seconds and ratios; leave with 1 where a rank or a figure differs."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        cirr, fashioniq = options.cirr or Path(folder) / "cirr", options.fashioniq or Path(folder) / "fashioniq"
        if not options.cirr:
            make_cirr(cirr)
        if not options.fashioniq:
            make_fashioniq(fashioniq)
        measure("CIRR val", "cirr", cirr, PlainCIRR(cirr), options)
        measure("FashionIQ val", "fashioniq", fashioniq, PlainFashionIQ(fashioniq), options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cirr", type=Path)
    parser.add_argument("--fashioniq", type=Path)
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def measure(title: str, name: str, root: Path, plain: Plain, options: argparse.Namespace) -> None:
    """Time both ways on one benchmark, in turns, and compare what they find."""
    features = made_features(plain, options.dimensions)
    slow, fast = [], []
    for _ in range(options.repeats):
        slow.append(seconds(lambda: plain.ranks(features, np.float32)))
        protocol = _opened(name, root)
        fast.append(seconds(lambda: protocol.score(features)))  # noqa: B023
    found = _opened(name, root).score(features)
    queries = compare(title, plain, features, found)
    rounded = differing(plain.ranks(features, np.float32), found)
    print(
        f"{title}: plain {min(slow):.2f} s, cirgen {min(fast):.3f} s, {min(slow) / min(fast):.0f} times faster; "
        f"{queries:,} queries agree, and so do {len(plain.figures(plain.ranks(features, np.float64)))} figures "
        f"({rounded:,} ranks differ where plain rounds to float32)"
    )


def _opened(name: str, root: Path) -> Protocol:
    return open_benchmark(name, "val", root, gallery="original" if name == "fashioniq" else None)


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU time that a call takes, of all threads together."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(title: str, plain: Plain, features: Tensors, found: Scores) -> int:
    """Compare every rank and every figure; return the number of queries."""
    ranks = plain.ranks(features, np.float64)
    wrong = differing(ranks, found)
    if wrong:
        raise SystemExit(f"{title}: {wrong} ranks differ")
    for key, value in plain.figures(ranks).items():
        if abs(found.metrics[key] - value) > 1e-9:
            raise SystemExit(f"{title}: {key} is {found.metrics[key]} and should be {value}")
    return len(found.queries)


def differing(ranks: Columns, found: Scores) -> int:
    """Count the ranks that differ."""
    columns: dict[str, NDArray[np.int32]] = {name: found.queries[name].to_numpy() for name in ranks}
    return sum(int(np.count_nonzero(columns[name] != values)) for name, values in ranks.items())


class Plain:
    """The widespread way."""

    def galleries(self) -> Mapping[str, list[str]]:
        """Return the names of each gallery tensor's rows."""
        raise NotImplementedError

    def targets(self) -> Mapping[str, list[str]]:
        """Return the target of each row of each query tensor."""
        raise NotImplementedError

    def ranks(self, features: Tensors, dtype: type[np.floating[Any]]) -> Columns:
        """Rank every query, from 1."""
        raise NotImplementedError

    def figures(self, ranks: Columns) -> Figures:
        """Return metrics by key."""
        raise NotImplementedError


def sorted_names(queries: NDArray[Any], gallery: NDArray[Any], names: list[str]) -> NDArray[np.str_]:
    """Sort the whole gallery for each query, most similar first [Q, N]."""
    order = torch.argsort(1 - torch.from_numpy(queries) @ torch.from_numpy(gallery).T, dim=1)
    found: NDArray[np.str_] = np.array(names)[order.numpy()]
    return found


def repeated(names: Sequence[str], width: int) -> NDArray[np.str_]:
    """Repeat each name in a row [Q, width]."""
    return np.repeat(np.array(names), width).reshape(len(names), width)


def places(labels: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the place of the one hit of each row, from 1."""
    if not (labels.sum(axis=1) == 1).all():
        raise SystemExit("a query has not exactly one target")
    return np.asarray(labels.argmax(axis=1) + 1)


def share(ranks: NDArray[Any], k: int) -> float:
    """Return R@k in per cent."""
    return float((ranks <= k).mean() * 100)


class PlainCIRR(Plain):
    """CIRR val."""

    def __init__(self, root: Path) -> None:
        root = root / "cirr" if (root / "cirr").is_dir() else root
        self._rows = json.loads((root / "captions" / "cap.rc2.val.json").read_text())
        self._names = list(json.loads((root / "image_splits" / "split.rc2.val.json").read_text()))

    def galleries(self) -> Mapping[str, list[str]]:
        """Return the names of the split file."""
        return {"gallery": self._names}

    def targets(self) -> Mapping[str, list[str]]:
        """Return the targets of the caption file."""
        return {"queries": [row["target_hard"] for row in self._rows]}

    def ranks(self, features: Tensors, dtype: type[np.floating[Any]]) -> Columns:
        """Rank within the gallery and within the set, both without the reference."""
        ranked = sorted_names(features["queries"].astype(dtype), features["gallery"].astype(dtype), self._names)
        references = [row["reference"] for row in self._rows]
        left = ranked[ranked != repeated(references, len(self._names))].reshape(len(self._rows), -1)
        labels = left == repeated(self.targets()["queries"], left.shape[1])
        members = np.array([row["img_set"]["members"] for row in self._rows])
        in_set = (left[:, :, None] == members[:, None, :]).any(axis=2)
        return {"rank": places(labels), "rank_subset": places(labels[in_set].reshape(len(self._rows), -1))}

    def figures(self, ranks: Columns) -> Figures:
        """Return recalls and their mean."""
        found = {f"cirr.val.recall@{k}": share(ranks["rank"], k) for k in (1, 5, 10, 50)}
        found |= {f"cirr.val.recall_subset@{k}": share(ranks["rank_subset"], k) for k in (1, 2, 3)}
        return {**found, "cirr.val.mean": (found["cirr.val.recall@5"] + found["cirr.val.recall_subset@1"]) / 2}


class PlainFashionIQ(Plain):
    """FashionIQ val, original galleries, reference kept."""

    def __init__(self, root: Path) -> None:
        self._rows = {c: json.loads((root / "captions" / f"cap.{c}.val.json").read_text()) for c in CATEGORIES}
        self._names = {c: json.loads((root / "image_splits" / f"split.{c}.val.json").read_text()) for c in CATEGORIES}

    def galleries(self) -> Mapping[str, list[str]]:
        """Return the names of the split file."""
        return {f"gallery.{category}": names for category, names in self._names.items()}

    def targets(self) -> Mapping[str, list[str]]:
        """Return the targets of the caption file."""
        return {f"queries.{category}": [row["target"] for row in rows] for category, rows in self._rows.items()}

    def ranks(self, features: Tensors, dtype: type[np.floating[Any]]) -> Columns:
        """Rank within each category."""
        each = [self._category(features, category, dtype) for category in CATEGORIES]
        return {"rank": np.concatenate(each)}

    def _category(self, features: Tensors, category: str, dtype: type[np.floating[Any]]) -> NDArray[np.int64]:
        queries, gallery = (features[f"{kind}.{category}"].astype(dtype) for kind in ("queries", "gallery"))
        ranked = sorted_names(queries, gallery, self._names[category])
        return places(ranked == repeated(self.targets()[f"queries.{category}"], ranked.shape[1]))

    def figures(self, ranks: Columns) -> Figures:
        """Return recalls by category and their means."""
        ends = np.cumsum([len(rows) for rows in self._rows.values()])[:-1]
        parts = dict(zip(CATEGORIES, np.split(ranks["rank"], ends), strict=True))
        prefix = "fashioniq.val.original.ref_keep"
        found = {f"{prefix}.{c}.recall@{k}": share(part, k) for c, part in parts.items() for k in (10, 50)}
        for k in (10, 50):
            found[f"{prefix}.mean.recall@{k}"] = float(np.mean([found[f"{prefix}.{c}.recall@{k}"] for c in parts]))
        return {**found, f"{prefix}.mean": float(np.mean([found[f"{prefix}.mean.recall@{k}"] for k in (10, 50)]))}


def made_features(plain: Plain, dimensions: int) -> Tensors:
    """Make unit vectors: images at random, queries near their targets."""
    rng = np.random.default_rng(0)
    made: Tensors = {}
    galleries = list(plain.galleries().items())
    for (gallery, names), (queries, targets) in zip(galleries, plain.targets().items(), strict=True):
        made[gallery] = _unit(rng.normal(size=(len(names), dimensions)))
        rows = {name: row for row, name in enumerate(names)}
        noise = _unit(rng.normal(size=(len(targets), dimensions))) * NOISE
        made[queries] = _unit(made[gallery][[rows[target] for target in targets]] + noise)
    return made


def _unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def make_cirr(root: Path) -> None:
    """Write annotation files of CIRR val's size."""
    rng = np.random.default_rng(1)
    images, queries = CIRR_SIZE
    names = [f"dev-{number}-{number % 4}-img{number % 2}" for number in range(images)]
    rows = []
    for pair in range(queries):
        members = [names[place] for place in rng.choice(images, 6, replace=False)]
        row = {"pairid": pair, "reference": members[0], "target_hard": members[1], "caption": "another one"}
        rows.append({**row, "img_set": {"id": pair, "members": sorted(members)}})
    _write(root / "captions" / "cap.rc2.val.json", rows)
    _write(root / "image_splits" / "split.rc2.val.json", {name: f"./dev/{name}.png" for name in names})


def make_fashioniq(root: Path) -> None:
    """Write annotation files of FashionIQ val's size."""
    rng = np.random.default_rng(2)
    for category, (images, queries) in CATEGORIES.items():
        names = [f"B{number:09d}" for number in range(images)]
        pairs = [rng.choice(images, 2, replace=False) for _ in range(queries)]
        rows = [{"candidate": names[a], "target": names[b], "captions": ["is red", "is long"]} for a, b in pairs]
        _write(root / "captions" / f"cap.{category}.val.json", rows)
        _write(root / "image_splits" / f"split.{category}.val.json", names)


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


if __name__ == "__main__":
    main()
