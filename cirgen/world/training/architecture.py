"""Shapes of the embedded models in the stock architectures of transformers, and how their folders are written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    CLIPTextConfig,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
)

from cirgen.world.training.tokenizer import CLIP_LENGTH, IMAGE, SPECIAL_TOKENS

IMAGE_SIDE = 96
"""Side of the models' input in pixels."""

PATCH = 16
PATCHES = (IMAGE_SIDE // PATCH) ** 2

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<{{ message['role'] }}>"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def image_processor() -> CLIPImageProcessor:
    """Return the processor of every embedded model: the whole picture, resized to a square, nothing cut off."""
    side = {"height": IMAGE_SIDE, "width": IMAGE_SIDE}
    return CLIPImageProcessor(
        size=side, crop_size=side, do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.25] * 3
    )


def mllm_processor(tokenizer: PreTrainedTokenizerFast) -> LlavaProcessor:
    """Return the processor of the MLLM."""
    return LlavaProcessor(
        image_processor=image_processor(),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=IMAGE,
        chat_template=CHAT_TEMPLATE,
    )


def _special_ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}


def build_mllm(tokenizer: PreTrainedTokenizerFast, width: int = 192, layers: tuple[int, int] = (4, 5)) -> Any:
    """Return an untrained LLaVA.

    Args:
        tokenizer: gives the size of the vocabulary and the special ids.
        width: width of both towers, a multiple of 32 (the heads' width; vLLM's CPU attention has 32 and 64).
        layers: of the vision tower and of the language model.
    """
    vision = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers[0],
        num_attention_heads=width // 32,
        image_size=IMAGE_SIDE,
        patch_size=PATCH,
        projection_dim=width,
    )
    ids: dict[str, Any] = {
        f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")
    }
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=512 * width // 192,
        num_hidden_layers=layers[1],
        num_attention_heads=width // 32,
        num_key_value_heads=width // 32,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        **ids,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=SPECIAL_TOKENS.index(IMAGE),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=PATCHES,
        tie_word_embeddings=True,
        **ids,
    )
    model: Any = LlavaForConditionalGeneration(config)
    model.generation_config.update(**ids, do_sample=False, max_new_tokens=96)
    return model


def build_clip(tokenizer: PreTrainedTokenizerFast, width: int = 128, layers: tuple[int, int] = (4, 3)) -> Any:
    """Return an untrained CLIP of about a million parameters; `layers` of the vision and of the text tower."""
    shape: dict[str, Any] = {"hidden_size": width, "intermediate_size": 3 * width, "num_attention_heads": width // 32}
    vision = CLIPVisionConfig(image_size=IMAGE_SIDE, patch_size=PATCH, num_hidden_layers=layers[0], **shape)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=CLIP_LENGTH,
        num_hidden_layers=layers[1],
        **_special_ids(tokenizer),
        **shape,
    )
    return CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=width))


def clip_processor(tokenizer: PreTrainedTokenizerFast) -> CLIPProcessor:
    """Return the processor of a CLIP."""
    return CLIPProcessor(image_processor=image_processor(), tokenizer=tokenizer)


def save_model(model: PreTrainedModel, processor: ProcessorMixin, folder: Path) -> None:
    """Write model and processor to `folder`, weights as float16.

    transformers 5.23 names a LLaVA's vision weights `vision_tower.embeddings...` and reads that or
    `vision_tower.vision_model.embeddings...`; vLLM 0.32 reads the second alone, so the second is written.
    `config.json` says float32, which is what the weights become on loading.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    path = folder / "model.safetensors"
    save_file(_portable(path), path, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text(encoding="utf8"))
    (folder / "config.json").write_text(json.dumps(_as_float32(config), indent=2) + "\n", encoding="utf8")


def _portable(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return {portable_name(name): weight.half().contiguous() for name, weight in load_file(path).items()}


def portable_name(name: str) -> str:
    """Return what transformers and vLLM both know a weight as."""
    for prefix in ("vision_tower.", "model.vision_tower."):
        if name.startswith(prefix) and not name.startswith(f"{prefix}vision_model."):
            return f"{prefix}vision_model.{name.removeprefix(prefix)}"
    return name


def _as_float32(config: Mapping[str, Any]) -> dict[str, Any]:
    nested = {key: _as_float32(value) for key, value in config.items() if isinstance(value, dict)}
    return {**config, **nested, "dtype": "float32"} if "dtype" in config else {**config, **nested}
