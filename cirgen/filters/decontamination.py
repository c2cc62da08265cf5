"""Triplets whose pictures a benchmark has: training on them is training on the test.

LaSCo and CIRCO are both made of COCO, CIRR's pictures are NLVR2's; of the generated corpora one, VDG, says that it
leaves benchmark pictures out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from cirgen.errors import UserError
from cirgen.filters.base import Filter, FilterSettings, Score, ScoreNote
from cirgen.filters.tools import NEAR, SAME_FILE, SAME_PIXELS, Tools
from cirgen.fingerprints import contents, read_fingerprints
from cirgen.progress import Progress
from cirgen.resources import local_path
from cirgen.settings import Name

_LEVELS = {"near": NEAR, "pixels": SAME_PIXELS, "file": SAME_FILE}
_VALUES = f"0 not found, {NEAR} a near duplicate is, {SAME_PIXELS} its pixels are, {SAME_FILE} the very file is"


class DecontaminationSettings(FilterSettings):
    """What the corpus must not share pictures with."""

    name: Literal["decontamination"] = "decontamination"
    against: tuple[Name, ...] = Field(min_length=1)
    """Folders of a benchmark's pictures, or lists of their fingerprints (`cirgen fingerprint`)."""
    match: Literal["near", "pixels", "file"] = "near"
    """How near is too near: near duplicates, as the run's own groups have them, the same pixels, or the same file."""

    def contents(self, progress: Progress) -> dict[str, str]:
        """Return the hash of the fingerprints."""
        return {"against": contents(read_fingerprints(place, progress) for place in self.against)}

    def check_files(self) -> None:
        """Look whether there is something to compare with."""
        for place in self.against:
            if not (local_path(place).is_dir() or local_path(place).is_file()):
                raise UserError(f"There is nothing at {local_path(place)}; correct decontamination.against.")


class Decontamination(Filter):
    """Looks for reference and target among known pictures."""

    Settings = DecontaminationSettings
    judges_text = False
    score_notes: ClassVar[Mapping[str, ScoreNote]] = {
        "reference": ScoreNote("whether the lists of `against` have the reference", _VALUES, "from `match` on"),
        "target": ScoreNote("whether the lists of `against` have the target", _VALUES, "from `match` on"),
    }
    decides_on = ()

    def __init__(self, settings: DecontaminationSettings) -> None:
        self.settings = settings

    def against(self) -> tuple[str, ...]:
        """Return the folders and lists."""
        return self.settings.against

    def score(self, triplets: pa.RecordBatch, tools: Tools) -> list[Score]:
        """Look both pictures up."""
        known = tools.known_pictures()
        pairs = zip(
            *(known.matches(triplets.column(f"{end}_id").to_pylist()) for end in ("reference", "target")), strict=True
        )
        return [
            Score(
                {"reference": float(one.level), "target": float(other.level)},
                "; ".join(dict.fromkeys(match.where for match in (one, other) if match.where)),
            )
            for one, other in pairs
        ]

    def decide(self, triplets: pa.Table) -> list[str]:
        """Reject what is found, the reference first."""
        least = _LEVELS[self.settings.match]
        return [
            "reference in a benchmark"
            if row["reference"] >= least
            else "target in a benchmark"
            if row["target"] >= least
            else ""
            for row in triplets.select(["reference", "target"]).to_pylist()
        ]
