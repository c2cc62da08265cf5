"""What the libraries underneath would print between the lines of a run."""

from __future__ import annotations

import logging


def quieten_transformers() -> None:
    """Switch off transformers' bars and hints while weights load; what is wrong with the weights is still told."""
    from huggingface_hub.utils.tqdm import enable_progress_bars
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    enable_progress_bars()  # the line above takes them along, and a download of gigabytes needs one
    transformers_logging.set_verbosity_error()
    logging.getLogger("transformers.modeling_utils").setLevel(logging.WARNING)  # weights missing from a checkpoint


def quieten_datasets() -> None:
    """Switch off the bars of `datasets`, which copies Parquet files into its cache within seconds."""
    from datasets import disable_progress_bars

    disable_progress_bars()
