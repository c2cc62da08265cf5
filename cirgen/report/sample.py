"""Which rows the report shows: drawn by seed and id, every reason of rejection among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cirgen.captions import captions
from cirgen.parquet_sql import rows_of
from cirgen.run_folder import Run

if TYPE_CHECKING:
    import duckdb

ACCEPTED = 18
REJECTED = 24
REJECTED_EACH = 6
"""Of one reason: the tenth text that is too short tells nothing new."""
CAPTIONS = 12


class Sample:
    """Draws rows of a run.

    Args:
        run: a run with verdicts.
        connection: of its store.
    """

    def __init__(self, run: Run, connection: duckdb.DuckDBPyConnection) -> None:
        self._run = run
        self._connection = connection
        triplets, verdicts = (rows_of(path) for path in (run.triplets, run.verdicts))
        self._judged = f"(SELECT t.*, v.reason FROM {triplets} AS t JOIN {verdicts} AS v USING (triplet_id))"

    def accepted(self, count: int = ACCEPTED) -> list[dict[str, Any]]:
        """Return accepted triplets."""
        return self._rows(f"SELECT * FROM {self._judged} WHERE reason = '' ORDER BY {self._lot('triplet_id')}", count)

    def rejected(self, count: int = REJECTED) -> list[dict[str, Any]]:
        """Return rejected triplets, reasons in turn, so that rare ones are seen too; then by reason."""
        turn = f"row_number() OVER (PARTITION BY reason ORDER BY {self._lot('triplet_id')})"
        often = "count(*) OVER (PARTITION BY reason)"
        turns = f"SELECT *, {turn} AS turn, {often} AS n FROM {self._judged} WHERE reason <> ''"
        query = f"SELECT * FROM ({turns}) WHERE turn <= {REJECTED_EACH} ORDER BY turn, n DESC, reason"
        return sorted(self._rows(query, count), key=lambda row: (-row["n"], row["reason"], row["turn"]))

    def captions(self, count: int = CAPTIONS) -> list[dict[str, Any]]:
        """Return pictures with their captions."""
        source = captions(self._run, self._connection)
        return self._rows(f"SELECT * FROM {source} AS c ORDER BY {self._lot('image_id')}", count)

    def word_counts(self) -> dict[bool, dict[int, int]]:
        """Return accepted or not, to number of words, to number of texts."""
        words = "len(string_split_regex(trim(text), '\\s+'))"
        found = self._connection.execute(
            f"SELECT reason = '', {words}, count(*) FROM {self._judged} WHERE text <> '' GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        counts: dict[bool, dict[int, int]] = {True: {}, False: {}}
        for accepted, length, number in found:
            counts[bool(accepted)][int(length)] = int(number)
        return counts

    def openings(self, words: int, count: int) -> list[tuple[str, int]]:
        """Return the most frequent openings of accepted texts."""
        found = self._connection.execute(
            "SELECT array_to_string(string_split_regex(lower(trim(text)), '\\s+')[:?], ' ') AS opening, count(*) AS n "
            f"FROM {self._judged} WHERE reason = '' GROUP BY 1 ORDER BY n DESC, opening LIMIT ?",
            [words, count],
        ).fetchall()
        return [(str(opening), int(number)) for opening, number in found]

    def _lot(self, column: str) -> str:
        return f"sha256(concat_ws('|', {self._run.recipe.seed}, 'report', {column}))"

    def _rows(self, query: str, count: int) -> list[dict[str, Any]]:
        relation = self._connection.execute(f"{query} LIMIT {count}")
        names = [column[0] for column in relation.description]
        return [dict(zip(names, row, strict=True)) for row in relation.fetchall()]
