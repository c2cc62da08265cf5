"""Rows that are answered together, one token at a time: who is done leaves, and others take the place.

`generate` of transformers answers a batch until its last row is done, and its short answers wait for the long ones.
Here the keys and values of rows are joined and parted between tokens, so a model is busy with open answers alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from cirgen.backends.base import Request
from cirgen.backends.cache import rearrange, roomy_cache
from cirgen.backends.heads import Shared, image_token, shareable, shared
from cirgen.backends.loaded_model import LoadedModel, Tensors
from cirgen.backends.rows import Row, collate, padded
from cirgen.backends.sampling import SeededGumbel, add_noise
from cirgen.backends.speed import Speed, operations
from cirgen.keys import digest

JOINABLE = frozenset(
    {
        "gemma3", "idefics3", "internvl", "llava", "llava_next", "llava_onevision", "mistral3", "qwen2_5_vl",
        "qwen2_vl", "qwen3_vl", "smolvlm",
    }
)  # fmt: skip
"""Architectures whose rows may come and go: for each, tests compare what they answer with what `generate` does."""

PARTED_SHARE = 0.1
"""Rows that are done leave together when they are so many, as a share: all others are copied then."""

_PROCESSED = ("bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "sequence_bias", "forced_bos_token_id")
"""Settings of a model's own that change logits, which `generate` alone knows how to heed."""


class Answer(NamedTuple):
    """A row and its new tokens, those that end it included."""

    row: Row
    tokens: list[int]


class Decoder(Protocol):
    """Answers rows of one policy."""

    @property
    def rows(self) -> int:
        """How many are being answered."""
        ...

    @property
    def length(self) -> int:
        """Tokens that each of them holds now, padding included."""
        ...

    def admit(self, rows: Sequence[Row]) -> None:
        """Read the prompts of rows and answer them from now on; where it fails, nothing has changed."""
        ...

    def step(self) -> list[Answer]:
        """Answer on; return the rows that are done."""
        ...

    def evict(self) -> list[Row]:
        """Forget every row, and return them."""
        ...


def decoder_for(loaded: LoadedModel, speed: Speed) -> Decoder:
    """Return the decoder that a model allows."""
    own = loaded.model.generation_config
    plain = not any(getattr(own, name, None) for name in _PROCESSED)
    if plain and loaded.model.config.model_type in JOINABLE and roomy_cache(loaded.model.config) is not None:
        return JoinedDecoder(loaded, speed)
    return WholeDecoder(loaded, speed)


@dataclass(eq=False)
class _Seat:
    row: Row
    seed: str
    tokens: list[int] = field(default_factory=list)
    told: bool = False
    """Its answer was returned; it only waits to leave."""


@dataclass
class _State:
    """Of the rows that are being answered."""

    seats: list[_Seat]
    cache: Any
    mask: torch.Tensor
    """[B, length]: 1 where a row has a token, 0 where it is padded."""
    latest: torch.Tensor
    """[B, 1]: the tokens that the model has not read yet."""
    deltas: torch.Tensor | None
    """[B, 1]: what Qwen-VL adds to a token's place to get its position, as images count for less; else None."""


