"""Classifiers of texts of the real architectures, small and without training, saved as a user's own would be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
)

CONFIGS = {
    "bert": (BertConfig, {"type_vocab_size": 2}),
    "roberta": (RobertaConfig, {"type_vocab_size": 1}),
    "distilbert": (DistilBertConfig, {}),
    "deberta-v2": (
        DebertaV2Config,
        {"type_vocab_size": 0, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    ),
}
NLI = ("CONTRADICTION", "NEUTRAL", "ENTAILMENT")
WORDS = tuple("make the hat red blue a man in on dog cat is remove add chair not ugly".split(" "))  # noqa: SIM905
PAD = 1
"""Its number, as in RoBERTa."""


def tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of words, with pairs as BERT has them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: number for number, word in enumerate(["[CLS]", "[PAD]", "[SEP]", "[UNK]", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", [("[CLS]", 0), ("[SEP]", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words, cls_token="[CLS]", pad_token="[PAD]", sep_token="[SEP]", unk_token="[UNK]"
    )


def save(folder: Path, kind: str = "bert", labels: Sequence[str] = NLI, seed: int = 0, **config: Any) -> str:
    """Save a classifier and its tokenizer; return the folder."""
    configuration, extra = CONFIGS[kind]
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    if kind == "distilbert":
        sizes = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_config(
        configuration(
            **sizes,
            **extra,
            vocab_size=len(WORDS) + 4,
            max_position_embeddings=40,
            pad_token_id=PAD,
            initializer_range=1.0,
            id2label=dict(enumerate(labels)),
            label2id={label: number for number, label in enumerate(labels)},
            **config,
        )
    )
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return str(folder)


def change_config(folder: Path, **fields: Any) -> None:
    """Change fields of a saved `config.json`."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
