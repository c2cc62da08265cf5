"""The section of a card that comes from an audit of these very rows.

`cirgen audit RUN --card` leaves `RUN/audit.json`. It enters the card where it is of the files that are being exported,
by their hashes, and nowhere else: a run that nobody audited, or whose rows changed since, has the card of its tables
alone. So an export still depends on store and recipe, and on that file where there is one.
"""

from __future__ import annotations

from pathlib import Path

from cirgen.audit.card import card_section
from cirgen.audit.record import AUDITED, JSON_NAME, read_audit
from cirgen.publish.manifest import file_hashes
from cirgen.run_folder import Run


def audit_section(run: Run, root: Path) -> str:
    """Return the section, or nothing where there is no audit of the dataset that is being written.

    Args:
        run: the run.
        root: its new dataset folder, with the tables in it.
    """
    path = run.folder / JSON_NAME
    if not path.is_file():
        return ""
    audit = read_audit(path)
    files = {name: sha for name, sha in file_hashes(root).items() if name.startswith(AUDITED)}
    if audit.files != files:
        run.progress.say(
            f"{path} is an audit of other rows, so the card goes without it: give `cirgen audit {run.folder} --card`."
        )
        return ""
    return card_section(audit)
