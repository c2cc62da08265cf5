"""Which kinds of change a corpus is made of, as it says itself."""

from __future__ import annotations

from collections import Counter

from cirgen.audit.corpus import Corpus
from cirgen.audit.figures import Listed, Section, count, missing, percent

ABOUT = "What the writer was asked for, or what the corpus says; nobody checked that the text is of that kind."
SHOWN = 30


def changes_section(corpus: Corpus) -> Section:
    """Return the shares of the corpus's change types."""
    found = Counter(row.change_type for row in corpus.rows)
    names = (("kinds", "kinds of change"), ("largest", "share of the largest kind"))
    if set(found) == {""}:
        reason = "the corpus does not say what kind of change a row is; name its column with --column change_type=NAME"
        return Section("changes", "Kinds of change", missing(reason, names), ABOUT)
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    listed = Listed("Kinds of change", tuple((kind or "(none)", n) for kind, n in ordered[:SHOWN]), len(corpus.rows))
    figures = (count(*names[0], len(found)), percent(*names[1], ordered[0][1] / len(corpus.rows)))
    return Section("changes", "Kinds of change", figures, ABOUT, (listed,))
