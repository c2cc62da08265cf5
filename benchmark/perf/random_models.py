"""Models of the families that people name, with random weights and a tokenizer made here: shapes without knowledge.

Speed does not depend on the values of weights, and what a model says does not matter to a test of plumbing. So a model
of a real architecture is built offline from the numbers of its configuration, in the layout of files that the Hub has.
`tiny` is for tests; the other shapes have the sizes of models that are in use.

Run: python benchmark/perf/random_models.py smolvlm OUT_DIR [--shape smolvlm-256m] [--ends-each 20]
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from cirgen.prompts import list_prompts

MERGED = 2048
"""Tokens of a tokenizer at most: byte pairs of the prompts that ship with cirgen."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a model: those of its language model, then those of its vision tower."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    vocabulary: int
    """Rows of the embedding at least; 0 for as many as the tokenizer has tokens."""
    vision_hidden: int
    vision_layers: int
    vision_heads: int
    vision_ffn: int
    image_side: int
    """Pixels of a picture, or of a tile of it; families of native resolution take it as the largest side."""
    patch: int
    """Pixels of the side of a patch."""
    spread: float = 0.02
    """Standard deviation of the weights: below about 2 / sqrt(hidden), a model repeats one token for ever."""


SHAPES = {
    "tiny": Shape(32, 2, 4, 2, 64, 0, 32, 2, 2, 48, 56, 14, spread=0.2),
    "small": Shape(512, 8, 8, 8, 1408, 8192, 384, 6, 6, 1536, 224, 14, spread=0.1),
    "smolvlm-256m": Shape(576, 30, 9, 3, 1536, 49_280, 768, 12, 12, 3072, 512, 16, spread=0.1),
    "llava-1.5-7b": Shape(4096, 32, 32, 32, 11_008, 32_064, 1024, 24, 16, 4096, 336, 14, spread=0.035),
    "qwen2.5-vl-7b": Shape(3584, 28, 28, 4, 18_944, 152_064, 1280, 32, 16, 3420, 1008, 14, spread=0.037),
    "qwen3-vl-8b": Shape(4096, 36, 32, 8, 12_288, 151_936, 1152, 27, 16, 4304, 768, 16, spread=0.035),
}
"""`small` has 34 M parameters: enough that arithmetic outweighs the overhead of Python, even on one core.

The others have the numbers of the models' own configurations, and so as many parameters: 256,484,928, 7,063,427,072,
8,292,166,656 and 8,767,123,696 (a test counts them).
"""

OF_THE_HUB = {
    "HuggingFaceTB/SmolVLM-256M-Instruct": ("smolvlm", "smolvlm-256m"),
    "llava-hf/llava-1.5-7b-hf": ("llava", "llava-1.5-7b"),
    "Qwen/Qwen2.5-VL-7B-Instruct": ("qwen2.5-vl", "qwen2.5-vl-7b"),
    "Qwen/Qwen3-VL-8B-Instruct": ("qwen3-vl", "qwen3-vl-8b"),
}
"""Family and shape of the models that recipes name."""

LLAVA = ("<s>", "</s>", "<pad>", "<image>")
QWEN = (
    "<|endoftext|>", "<|im_end|>", "<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<|video_pad|>",
)  # fmt: skip
IDEFICS = (
    "<|im_start|>", "<end_of_utterance>", "<pad>", "<image>", "<fake_token_around_image>", "<global-img>", "<video>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
)  # fmt: skip
INTERNVL = ("<|endoftext|>", "<|im_end|>", "<|im_start|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>")
GEMMA = (
    "<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>",
    "<image_soft_token>",
)  # fmt: skip
"""Special tokens of each family, ids from 0 in this order."""


