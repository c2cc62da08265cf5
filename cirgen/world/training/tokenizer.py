"""Tokenizers of the embedded models: byte-level BPE, a token for every word of the first grammar, bytes otherwise."""

from __future__ import annotations

import random
from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from cirgen.prompts import IMAGE_MARK, list_prompts
from cirgen.world.draws import draw_values
from cirgen.world.figure import visible
from cirgen.world.grammar import caption, change

PAD, BOS, UNK, EOS, IMAGE, USER, ASSISTANT = "<pad>", "<s>", "<unk>", "</s>", "<image>", "<user>", "<assistant>"
SPECIAL_TOKENS = [PAD, BOS, UNK, EOS, IMAGE, USER, ASSISTANT]
"""In the order of their ids. `</s>` must not be 2: transformers' CLIP takes that id for a sign to pool elsewhere."""

VOCABULARY_LIMIT = 1500
CLIP_LENGTH = 77


def tokenizer_texts(seed: int = 0, draws: int = 3000) -> list[str]:
    """Return texts that hold every word of the first grammar, at every level, and of the shipped prompts."""
    rng = random.Random(f"tokenizer {seed}")
    texts = [text for prompt in list_prompts() for text in (prompt.body, *prompt.examples, *prompt.intents.values())]
    texts = [text.replace(IMAGE_MARK, " ") for text in texts]
    texts += [" ".join(["A B C D yes no", *map(str, range(20))])]
    for turn in range(draws):
        one, other = (visible(**draw_values(rng, "hard" if turn % 2 else "medium")) for _ in range(2))
        texts += [caption(one, rng), caption(one, rng, rng.randint(4, 12)), change(one, other, rng) or ""]
    return texts * 2


def train_bpe(texts: Iterable[str]) -> Tokenizer:
    """Learn a byte-level BPE from `texts`; the 256 bytes are always in it, so no text needs `<unk>`."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_LIMIT,
        min_frequency=2,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def mllm_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Return the MLLM's tokenizer: pads on the left, adds no token of its own (the chat template writes them all)."""
    return PreTrainedTokenizerFast(
        tokenizer_object=train_bpe(texts),
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNK,
        additional_special_tokens=[IMAGE, USER, ASSISTANT],
        padding_side="left",
        model_max_length=1024,
    )


def clip_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Return a CLIP's tokenizer: frames a text with `<s>` and `</s>`, whose state is the text's embedding."""
    tokenizer = train_bpe(texts)
    ids = [(token, SPECIAL_TOKENS.index(token)) for token in (BOS, EOS)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{BOS} $A {EOS}", special_tokens=ids)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNK,
        padding_side="right",
        model_max_length=CLIP_LENGTH,
    )
