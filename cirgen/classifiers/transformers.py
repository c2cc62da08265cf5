"""Labels of texts, or of pairs of texts, by any transformers model for sequence classification.

Every forward pass has the same shape, padded in rows and in tokens, as an encoder's has: on one machine a probability
does not depend on its batch companions by a single bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from cirgen.devices import dtype_of, pick_device, pick_dtype
from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen.model_files import TOKENIZER_FILES, ModelFiles, find_model, opened
from cirgen.model_settings import Classifier

MULTI_LABEL = "multi_label_classification"
KIND = "ForSequenceClassification"


class TransformersClassifier:
    """Classifies texts; weights are loaded at the first call.

    Raises:
        UserError: there is no such model, or it classifies no texts.
    """

    def __init__(self, settings: Classifier) -> None:
        self._settings = settings
        self._device = pick_device(settings.device)
        self._dtype = pick_dtype(settings.dtype, self._device)
        self._files = find_model(settings.model, settings.revision, TOKENIZER_FILES)
        config: Any = opened(AutoConfig, self._files.folder)
        if not any(KIND in name for name in config.architectures or ()):
            raise UserError(f"'{settings.model}' classifies no texts; name a model for sequence classification.")
        self.labels: tuple[str, ...] = tuple(str(config.id2label[number]) for number in sorted(config.id2label))
        self.exclusive = config.problem_type != MULTI_LABEL and len(self.labels) > 1
        self._loaded: tuple[Any, Any] | None = None
        self.identity = digest("classifier", self._files.content, self._dtype, settings.batch_shape, settings.tokens)

    @property
    def files(self) -> ModelFiles:
        """Where the weights are, with their content hash."""
        return self._files

    def probabilities(self, texts: Sequence[str], seconds: Sequence[str] | None = None) -> NDArray[np.float64]:
        """Return the probability of each label [len(texts), L]; longer texts are cut at `tokens`."""
        shape = self._settings.batch_shape
        blocks = [slice(start, start + shape) for start in range(0, len(texts), shape)]
        parts = [self._batch(list(texts[rows]), None if seconds is None else seconds[rows]) for rows in blocks]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.labels)))

    def _batch(self, texts: list[str], seconds: Sequence[str] | None) -> NDArray[np.float64]:
        tokenizer, model = self._load()
        missing = self._settings.batch_shape - len(texts)
        firsts = texts + texts[:1] * missing
        others = None if seconds is None else [*seconds, *list(seconds[:1]) * missing]
        inputs = tokenizer(
            firsts, others, padding="max_length", truncation=True, max_length=self._length(model), return_tensors="pt"
        )
        with torch.inference_mode():
            logits = model(**inputs.to(self._device)).logits.double()
        shares = torch.softmax(logits, dim=-1) if self.exclusive else torch.sigmoid(logits)
        return np.asarray(shares.cpu().numpy()[: len(texts)], dtype=np.float64)

    def _length(self, model: Any) -> int:
        """Return to how many tokens a text is padded: RoBERTa and its like keep the first positions for padding."""
        positions = getattr(model.config, "max_position_embeddings", None) or self._settings.tokens
        kept = (getattr(model.config, "pad_token_id", None) or 0) + 1 if "roberta" in model.config.model_type else 0
        return min(self._settings.tokens, int(positions) - kept)

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            model = opened(AutoModelForSequenceClassification, self._files.folder, dtype=dtype_of(self._dtype))
            tokenizer = opened(AutoTokenizer, self._files.folder)
            if tokenizer.pad_token is None:
                raise UserError(f"The tokenizer of '{self._settings.model}' pads nothing; name another classifier.")
            self._loaded = tokenizer, model.to(self._device).eval()
        return self._loaded
