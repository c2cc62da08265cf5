"""Export: from verdicts to a dataset repository folder, and to the layouts of others beside it."""

from __future__ import annotations

from cirgen.errors import NothingAcceptedError
from cirgen.publish.counts import Counts, accepted_count, count
from cirgen.publish.dataset import build_dataset
from cirgen.publish.folder import remove_folder, replaced_folder
from cirgen.publish.layouts import write_layouts
from cirgen.report.failures import worst_failure
from cirgen.run_folder import Run
from cirgen.schemas import RERUN_STATUSES, UNWRITTEN

__all__ = ["accepted_count", "export"]


def export(run: Run) -> None:
    """Write `RUN/dataset/`, then `RUN/layouts/`, each as a whole: a kill leaves the old one or the new one.

    Raises:
        NothingAcceptedError: no triplet passed; what earlier settings left in either place is removed then, since it
            is not this recipe's.
        UserError: an image that goes into the dataset can no longer be read.
    """
    counts = count(run)
    if not counts.accepted:
        remove_folder(run.dataset)
        remove_folder(run.layouts)
        raise NothingAcceptedError(f"No triplet was accepted, so there is no dataset; {_why_nothing(run, counts)}")
    with replaced_folder(run.dataset) as root:
        build_dataset(run, root, counts)
    write_layouts(run)


def _why_nothing(run: Run, counts: Counts) -> str:
    """Return the most frequent reason, and what to do about it."""
    reason = next(iter(counts.reasons), "no text was written")
    worst = worst_failure(run, "modify")
    if worst is not None and reason == f"{UNWRITTEN}: {worst.status}" and worst.status in RERUN_STATUSES:
        return (
            f"most texts were not written ({worst.status}: {worst.error}); mend that and give the same command again: "
            "what was answered is kept."
        )
    return f"the most frequent reason is '{reason}': see {run.report}, then change that filter or the prompts."
