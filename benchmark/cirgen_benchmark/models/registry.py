"""The families of retrieval models by name, and how one is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import ValidationError

from cirgen.errors import UserError
from cirgen.model_files import ModelFiles, find_model, opened
from cirgen_benchmark.models.blip import BlipRetriever
from cirgen_benchmark.models.blip2 import Blip2Retriever
from cirgen_benchmark.models.clip import ClipRetriever
from cirgen_benchmark.models.combiner import CombinerRetriever
from cirgen_benchmark.models.stock import Origin, StockOptions, StockRetriever
from cirgen_benchmark.models.tgcir import TgcirRetriever

FAMILIES: Mapping[str, type[StockRetriever]] = {
    "clip": ClipRetriever,
    "combiner": CombinerRetriever,
    "tgcir": TgcirRetriever,
    "blip": BlipRetriever,
    "blip2": Blip2Retriever,
}


def load_retriever(family: str, model: str, revision: str | None = None, **options: Any) -> StockRetriever:
    """Load a retrieval model in evaluation mode, float32, on the CPU.

    Args:
        family: a key of `FAMILIES`.
        model: hub id, local folder or `cirgen:NAME` of a transformers checkpoint with tokenizer and image processor.
        revision: of a hub id.
        options: fields of the family's `Options`.

    Raises:
        UserError: an unknown family or option, a checkpoint of another architecture, or one that lacks weights.
    """
    settings = _options(family, options)
    return _load(family, settings, find_model(model, revision), revision)


def load_origin(origin: Origin, model: str | None = None) -> StockRetriever:
    """Load the base model that a retriever was made from.

    Args:
        origin: of the retriever.
        model: where the base model is now, where that is not where it was.

    Raises:
        UserError: as `load_retriever`, or the model found is another one.
    """
    files = find_model(model or origin.model, origin.revision)
    if files.content != origin.content:
        raise UserError(f"'{files.name}' is not the model that the weights were trained from; name that one.")
    return _load(origin.family, _options(origin.family, origin.options), files, origin.revision)


def _load(family: str, options: StockOptions, files: ModelFiles, revision: str | None) -> StockRetriever:
    kind = FAMILIES[family]
    _check_architecture(family, kind, files)
    retriever = kind(_stock_model(family, kind, files), *_processors(files), options)
    retriever.origin = Origin(family, files.name, revision, files.content, options.model_dump(mode="json"))
    return retriever.eval()


def _options(family: str, options: Mapping[str, Any]) -> StockOptions:
    if family not in FAMILIES:
        raise UserError(f"'{family}' is no family of retrieval models; choose one of {', '.join(FAMILIES)}.")
    kind = FAMILIES[family].Options
    try:
        return kind.model_validate(options)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        known = ", ".join(kind.model_fields)
        raise UserError(f"The options of family '{family}' are wrong ({wrong}); it knows {known}.") from error


def _check_architecture(family: str, kind: type[StockRetriever], files: ModelFiles) -> None:
    found = json.loads((files.folder / "config.json").read_text(encoding="utf8")).get("model_type")
    if found not in kind.model_types:
        raise UserError(
            f"Family '{family}' is built from {' or '.join(kind.model_types)} checkpoints and '{files.name}' is of "
            f"type {found}; name another model or another family."
        )


def _stock_model(family: str, kind: type[StockRetriever], files: ModelFiles) -> Any:
    import transformers

    loader = getattr(transformers, kind.stock_class)
    model, report = opened(loader, files.folder, dtype=torch.float32, output_loading_info=True)
    missing = sorted(report["missing_keys"])
    if missing:
        raise UserError(
            f"'{files.name}' lacks {len(missing)} weights that family '{family}' needs ({', '.join(missing)}); name a "
            f"checkpoint of {kind.stock_class}."
        )
    return model


def _processors(files: ModelFiles) -> tuple[Any, Any]:
    """Return tokenizer and image processor, each by itself: BLIP-2's joint processor adds a token of its own."""
    from transformers import AutoImageProcessor, AutoTokenizer

    return opened(AutoTokenizer, files.folder), opened(AutoImageProcessor, files.folder)
