"""What the libraries underneath would print between the lines of a run."""

from __future__ import annotations

import logging
import os
import sys


def quieten_transformers() -> None:
    """Switch off transformers' hints, before or after it is imported; what is wrong with weights is still told."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # read when it is imported, here or in a worker
    if "transformers" in sys.modules:
        from transformers.utils import logging as transformers_logging

        transformers_logging.set_verbosity_error()
    logging.getLogger("transformers.modeling_utils").setLevel(logging.WARNING)  # weights missing from a checkpoint


def quieten_datasets() -> None:
    """Switch off the bars of `datasets`, which copies Parquet files into its cache within seconds."""
    from datasets import disable_progress_bars

    disable_progress_bars()
