from __future__ import annotations

import pytest
from tiny_models import VOCABULARY, tiny_checkpoint, tiny_retriever, tiny_texts
from transformers import AutoTokenizer

from cirgen.errors import UserError
from cirgen.resources import local_path
from cirgen_benchmark.models.blip import encode_token


def test_every_text_starts_with_the_encode_token() -> None:
    first = tiny_retriever("blip").tokenize(tiny_texts(3))["input_ids"][:, 0]
    assert first.tolist() == [AutoTokenizer.from_pretrained(tiny_checkpoint("blip")).vocab["[ENC]"]] * 3


def test_the_encode_token_of_a_converted_checkpoint_is_the_last_of_blips_two_own() -> None:
    """Converted checkpoints keep BERT's tokenizer of 30,522 beside an embedding of 30,524 rows."""
    tokenizer = AutoTokenizer.from_pretrained(local_path("cirgen:judge-encoder"))
    assert len(tokenizer) == VOCABULARY
    assert encode_token(tokenizer, VOCABULARY + 2, None) == VOCABULARY + 1
    assert encode_token(tokenizer, VOCABULARY, 17) == 17


@pytest.mark.parametrize(
    ("vocabulary", "told"), [(VOCABULARY, None), (VOCABULARY + 1, None), (VOCABULARY, VOCABULARY)]
)
def test_an_encode_token_that_cannot_be_told_is_asked_for(vocabulary: int, told: int | None) -> None:
    tokenizer = AutoTokenizer.from_pretrained(local_path("cirgen:judge-encoder"))
    with pytest.raises(UserError, match="`encode_token`"):
        encode_token(tokenizer, vocabulary, told)