class JoinedDecoder:
    """Answers rows that come and go."""

    def __init__(self, loaded: LoadedModel, speed: Speed) -> None:
        self._loaded = loaded
        self._speed = speed
        self._stops = frozenset(loaded.stop_tokens)
        config = loaded.model.config
        self._image_token = image_token(config) if shareable(config) else None
        self._state: _State | None = None

    @property
    def rows(self) -> int:
        """How many rows are being answered."""
        return sum(not seat.told for seat in self._state.seats) if self._state else 0

    @property
    def length(self) -> int:
        """Tokens that each of them holds now, padding included."""
        return self._state.mask.shape[1] if self._state else 0

    def admit(self, rows: Sequence[Row]) -> None:
        """Read the prompts of rows and answer them from now on."""
        with torch.inference_mode(), self._speed.working():
            alike = shared(rows, self._image_token) if self._image_token is not None else None
            admitted = self._read(rows) if alike is None else self._read_shared(alike)
            self._state = admitted if self._state is None else _joined(self._state, admitted)

    def step(self) -> list[Answer]:
        """Return the rows that are done, or add a token to all others; never both, so that no answer is lost."""
        if self._state is None:
            return []
        with torch.inference_mode(), self._speed.working():
            done = [seat for seat in self._state.seats if not seat.told and self._is_done(seat)]
            if not done:
                self._add_token(self._state)
            else:
                self._part(self._state, done)
        return [Answer(seat.row, seat.tokens) for seat in done]

    def evict(self) -> list[Row]:
        """Forget every row, and return them."""
        rows = [seat.row for seat in self._state.seats if not seat.told] if self._state else []
        self._state = None
        return rows

    def _is_done(self, seat: _Seat) -> bool:
        return seat.tokens[-1] in self._stops or len(seat.tokens) >= seat.row.request.max_new_tokens

    def _part(self, state: _State, done: Sequence[_Seat]) -> None:
        """Give the places of rows that are done back, as soon as they are worth copying the others."""
        told = [seat.told or seat in done for seat in state.seats]
        if sum(told) >= PARTED_SHARE * len(told):
            keep = [place for place, is_told in enumerate(told) if not is_told]
            self._state = _kept(state, keep) if keep else None
        for seat in done:
            seat.told = True

    def _read(self, rows: Sequence[Row]) -> _State:
        """Run the model over prompts [B, length], images included."""
        inputs = self._loaded.on_device(collate(rows, self._loaded.pad_token))
        count_operations(self._loaded, rows[0], self._speed)
        mask = inputs["attention_mask"]
        cache = roomy_cache(self._loaded.model.config)
        output = self._loaded.model(
            **inputs, **self._positions(inputs), past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        seats = [_Seat(row, digest(row.request.key, row.request.attempt)) for row in rows]
        self._speed.read([row.length for row in rows], mask.shape[1], len(rows[0].request.image_ids))
        return _State(seats, cache, mask, self._chosen(seats, output.logits), self._deltas(len(rows)))

    def _read_shared(self, alike: Shared) -> _State:
        """Run the model over what prompts have in common, then over the rest of each."""
        heads = self._read(alike.heads)
        index = torch.tensor(alike.head_of, device=heads.mask.device)
        rearrange(heads.cache, index, 0, None)
        deltas = None if heads.deltas is None else heads.deltas[index]
        tails = [alike.tail(place) for place in range(len(alike.rows))]
        rest = self._loaded.on_device(padded(tails, self._loaded.pad_token))
        mask = torch.cat([heads.mask[index], rest["attention_mask"]], dim=1)
        logits = self._logits(rest["input_ids"], mask, heads.cache, deltas)
        seats = [_Seat(row, digest(row.request.key, row.request.attempt)) for row in alike.rows]
        images = len(alike.rows[0].request.image_ids) * (len(alike.rows) - len(alike.heads))
        self._speed.read_on([tail.shape[1] for tail in tails], rest["input_ids"].shape[1], images)
        state = _State(seats, heads.cache, mask, self._chosen(seats, logits), deltas)
        return _joined(state, self._read(alike.single)) if alike.single else state

    def _positions(self, inputs: Tensors) -> dict[str, torch.Tensor]:
        places = (inputs["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)
        if self._deltas_of_model is None:
            return {"position_ids": places}
        # with images, the model works them out by itself, and leaves behind what to add from then on
        if "image_grid_thw" in inputs:
            return {}
        self._deltas_of_model.rope_deltas = places.new_zeros((places.shape[0], 1))
        return {"position_ids": places[None].expand(3, -1, -1)}

    @property
    def _deltas_of_model(self) -> Any:
        inner = getattr(self._loaded.model, "model", None)
        return inner if hasattr(inner, "rope_deltas") else None

    def _deltas(self, rows: int) -> torch.Tensor | None:
        inner = self._deltas_of_model
        return None if inner is None else inner.rope_deltas.reshape(rows, 1).to(self._loaded.device)

    def _add_token(self, state: _State) -> None:
        state.mask = torch.nn.functional.pad(state.mask, (0, 1), value=1)
        logits = self._logits(state.latest, state.mask, state.cache, state.deltas)
        self._speed.wrote(len(state.seats))
        state.latest = self._chosen(state.seats, logits)

    def _logits(self, ids: torch.Tensor, mask: torch.Tensor, cache: Any, deltas: torch.Tensor | None) -> torch.Tensor:
        """Read the last tokens [B, n] of rows [B, length] without images; return the logits [B, 1, vocabulary]."""
        places = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        positions = places if deltas is None else (places + deltas)[None].expand(3, -1, -1)
        logits: torch.Tensor = self._loaded.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
        return logits

    def _chosen(self, seats: Sequence[_Seat], logits: torch.Tensor) -> torch.Tensor:
        """Choose the next token of every row from logits [B, 1, vocabulary], and return them [B, 1]."""
        scores = logits[:, -1].float()
        request = seats[0].row.request
        if request.temperature > 0:
            scores = warpers(request)(None, scores)
            scores = add_noise(scores, [(seat.seed, len(seat.tokens)) for seat in seats])
        latest = scores.argmax(dim=-1, keepdim=True)
        for seat, token in zip(seats, latest[:, 0].tolist(), strict=True):
            if not seat.told:
                seat.tokens.append(token)
        return latest


def _kept(state: _State, keep: Sequence[int]) -> _State:
    """Return the state of some rows, without tokens that are padding in all of them."""
    index = torch.tensor(keep, device=state.mask.device)
    mask = state.mask[index]
    since = int(mask.any(dim=0).int().argmax())
    rearrange(state.cache, index, since, None)
    deltas = None if state.deltas is None else state.deltas[index]
    return _State([state.seats[place] for place in keep], state.cache, mask[:, since:], state.latest[index], deltas)


def _joined(state: _State, more: _State) -> _State:
    """Return the state of two groups of rows, the ends of their tokens at one place."""
    length = max(state.mask.shape[1], more.mask.shape[1])
    masks = [torch.nn.functional.pad(one.mask, (length - one.mask.shape[1], 0), value=0) for one in (state, more)]
    rearrange(state.cache, None, 0, more.cache)
    deltas = None if state.deltas is None or more.deltas is None else torch.cat([state.deltas, more.deltas])
    return _State(
        [*state.seats, *more.seats],
        state.cache,
        torch.cat(masks),
        torch.cat([state.latest, more.latest]),
        deltas,
    )


class WholeDecoder:
    """Answers whole batches by `generate`, for models whose rows cannot be parted."""

    def __init__(self, loaded: LoadedModel, speed: Speed) -> None:
        self._loaded = loaded
        self._speed = speed
        self._admitted: list[Row] = []

    @property
    def rows(self) -> int:
        """How many rows are being answered."""
        return len(self._admitted)

    @property
    def length(self) -> int:
        """Tokens of the longest prompt."""
        return max((row.length for row in self._admitted), default=0)

    def admit(self, rows: Sequence[Row]) -> None:
        """Answer these rows when `step` is called."""
        self._admitted += rows

    def step(self) -> list[Answer]:
        """Answer all rows to their ends."""
        rows = list(self._admitted)
        if not rows:
            return []
        request = rows[0].request
        count_operations(self._loaded, rows[0], self._speed)
        with self._speed.working():
            inputs = collate(rows, self._loaded.pad_token)
            length = inputs["input_ids"].shape[1]
            output = self._loaded.generate(inputs, request.max_new_tokens, sampler(rows, length))
        tokens = output[:, length:].tolist()
        answers = [Answer(row, self._to_end(own)) for row, own in zip(rows, tokens, strict=True)]
        self._speed.read([row.length for row in rows], length, len(request.image_ids))
        self._speed.wrote((output.shape[1] - length - 1) * len(rows))
        self._admitted = []
        return answers

    def evict(self) -> list[Row]:
        """Forget every row, and return them."""
        rows, self._admitted = self._admitted, []
        return rows

    def _to_end(self, tokens: list[int]) -> list[int]:
        stops = set(self._loaded.stop_tokens)
        end = next((place for place, token in enumerate(tokens) if token in stops), len(tokens))
        return tokens[: end + 1]


def warpers(request: Request) -> LogitsProcessorList:
    """Return what temperature, top-k and top-p make of logits."""
    steps: list[Any] = [TemperatureLogitsWarper(request.temperature)]
    if request.top_k:
        steps.append(TopKLogitsWarper(request.top_k))
    if request.top_p < 1:
        steps.append(TopPLogitsWarper(request.top_p))
    return LogitsProcessorList(steps)


def sampler(rows: Sequence[Row], prompt_length: int) -> LogitsProcessorList | None:
    """Return what makes greedy decoding a draw; None where the answer is to be the most probable one."""
    request = rows[0].request
    if request.temperature <= 0:
        return None
    seeds = [digest(row.request.key, row.request.attempt) for row in rows]
    return LogitsProcessorList([*warpers(request), SeededGumbel(seeds, prompt_length)])


def count_operations(loaded: LoadedModel, row: Row, speed: Speed) -> None:
    """Count, once for every number of images, what a token takes, where the recipe states the peak of the device."""
    images = len(row.request.image_ids)
    if not speed.peak_tflops or images in speed.operations_per_token:
        return
    token = {"input_ids": row.inputs["input_ids"][:, -1:], "attention_mask": row.inputs["attention_mask"][:, -1:]}
    for place, inputs, tokens in ((images, row.inputs, row.length), (-1, token, 1)):
        speed.operations_per_token[place] = operations(loaded.model, loaded.on_device(inputs)) / tokens
