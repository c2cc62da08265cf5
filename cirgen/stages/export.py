"""Export: from verdicts to a dataset repository folder, and to the layouts of others beside it."""

from __future__ import annotations

from cirgen.errors import NothingAcceptedError
from cirgen.publish.counts import accepted_count, count
from cirgen.publish.dataset import build_dataset
from cirgen.publish.folder import remove_folder, replaced_folder
from cirgen.publish.layouts import write_layouts
from cirgen.run_folder import Run

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
        reason = next(iter(counts.reasons), "no text was written")
        raise NothingAcceptedError(
            f"No triplet was accepted, so there is no dataset; the most frequent reason is '{reason}': "
            f"see {run.report}, then change that filter or the prompts."
        )
    with replaced_folder(run.dataset) as root:
        build_dataset(run, root, counts)
    write_layouts(run)
