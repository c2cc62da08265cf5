"""The processor of a model: its tokenizer and its image processor, loaded for pictures and nothing else."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cirgen.errors import UserError, one_line
from cirgen.model_files import opened

VIDEO = "video_processor"


def load_processor(folder: Path, name: str, max_pixels: int) -> Any:
    """Return a model's processor, padding on the left: right padding silently spoils texts of decoder-only models.

    Args:
        folder: of the model.
        name: of the model, for errors.
        max_pixels: of a picture; a processor that would enlarge one beyond them is told not to.

    Raises:
        UserError: it has no chat template, or needs a package that is not installed.
    """
    try:
        processor = _load(folder)
    except ImportError as error:
        raise UserError(f"The processor of '{name}' lacks a package: {one_line(error)}") from error
    if not getattr(processor, "chat_template", None):
        raise UserError(f"The processor of '{name}' has no chat template; use an instruct model.")
    processor.tokenizer.padding_side = "left"
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    limit_tiles(processor.image_processor, max_pixels)
    return processor


def _load(folder: Path) -> Any:
    from transformers import AutoProcessor

    if find_spec("torchvision") is None:
        kind = _processor_class(folder)
        if kind is not None and kind.get_attributes()[-1] == VIDEO:
            return opened(_without_videos(kind), folder)
    return opened(AutoProcessor, folder)


def _processor_class(folder: Path) -> Any:
    from transformers import AutoConfig
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    try:
        return PROCESSOR_MAPPING[type(opened(AutoConfig, folder))]
    except KeyError:
        return None


def _without_videos(kind: Any) -> Any:
    """Return a processor class that does without its video processor.

    Those need torchvision, which is large and which pictures do not need; without it, transformers would not load the
    processors of Qwen-VL, SmolVLM, InternVL and LLaVA-OneVision at all.
    """

    class PicturesOnly(kind):  # type: ignore[misc]
        video_processor = SimpleNamespace(num_frames=None, fps=None)  # SmolVLM's chat template asks for them

        @classmethod
        def get_attributes(cls) -> list[str]:
            return [attribute for attribute in super().get_attributes() if attribute != VIDEO]

        @classmethod
        def _get_arguments_from_pretrained(cls, *args: Any, **kwargs: Any) -> list[Any]:
            return [*super()._get_arguments_from_pretrained(*args, **kwargs), None]

    PicturesOnly.__name__ = PicturesOnly.__qualname__ = kind.__name__
    return PicturesOnly


def limit_tiles(image_processor: Any, max_pixels: int) -> None:
    """Keep a processor that enlarges pictures and cuts them into tiles near the pixel limit.

    SmolVLM and Idefics3 scale every picture, however small, up to 2,048 or 1,456 pixels: 17 tiles of 512, each through
    the vision tower. The longest edge becomes the nearest whole number of tiles whose square keeps the limit.
    """
    tile = _longest_edge(getattr(image_processor, "max_image_size", None))
    edge = _longest_edge(getattr(image_processor, "size", None))
    if tile and edge:
        allowed = max(1, round(math.sqrt(max_pixels) / tile)) * tile
        image_processor.size = {"longest_edge": min(edge, allowed)}


def _longest_edge(size: Any) -> int | None:
    try:
        edge = size["longest_edge"]
    except (TypeError, KeyError):
        return None
    return int(edge) if edge else None