def template(before: str, image: str, after: str, opening: str = "", between: str = "") -> str:
    """Return a chat template: what comes first of all, around each turn, and where an image stands."""
    part = f"{{% if part['type'] == 'image' %}}{image}{{% else %}}{{{{ part['text'] }}}}{between}{{% endif %}}"
    turn = f"{before}{{% for part in message['content'] %}}{part}{{% endfor %}}{after}"
    return f"{opening}{{% for message in messages %}}{turn}{{% endfor %}}"


CHATML = (
    template(
        "<|im_start|>{{ message['role'] }}\n",
        "<|vision_start|><|image_pad|><|vision_end|>",
        "<|im_end|>\n",
    )
    + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """What of a family is not a size."""

    tokens: tuple[str, ...]
    """Special tokens."""
    roles: dict[str, str]
    """Names that the processor looks for in the tokenizer, such as `image_token`."""
    template: str
    config: Callable[[Shape, Callable[[str], int]], Any]
    """The configuration of the model, given sizes and the ids of special tokens."""
    processor: Callable[[Shape], dict[str, Any]]
    """`processor_config.json`."""
    images: Callable[[Shape], dict[str, Any]]
    """`preprocessor_config.json`."""
    adds_bos: bool = False
    """Whether the tokenizer sets the first special token before every text."""


def text_config(shape: Shape, kind: str, **more: Any) -> dict[str, Any]:
    """Return the numbers of a language model of the Llama kin."""
    return {
        "model_type": kind, "hidden_size": shape.hidden, "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads, "intermediate_size": shape.ffn,
        "vocab_size": shape.vocabulary, "head_dim": shape.hidden // shape.heads, "initializer_range": shape.spread,
        "max_position_embeddings": 32_768, **more,
    }  # fmt: skip


def vision_config(shape: Shape, kind: str, **more: Any) -> dict[str, Any]:
    """Return the numbers of a vision transformer."""
    return {
        "model_type": kind, "hidden_size": shape.vision_hidden, "num_hidden_layers": shape.vision_layers,
        "num_attention_heads": shape.vision_heads, "intermediate_size": shape.vision_ffn,
        "image_size": shape.image_side, "patch_size": shape.patch, "initializer_range": shape.spread, **more,
    }  # fmt: skip


def fixed_images(kind: str, **more: Any) -> Callable[[Shape], dict[str, Any]]:
    """Return the settings of an image processor that makes every picture, or tile, the same square."""

    def settings(shape: Shape) -> dict[str, Any]:
        square = {"height": shape.image_side, "width": shape.image_side}
        return {
            "image_processor_type": kind, "do_resize": True, "do_rescale": True, "do_normalize": True,
            "do_convert_rgb": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 3, "size": square,
            "rescale_factor": 1 / 255, **more,
        }  # fmt: skip

    return settings


def clip_images(kind: str) -> Callable[[Shape], dict[str, Any]]:
    """Return the settings of an image processor of CLIP: shortest side, then the centre."""

    def settings(shape: Shape) -> dict[str, Any]:
        square = {"height": shape.image_side, "width": shape.image_side}
        grid = [[shape.image_side, 2 * shape.image_side], [2 * shape.image_side, shape.image_side]]
        more = {"size": {"shortest_edge": shape.image_side}, "crop_size": square, "do_center_crop": True}
        return fixed_images(kind, **more)(shape) | ({"image_grid_pinpoints": grid} if "Next" in kind else {})

    return settings


def native_images(squares: int) -> Callable[[Shape], dict[str, Any]]:
    """Return the settings of an image processor that keeps the shape of pictures, of so many squares at most."""

    def settings(shape: Shape) -> dict[str, Any]:
        size = {"shortest_edge": 4 * shape.patch**2, "longest_edge": squares * shape.image_side**2}
        more = {"patch_size": shape.patch, "merge_size": 2, "temporal_patch_size": 2}
        return fixed_images("Qwen2VLImageProcessor", size=size, **more)(shape)

    return settings


def tiled_images(kind: str) -> Callable[[Shape], dict[str, Any]]:
    """Return the settings of an image processor that enlarges pictures and cuts them into tiles, as SmolVLM's does."""

    def settings(shape: Shape) -> dict[str, Any]:
        edges = {"size": {"longest_edge": 4 * shape.image_side}, "max_image_size": {"longest_edge": shape.image_side}}
        return fixed_images(kind, do_image_splitting=True, do_pad=True, **edges)(shape)

    return settings


def _llava(shape: Shape, token: Callable[[str], int]) -> Any:
    from transformers import LlavaConfig

    return LlavaConfig(
        text_config=text_config(shape, "llama"), vision_config=vision_config(shape, "clip_vision_model"),
        image_token_index=token("<image>"), vision_feature_layer=-2, image_seq_length=_patches(shape),
    )  # fmt: skip


def _llava_next(shape: Shape, token: Callable[[str], int]) -> Any:
    from transformers import LlavaNextConfig

    return LlavaNextConfig(
        text_config=text_config(shape, "mistral"), vision_config=vision_config(shape, "clip_vision_model"),
        image_token_index=token("<image>"), image_seq_length=_patches(shape),
        image_grid_pinpoints=clip_images("LlavaNextImageProcessor")(shape)["image_grid_pinpoints"],
    )  # fmt: skip


def _qwen2_5_vl(shape: Shape, token: Callable[[str], int]) -> Any:
    from transformers import Qwen2_5_VLConfig

    rope = {"rope_type": "default", "mrope_section": _sections(shape), "rope_theta": 1e6}
    return Qwen2_5_VLConfig(
        text_config=text_config(shape, "qwen2_5_vl_text", rope_parameters=rope, bos_token_id=0, eos_token_id=1),
        vision_config=_qwen_vision(shape) | {
            "model_type": "qwen2_5_vl_vision", "window_size": 8 * shape.patch,
            "fullatt_block_indexes": list(range(shape.vision_layers - 1, 0, -8)),
        },
        **_qwen_tokens(token),
    )  # fmt: skip


def _qwen3_vl(shape: Shape, token: Callable[[str], int]) -> Any:
    from transformers import Qwen3VLConfig

    rope = {"rope_type": "default", "mrope_section": _sections(shape), "mrope_interleaved": True, "rope_theta": 5e6}
    return Qwen3VLConfig(
        text_config=text_config(shape, "qwen3_vl_text", rope_parameters=rope),
        vision_config=_qwen_vision(shape) | {
            "model_type": "qwen3_vl_vision", "num_position_embeddings": _patches(shape),
            "deepstack_visual_indexes": sorted({shape.vision_layers * layer // 27 for layer in (8, 16, 24)}),  # of 27
        },
        **_qwen_tokens(token),
    )  # fmt: skip


def _qwen_vision(shape: Shape) -> dict[str, Any]:
    return {
        "depth": shape.vision_layers, "hidden_size": shape.vision_hidden, "intermediate_size": shape.vision_ffn,
        "num_heads": shape.vision_heads, "patch_size": shape.patch, "out_hidden_size": shape.hidden,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "initializer_range": shape.spread,
    }  # fmt: skip


def _qwen_tokens(token: Callable[[str], int]) -> dict[str, int]:
    names = ("image_pad", "video_pad", "vision_start", "vision_end")
    return {f"{name.removesuffix('_pad')}_token_id": token(f"<|{name}|>") for name in names}


def _sections(shape: Shape) -> list[int]:
    """Return how the half of a head's dimensions falls on time, height and width."""
    half = shape.hidden // shape.heads // 2
    side = 3 * half // 8
    return [half - 2 * side, side, side]


def _idefics(name: str, kind: str) -> Callable[[Shape, Callable[[str], int]], Any]:
    def config(shape: Shape, token: Callable[[str], int]) -> Any:
        import transformers

        ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
        return getattr(transformers, name)(
            text_config=text_config(shape, "llama", **ids), vision_config=vision_config(shape, kind),
            image_token_id=token("<image>"), scale_factor=_scale(shape), pad_token_id=2,
        )  # fmt: skip

    return config


def _scale(shape: Shape) -> int:
    return 4 if _patches(shape) >= 1024 else 2


def _internvl(shape: Shape, token: Callable[[str], int]) -> Any:
    from transformers import InternVLConfig

    side = [shape.image_side, shape.image_side]
    vision = vision_config(shape, "internvl_vision") | {"image_size": side, "patch_size": [shape.patch, shape.patch]}
    return InternVLConfig(
        text_config=text_config(shape, "qwen2"), vision_config=vision, image_token_id=token("<IMG_CONTEXT>"),
        image_seq_length=_patches(shape) // 4,
    )  # fmt: skip


def _gemma3(shape: Shape, token: Callable[[str], int]) -> Any:
    from transformers import Gemma3Config

    text = text_config(
        shape, "gemma3_text", sliding_window=1024, sliding_window_pattern=2, tie_word_embeddings=False,
        query_pre_attn_scalar=shape.hidden // shape.heads,
    )  # fmt: skip
    return Gemma3Config(
        tie_word_embeddings=False, text_config=text,
        vision_config=vision_config(shape, "siglip_vision_model", vision_use_head=False),
        mm_tokens_per_image=_patches(shape) // 4, image_token_index=token("<image_soft_token>"),
        boi_token_index=token("<start_of_image>"), eoi_token_index=token("<end_of_image>"),
    )  # fmt: skip


def _llava_onevision(shape: Shape, token: Callable[[str], int]) -> Any:
    from transformers import LlavaOnevisionConfig

    side = shape.image_side
    return LlavaOnevisionConfig(
        text_config=text_config(shape, "qwen2"),
        vision_config=vision_config(shape, "siglip_vision_model", vision_use_head=False),
        image_token_index=token("<image>"), video_token_index=token("<video>"),
        image_grid_pinpoints=[[side, side], [side, 2 * side], [2 * side, side]],
    )  # fmt: skip


def _onevision_images(shape: Shape) -> dict[str, Any]:
    side = shape.image_side
    grid = [[side, side], [side, 2 * side], [2 * side, side]]
    return fixed_images("LlavaOnevisionImageProcessor", image_grid_pinpoints=grid, do_pad=True)(shape)


def _patches(shape: Shape) -> int:
    return (shape.image_side // shape.patch) ** 2


def _llava_processor(name: str) -> Callable[[Shape], dict[str, Any]]:
    def settings(shape: Shape) -> dict[str, Any]:
        return {
            "processor_class": name, "patch_size": shape.patch, "num_additional_image_tokens": 1,
            "vision_feature_select_strategy": "default", "image_token": "<image>",
        }  # fmt: skip

    return settings


IDEFICS_TEMPLATE = (
    template("{% if loop.first %}<|im_start|>{% endif %}User:", "<image>", "<end_of_utterance>\n")
    + "{% if add_generation_prompt %}Assistant:{% endif %}"
)
ONEVISION_TEMPLATE = CHATML.replace("<|vision_start|><|image_pad|><|vision_end|>", "<image>\n")

FAMILIES = {
    "llava": Family(
        LLAVA, {"image_token": "<image>"},
        template("USER: ", "<image>\n", "ASSISTANT:", between=" "), _llava,
        _llava_processor("LlavaProcessor"), clip_images("CLIPImageProcessor"), adds_bos=True,
    ),
    "llava-next": Family(
        LLAVA, {"image_token": "<image>"},
        template("[INST] ", "<image>\n", "[/INST]", between=" "), _llava_next,
        _llava_processor("LlavaNextProcessor"), clip_images("LlavaNextImageProcessor"), adds_bos=True,
    ),
    "llava-onevision": Family(
        (*QWEN[:3], "<image>", "<video>"), {"image_token": "<image>", "video_token": "<video>"}, ONEVISION_TEMPLATE,
        _llava_onevision,
        lambda shape: {
            "processor_class": "LlavaOnevisionProcessor", "num_image_tokens": _patches(shape),
            "vision_feature_select_strategy": "full",
        },
        _onevision_images,
    ),
    "qwen2.5-vl": Family(
        QWEN, {}, CHATML, _qwen2_5_vl, lambda _: {"processor_class": "Qwen2_5_VLProcessor"}, native_images(1),
    ),
    "qwen3-vl": Family(
        QWEN, {}, CHATML, _qwen3_vl, lambda _: {"processor_class": "Qwen3VLProcessor"}, native_images(1),
    ),
    "smolvlm": Family(
        IDEFICS, {}, IDEFICS_TEMPLATE, _idefics("SmolVLMConfig", "smolvlm_vision"),
        lambda shape: {"processor_class": "SmolVLMProcessor", "image_seq_len": _patches(shape) // _scale(shape) ** 2},
        tiled_images("SmolVLMImageProcessor"),
    ),
    "idefics3": Family(
        IDEFICS, {}, IDEFICS_TEMPLATE, _idefics("Idefics3Config", "idefics3_vision"),
        lambda shape: {"processor_class": "Idefics3Processor", "image_seq_len": _patches(shape) // _scale(shape) ** 2},
        tiled_images("Idefics3ImageProcessor"),
    ),
    "internvl": Family(
        INTERNVL,
        {
            "start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
        CHATML.replace("<|vision_start|><|image_pad|><|vision_end|>", "<IMG_CONTEXT>\n"), _internvl,
        lambda shape: {"processor_class": "InternVLProcessor", "image_seq_length": _patches(shape) // 4},
        fixed_images("GotOcr2ImageProcessor", crop_to_patches=True, min_patches=1, max_patches=4),
    ),
    "gemma3": Family(
        GEMMA,
        {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"},
        template(
            "<start_of_turn>{{ message['role'] }}\n", "<start_of_image>", "<end_of_turn>\n",
            opening="{{ bos_token }}",
        ) + "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
        _gemma3, lambda shape: {"processor_class": "Gemma3Processor", "image_seq_length": _patches(shape) // 4},
        fixed_images("Gemma3ImageProcessor", do_pan_and_scan=False), adds_bos=True,
    ),
}  # fmt: skip
"""Everything by the name that the command takes."""

ROLES = {
    "<s>": "bos_token", "</s>": "eos_token", "<bos>": "bos_token", "<end_of_turn>": "eos_token", "<pad>": "pad_token",
    "<|im_end|>": "eos_token", "<|endoftext|>": "pad_token", "<end_of_utterance>": "eos_token",
}  # fmt: skip
"""What a special token is for, whatever the family."""


def build(
    family: str,
    folder: Path,
    shape: str = "tiny",
    *,
    dtype: str = "float32",
    device: str = "cpu",
    ends_each: int = 0,
) -> Path:
    """Write a model with random weights (always the same ones), its tokenizer and its processor, and return `folder`.

    Args:
        family: one of `FAMILIES`.
        folder: made where it is missing.
        shape: one of `SHAPES`.
        dtype: of the weights.
        device: where they are drawn: 7 B of them take minutes on a CPU.
        ends_each: every so manieth token of the vocabulary ends an answer, so that answers have as many tokens on
            average; 0 leaves the one that ends a turn, which a random model hardly ever says.
    """
    config, tokenizer = _files(FAMILIES[family], SHAPES[shape], folder)
    ends = range(0, config.get_text_config().vocab_size, ends_each) if ends_each else [tokenizer.eos_token_id]
    model = _model(config, SHAPES[shape].spread, dtype, device)
    model.generation_config = _generation(list(ends), tokenizer.pad_token_id)
    model.save_pretrained(folder)
    if getattr(config.vision_config, "model_type", "") == "clip_vision_model":
        _rename(folder)
    return folder


def _rename(folder: Path) -> None:
    """Give the weights of a CLIP the names that vLLM knows, too; other vision towers have names of their own."""
    from safetensors.torch import load_file, save_file

    from cirgen.world.training.architecture import portable_name

    for path in folder.glob("*.safetensors"):
        weights = {portable_name(name): one for name, one in load_file(path).items()}
        save_file(weights, path, metadata={"format": "pt"})
    for path in folder.glob("*.safetensors.index.json"):
        index = json.loads(path.read_text(encoding="utf8"))
        index["weight_map"] = {portable_name(name): file for name, file in index["weight_map"].items()}
        _write_json(path, index)


def build_processor(family: str, folder: Path, shape: str) -> Any:
    """Write all of a model but its weights, which takes seconds for any size, and return its configuration."""
    return _files(FAMILIES[family], SHAPES[shape], folder)[0]


def _files(family: Family, shape: Shape, folder: Path) -> tuple[Any, Any]:
    """Write all but the weights, and return the configuration and the tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(family)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(family.template, encoding="utf8")
    _write_json(folder / "processor_config.json", family.processor(shape))
    _write_json(folder / "preprocessor_config.json", family.images(shape))
    rows = max(shape.vocabulary, len(tokenizer))
    config = family.config(replace(shape, vocabulary=rows), tokenizer.convert_tokens_to_ids)
    config.save_pretrained(folder)
    return config, tokenizer


def _write_json(path: Path, fields: dict[str, Any]) -> None:
    path.write_text(json.dumps(fields, indent=2), encoding="utf8")


def parameters(config: Any) -> dict[str, int]:
    """Return how many parameters a model has, by name; none of them is made."""
    import torch
    from transformers import AutoModelForImageTextToText

    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    return {name: weights.numel() for name, weights in model.named_parameters()}


def _model(config: Any, spread: float, dtype: str, device: str) -> Any:
    import torch
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(0)
    with torch.device(device), _default_dtype(getattr(torch, dtype)):
        model = AutoModelForImageTextToText.from_config(config)
        for weights in model.parameters():
            if weights.ndim > 1 and not weights.any():  # Gemma's projector: it would see nothing
                torch.nn.init.normal_(weights, std=spread)
    return model


def _generation(ends: list[int], pad: int) -> Any:
    from transformers import GenerationConfig

    return GenerationConfig(eos_token_id=ends, pad_token_id=pad)


@contextmanager
def _default_dtype(dtype: Any) -> Iterator[None]:
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _tokenizer(family: Family) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bytewise = Tokenizer(models.BPE())
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=MERGED, special_tokens=list(family.tokens), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    bytewise.train_from_iterator((prompt.body for prompt in list_prompts()), trainer)
    if family.adds_bos:
        first = next(token for token in family.tokens if ROLES.get(token) == "bos_token")
        bytewise.post_processor = processors.TemplateProcessing(
            single=f"{first} $A", special_tokens=[(first, bytewise.token_to_id(first))]
        )
    roles = {ROLES[token]: token for token in family.tokens if token in ROLES}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytewise, extra_special_tokens=family.roles, model_max_length=32_768, **roles
    )
    others = {"additional_special_tokens": list(family.tokens)}
    tokenizer.add_special_tokens(others, replace_extra_special_tokens=False)
    return tokenizer


def main(
    family: Annotated[str, typer.Argument(help=f"One of: {', '.join(FAMILIES)}.")],
    folder: Annotated[Path, typer.Argument(help="Where to write the model.")],
    shape: Annotated[str, typer.Option(help=f"One of: {', '.join(SHAPES)}.")] = "tiny",
    ends_each: Annotated[int, typer.Option(help="Every so manieth token ends an answer; 0 for none.")] = 0,
) -> None:
    """Write a model with random weights."""
    print(build(family, folder, shape, ends_each=ends_each))


if __name__ == "__main__":
    typer.run(main)
