"""A published corpus of an embedded world: a finished run, the truth attached to it, and what only the truth can make.

1. The run's tables under splits by family, with every image that fits, kinds of hard negatives, and slices.
2. Text-first queries, the attributes of every image, the verdict on every mined row.
3. Rankings of three searches, and their recall by slice.
4. What was measured of these very rows: exact truth, oracles; an audit and a bench where they are given.
5. The card, the licence, the recipe, the manifest.

The same run gives the same bytes. Truth enters here, behind generation and filters, which never see it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cirgen.audit.card import card_section
from cirgen.audit.figures import Audit
from cirgen.audit.record import AUDITED, read_audit
from cirgen.errors import NothingAcceptedError, UserError
from cirgen.images import RunImages
from cirgen.publish.card import card
from cirgen.publish.card_page import CARD_NAME
from cirgen.publish.card_pictures import CARD_SIDE, card_pictures
from cirgen.publish.counts import count
from cirgen.publish.dataset import pictures_of, write_tables
from cirgen.publish.folder import replaced_folder
from cirgen.publish.license import license_file
from cirgen.publish.manifest import MANIFEST_NAME, file_hashes, manifest
from cirgen.publish.measured import bench_section, read_bench, truth_section
from cirgen.publish.origins import public_recipe_yaml
from cirgen.publish.parquet import Written
from cirgen.publish.places import public_name
from cirgen.publish.tables import SPLITS
from cirgen.run_folder import Run
from cirgen.world.build import Truth, read_truth
from cirgen.world.corpus.card import corpus_facts
from cirgen.world.corpus.mined import Annotator
from cirgen.world.corpus.parts import parts
from cirgen.world.corpus.questions import EACH, Asker, Question
from cirgen.world.corpus.rankings import BASELINES, EVALUATED, Embedder, Recall, baseline_rows, ranked, recalls
from cirgen.world.corpus.splits import splits, subject_of
from cirgen.world.corpus.subject import Subject
from cirgen.world.corpus.tables import (
    TEXT_FIRST,
    TRUTH,
    CorpusTables,
    attribute_rows,
    attributes_schema,
    question_rows,
    truth_rows,
    write_rows_of,
    write_whole,
)
from cirgen.world.oracle import Solved, as_records, oracles
from cirgen.world.truth_report import as_records as truth_records
from cirgen.world.truth_report import judge_dataset
from cirgen.world.truth_report import slices as truth_slices
from cirgen.world.truth_words import MEANINGS as TRUTH_WORDS

MEASURED = "measured"
"""Folder of the corpus with what was measured of it, as JSON."""
REJECTED_BY = "rejected:"


@dataclass(frozen=True)
class Given:
    """What was measured of an earlier build of the same rows, as far as it is known."""

    audit: Path | None = None
    """audit.json of `cirgen audit`."""
    bench: Path | None = None
    """bench.json of `cirgen bench`."""

    def check(self) -> None:
        """Refuse what cannot be read before anything is made.

        Raises:
            UserError: there is such a file.
        """
        if self.audit is not None:
            read_audit(self.audit)
        if self.bench is not None:
            read_bench(self.bench)


@dataclass(frozen=True)
class Built:
    """What a build wrote."""

    folder: Path
    rows: Mapping[str, int]
    """`config/split` to rows."""
    left_out: Mapping[str, int]
    recalls: Sequence[Recall]

    def record(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "folder": str(self.folder),
            "rows": dict(self.rows),
            "left_out": dict(self.left_out),
            "recalls": [one.record() for one in self.recalls],
        }


def build_corpus(run: Run, out: Path, given: Given | None = None, each: Mapping[str, int] = EACH) -> Built:
    """Write the corpus of a finished run into a folder, which changes as a whole.

    Args:
        run: of pictures that ship (`images.path: cirgen:images` or `cirgen:furniture`).
        out: the dataset repository folder.
        given: what was measured of these rows before.
        each: text-first queries of every stratum, by split.

    Raises:
        UserError: the run is of other images, or not at its end; the folder is something else; an audit or a bench is
            of other rows.
    """
    subject = subject_of(str(getattr(run.recipe.images, "path", "")))
    if not run.verdicts.is_file():
        raise UserError(
            f"{run.folder} is not at its end; run its recipe again: cirgen run RECIPE --output {run.folder}."
        )
    if out.exists() and any(out.iterdir()) and not (out / MANIFEST_NAME).is_file():
        raise UserError(f"{out} holds something else than a corpus; give a new folder with --out.")
    given = given or Given()
    given.check()
    out.parent.mkdir(parents=True, exist_ok=True)
    with replaced_folder(out) as root, run.store.connect() as connection:
        return _Build(run, subject, root, out, each, connection).write(given)


class _Build:
    def __init__(
        self, run: Run, subject: Subject, root: Path, out: Path, each: Mapping[str, int], connection: Any
    ) -> None:
        self._run, self._subject, self._root, self._out, self._each = run, subject, root, out, each
        self._truth = _truth_of(run, subject)
        self._split_of = splits(self._truth, subject.families, subject.images)
        self._annotator = Annotator(self._truth, self._split_of, subject)
        self._tables = CorpusTables(run, connection, self._annotator)
        self._recipe_hash = str(run.read_facts()["recipe_hash"])
        self._embedder: Embedder | None = None

    def write(self, given: Given) -> Built:
        """Write everything."""
        if not any(self._tables.count(split, accepted=True) for split in SPLITS):
            raise NothingAcceptedError("No accepted triplet lies within one split; take more images in (--limit).")
        written = write_tables(self._run, self._root, self._tables, "embed")
        written += self._of_truth()
        found = recalls(self._ranked)
        written += [
            part
            for split in EVALUATED
            for part in write_whole(self._root, "baselines", BASELINES, split, baseline_rows(self._ranked, split))
        ]
        self._texts(written, given, found)
        rows = {f"{one.config}/{one.split}": one.rows for one in written}
        return Built(self._out, rows, self._tables.left_out, found)

    @cached_property
    def _questions(self) -> dict[str, list[Question]]:
        seed = self._run.recipe.seed
        members = {split: [name for name, of in self._split_of.items() if of == split] for split in SPLITS}
        with self._run.progress.step("Ask text-first", len(SPLITS)) as step:
            found = {}
            for split in SPLITS:
                asker = Asker(self._truth, members[split], split, seed, self._subject)
                found[split] = asker.questions(self._each.get(split, 0))
                step.advance()
        return found

    @cached_property
    def _ranked(self) -> list[Any]:
        run = self._run
        images = RunImages(run.catalog, run.store.root / "ingest")
        self._embedder = Embedder(self._truth.image_ids, images, self._subject.encoder)
        return ranked(
            self._embedder, list(parts(self._tables, self._recipe_hash, self._questions)), self._subject.depth
        )

    def _of_truth(self) -> list[Written]:
        def asked(split: str) -> Any:
            return question_rows(self._questions[split], split, self._annotator, self._subject.written_by)

        return [
            *write_rows_of(self._root, "text_first", TEXT_FIRST, asked),
            *write_whole(
                self._root,
                "attributes",
                attributes_schema(self._truth.world),
                "train",
                attribute_rows(self._truth, self._split_of),
            ),
            *write_rows_of(self._root, "truth", TRUTH, lambda split: truth_rows(self._tables, split)),
        ]

    def _texts(self, written: Sequence[Written], given: Given, found: Sequence[Recall]) -> None:
        run, root, tables = self._run, self._root, self._tables
        licenses, counts = tables.licenses(), count(run)
        solved = oracles(self._truth.figures, self._truth.families, world=self._truth.world)
        facts = corpus_facts(self._subject, tables, self._questions, self._split_of, found, solved, self._ranked)
        shown = card_pictures(root, tables, pictures_of(run, CARD_SIDE))

        def write_card(sections: Mapping[str, str]) -> None:
            template, more = self._subject.template, {"corpus": facts}
            text = card(run, tables, counts, written, licenses, "embed", sections, shown, template, more)
            (root / CARD_NAME).write_text(text, encoding="utf8")

        (root / "LICENSE").write_text(license_file(run.recipe.export.license, licenses, True), encoding="utf8")
        (root / "recipe.yaml").write_text(public_recipe_yaml(run), encoding="utf8")
        sections = self._sections(given, found, solved)
        write_card(sections)  # whoever checks a bench loads these rows, which takes a card
        if given.bench is not None:
            record = bench_of(root, given.bench)
            self._lay("bench", record)
            write_card({**sections, "bench": bench_section(record)})
        record = json.loads(manifest(run, root, counts, written, tables.scores))
        split_sizes = Counter(self._split_of.values())
        assert self._embedder is not None
        record["corpus"] = {
            "images_by_split": {split: split_sizes[split] for split in SPLITS},
            "left_out": tables.left_out,
            "baseline_encoder": self._embedder.content,
        }
        (root / MANIFEST_NAME).write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf8")

    def _sections(self, given: Given, found: Sequence[Recall], solved: Sequence[Solved]) -> dict[str, str]:
        """Return the measured sections of the card, and lay their records beside it."""
        truth = self._truth_record()
        records: dict[str, Any] = {
            "truth": truth,
            "baselines": [one.record() for one in found],
            "oracles": as_records(solved),
        }
        sections = {"truth": truth_section(truth)}
        if given.audit is not None:
            audit = audit_of(self._root, given.audit)
            sections["audit"] = card_section(audit)
            records["audit"] = audit.record()
        for name, record in records.items():
            self._lay(name, record)
        return sections

    def _lay(self, name: str, record: Any) -> None:
        """Lay a record of what was measured beside the card."""
        path = self._root / MEASURED / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf8")

    def _truth_record(self) -> dict[str, Any]:
        """Return what `cirgen world truth` counts in the new tables."""
        gallery, judged = judge_dataset(self._root, self._subject.table)
        found = truth_records(truth_slices(gallery, judged))
        kept = {name: part for name, part in found.items() if not name.startswith(REJECTED_BY)}
        return {"slices": kept, "meanings": dict(TRUTH_WORDS)}


def audit_of(root: Path, path: Path) -> Audit:
    """Return an audit, once it is sure that it is of the rows of this folder.

    Raises:
        UserError: it is of others, or cannot be read.
    """
    audit = read_audit(path)
    if audit.files != _audited(root):
        raise UserError(f"{path} is an audit of other rows; give that of `cirgen audit` on this corpus.")
    return audit


def bench_of(root: Path, path: Path) -> dict[str, Any]:
    """Return the record of a bench, once it is sure that it is of the rows of this folder.

    Raises:
        UserError: it is of others, or cannot be read.
    """
    from cirgen_benchmark.data.corpus import Corpus

    record = read_bench(path)
    if Corpus(root).fingerprint not in record["corpora"].values():
        raise UserError(f"{path} is of other rows; give the bench.json of `cirgen bench` on this corpus.")
    return {**record, "corpus": public_name(str(record["corpus"]))}


def _audited(root: Path) -> dict[str, str]:
    return {name: sha for name, sha in file_hashes(root).items() if name.startswith(AUDITED)}


def _truth_of(run: Run, subject: Subject) -> Truth:
    """Return the attributes of the images that a run took in, in the order of their ids."""
    import pyarrow.parquet as pq

    there = set(pq.read_table(run.catalog, columns=["image_id"]).column("image_id").to_pylist())
    whole = read_truth(subject.table)
    rows = [row for row, name in enumerate(whole.image_ids) if name in there]
    if len(rows) < len(there):
        raise UserError(f"{len(there) - len(rows)} images of {run.folder} have no attributes; run the recipe again.")
    return Truth(
        [whole.image_ids[row] for row in rows],
        [whole.figures[row] for row in rows],
        [whole.families[row] for row in rows],
        whole.world,
    )
