"""The rows that are shown are the worst of their kind."""

from __future__ import annotations

import numpy as np

from cirgen.audit.audit import Findings
from cirgen.audit.corpus import Corpus, Facts, Row
from cirgen.audit.figures import Audit
from cirgen.audit.judged import Judged
from cirgen.audit.worst import EACH, worst


def test_leaks_are_shown_worst_first_and_counted() -> None:
    facts = {"b": Facts("a brown dog on green grass")}
    texts = ["brown dog green grass", "brown dog", "a cat", *["brown dog green"] * 9]
    rows = tuple(Row(f"r{n}", "all", "g", "a", text, "b") for n, text in enumerate(texts))
    found = Findings(Corpus("made", "made", rows, {"g": ("a", "b")}, facts), Audit("made", "made", "0"))
    (kind,) = worst(found)
    assert kind.title == "Texts that leak the target"
    assert kind.total == 11
    assert len(kind.rows) == EACH
    assert [one.row.text for one in kind.rows[:2]] == ["brown dog green grass", "brown dog green"]
    assert kind.rows[0].remark == "100% of the target's caption: a brown dog on green grass"


def test_what_the_judge_doubts_most_is_shown_first() -> None:
    rows = tuple(Row(f"r{n}", "all", "g", "a", f"text {n}", "b") for n in range(4))
    yes = np.array([0.4, 0.1, 0.9, np.nan])
    judged = tuple(
        Judged(row, None if np.isnan(own) else float(own), None, "", None, 1.0)
        for row, own in zip(rows, yes, strict=True)
    )
    found = Findings(Corpus("made", "made", rows, {"g": ("a", "b")}), Audit("made", "made", "0"), judged=judged)
    (kind,) = worst(found)
    assert (kind.title, kind.total) == ("Judged wrong", 2)
    assert [one.row.row_id for one in kind.rows] == ["r1", "r0"]


def test_a_corpus_without_faults_shows_none() -> None:
    row = Row("r", "all", "g", "a", "make it red", "b")
    assert worst(Findings(Corpus("made", "made", (row,), {"g": ("a", "b")}), Audit("made", "made", "0"))) == []
