"""Images captioned per second: one at a time, as SPN4CIR's reference implementation does, in naive batches, and here.

Same weights, number format, threads, prompt, pictures and answers, in one process; the ways take turns, so that a
machine whose speed drifts drifts for all of them. Naive means transformers as its documentation shows it: pictures
opened, one batch after another in the order of the files, `generate` until the longest answer is done; of several
batch sizes the best counts. vLLM takes part where it is installed (`make vllm`), with a memory of its own of pictures
and prompts switched off: every round asks the same. On a CPU the ratios of processor time are told as well: what else
the machine does disturbs them less.

`--family` takes random weights of a real architecture (`random_models.py`) instead of a model folder. They hardly ever
end an answer by themselves, so answers have `--new-tokens`; with `--ends-each N` every N-th token of the vocabulary
ends one, and lengths differ as they do in life. With `--mixed` the pictures differ in size. With `--prompts N` every
picture is asked about N times, which cirgen reads once. With `--caches` the largest naive batch is also decoded with a
cache of fixed size, as it is and with a compiled step, which cirgen does not use: its rows come and go.

Run: python benchmark/perf/caption_speed.py [--images 128] [--rounds 3]
     python benchmark/perf/caption_speed.py --family llava --shape small --images 32 --ends-each 24
     python benchmark/perf/caption_speed.py --family llava --shape llava-1.5-7b --device cuda --images 1024 \
         --batch-sizes 32,64,128 --without-single
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import psutil
import torch
import typer
from PIL import Image
from transformers import CompileConfig

from cirgen.backends.base import Backend, Request
from cirgen.backends.conversation import conversation
from cirgen.backends.loaded_model import LoadedModel
from cirgen.backends.speed import in_words, operations, together, told
from cirgen.backends.transformers import TransformersBackend
from cirgen.keys import digest
from cirgen.model_settings import Model
from cirgen.prompts import load_prompt
from cirgen.resources import local_path

SIDES = [(640, 480), (480, 640), (1024, 768), (500, 375), (333, 500), (800, 800)]
"""Of mixed pictures, in pixels."""

IN_VLLM: Mapping[str, Any] = {
    "enable_prefix_caching": False,
    "mm_processor_cache_gb": 0,
    "gpu_memory_utilization": 0.4,
}
"""Options of vLLM: a second round is as much work as the first, and the others' weights have room beside it."""


class Files:
    """Opens pictures by path; with a size in the name, `PATH@WIDTHxHEIGHT`, it scales them to it."""

    def open(self, image_id: str) -> Image.Image:
        """Return the decoded picture."""
        path, _, size = image_id.partition("@")
        picture = Image.open(path).convert("RGB")
        if not size:
            return picture
        width, height = map(int, size.split("x"))
        return picture.resize((width, height))


class Way(NamedTuple):
    """A way to caption pictures."""

    name: str
    caption: Callable[[Sequence[Request]], int]
    """Answers requests and returns how many tokens the answers have."""


def asked(images: int, mixed: bool, new_tokens: int, prompts: int) -> list[Request]:
    """Return questions about each picture; the shipped ones are taken several times where they are too few."""
    questions = [load_prompt("caption-brief").render(words=10 + more) for more in range(prompts)]
    files = sorted(local_path("cirgen:images").glob("*.png"))
    names = []
    for place in range(images):
        width, height = SIDES[place % len(SIDES)]
        names.append(f"{files[place % len(files)]}{f'@{width}x{height}' if mixed else ''}")
    return [
        Request(digest(place, name, question), 0, question, (name,), 0.0, 1.0, 0, new_tokens)
        for place, name in enumerate(names)
        for question in questions
    ]


def naive(loaded: LoadedModel, batch_size: int, cache: str = "", **options: Any) -> Way:
    """Return what the documentation of transformers shows.

    Args:
        loaded: the model.
        batch_size: of every batch but the last.
        cache: what a way to hold keys and values that is not the usual one is called, before the batch.
        options: those of a `GenerationConfig` that it takes.
    """
    processor = loaded.processor

    def caption(requests: Sequence[Request]) -> int:
        stream, tokens = iter(requests), 0
        while batch := list(islice(stream, batch_size)):
            texts = [
                processor.apply_chat_template(conversation(one.prompt, 1), tokenize=False, add_generation_prompt=True)
                for one in batch
            ]
            pictures = [[Files().open(one.image_ids[0])] for one in batch]
            inputs = dict(processor(text=texts, images=pictures, padding=True, return_tensors="pt"))
            length = inputs["input_ids"].shape[1]
            output = loaded.generate(inputs, batch[0].max_new_tokens, **options)[:, length:]
            processor.batch_decode(output, skip_special_tokens=True)
            tokens += sum(until(row, loaded.stop_tokens) for row in output.tolist())
        return tokens

    return Way(f"{cache}batch {batch_size}" if batch_size > 1 else "one at a time", caption)


def fixed_caches(loaded: LoadedModel, batch_size: int) -> list[Way]:
    """Return naive batches with a cache of fixed size, whose step is compiled or not."""
    compiled = CompileConfig()
    compiled._compile_all_devices = True  # transformers compiles on accelerators alone
    fixed = {"cache_implementation": "static"}
    return [
        naive(loaded, batch_size, "static ", **fixed, disable_compile=True),
        naive(loaded, batch_size, "compiled ", **fixed, compile_config=compiled),
    ]


def until(tokens: Sequence[int], stops: Sequence[int]) -> int:
    """Return how many tokens an answer has, the one that ends it included."""
    return next((place + 1 for place, token in enumerate(tokens) if token in stops), len(tokens))


def by_backend(name: str, backend: Backend, counts: dict[str, float]) -> Way:
    """Return how a backend of cirgen does it; what it counts of its work is added to `counts`."""

    def caption(requests: Sequence[Request]) -> int:
        results = list(backend.generate(iter(requests), Files()))
        failed = [result.error for result in results if result.status not in ("ok", "truncated", "parse_error")]
        if failed or len(results) != len(requests):
            raise SystemExit(f"{len(failed)} captions failed, and their time would flatter the rate: {failed[:1]}")
        speed = backend.take_speed()
        if speed is None:
            return sum(result.output_tokens + (result.finish_reason == "stop") for result in results)
        counts.update(together(counts, speed.record()))
        return speed.output_tokens

    return Way(name, caption)


class Taken(NamedTuple):
    """What a way took for all pictures."""

    seconds: float
    processor: float
    """Seconds of processor time, of all threads and processes."""
    tokens: int
    """That it wrote."""


def processor_seconds() -> float:
    """Return the processor time of this process, of its threads and of the processes that it started."""
    us = psutil.Process()
    return sum(sum(one.cpu_times()[:4]) for one in (us, *us.children(recursive=True)))


def taken_by(way: Way, requests: Sequence[Request], device: torch.device) -> Taken:
    """Let a way caption pictures."""
    start, processor = time.perf_counter(), processor_seconds()
    tokens = way.caption(requests)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return Taken(time.perf_counter() - start, processor_seconds() - processor, tokens)


@contextmanager
def weights(model: str, family: str | None, shape: str, dtype: str, device: str, ends_each: int) -> Iterator[str]:
    """Yield a model folder: the one that was named, or one with random weights that is gone afterwards."""
    if family is None:
        yield model
        return
    from random_models import build

    with tempfile.TemporaryDirectory() as folder:
        number_format = {"auto": "bfloat16" if device == "cuda" else "float32"}.get(dtype, dtype)
        yield str(build(family, Path(folder), shape, dtype=number_format, device=device, ends_each=ends_each))


class Ceiling(NamedTuple):
    """What the device can do, measured."""

    operations: float
    """Per second, of a large matrix product."""
    bandwidth: float
    """Bytes per second, read and written, of a large copy."""


def measured_ceiling(device: torch.device, dtype: torch.dtype) -> Ceiling:
    """Measure a large matrix product and a large copy."""
    side = 8192 if device.type == "cuda" else 1024
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    source = torch.empty(2**30 if device.type == "cuda" else 2**26, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product = _fastest(lambda: left @ right, device)
    copy = _fastest(lambda: target.copy_(source), device)
    return Ceiling(2 * side**3 / product, 2 * source.numel() / copy)


def _fastest(work: Callable[[], Any], device: torch.device) -> float:
    times = []
    for _ in range(8):
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


class Floor(NamedTuple):
    """Seconds below which no way can be."""

    prompts: float
    """Operations of all prompts at the measured rate of a matrix product."""
    answers: float
    """Bytes of weights and of keys and values that every token reads, at the measured bandwidth."""


def floor(loaded: LoadedModel, requests: Sequence[Request], tokens: int, rows: int, ceiling: Ceiling) -> Floor:
    """Return the arithmetic floor of a batch size, by one prompt for all of them.

    Args:
        loaded: the model.
        requests: what is asked.
        tokens: of all answers.
        rows: answered together.
        ceiling: of the device.
    """
    pictures = loaded.open(requests[0], Files())
    if isinstance(pictures, OSError):
        raise pictures
    inputs = loaded.on_device(loaded.encode(requests[:1], [pictures]))
    prompt = inputs["input_ids"].shape[1]
    text = loaded.model.config.get_text_config()
    width = next(loaded.model.parameters()).element_size()
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    held = 2 * text.num_hidden_layers * text.num_key_value_heads * head * width  # bytes of keys and values a token
    answer = tokens / len(requests)
    language = sum(one.numel() for name, one in loaded.model.named_parameters() if "vision" not in name) * width
    steps = len(requests) / rows * answer
    read = steps * language + tokens * held * (prompt + answer / 2)
    return Floor(len(requests) * operations(loaded.model, inputs) / ceiling.operations, read / ceiling.bandwidth)


def main(
    images: Annotated[int, typer.Option(help="Pictures per round.")] = 128,
    rounds: Annotated[int, typer.Option(help="Rounds.")] = 3,
    batch_size: Annotated[int, typer.Option(help="Of cirgen.")] = 64,
    batch_sizes: Annotated[str, typer.Option(help="Of naive batches, of which the best counts.")] = "16,64",
    model: Annotated[str, typer.Option(help="Model folder.")] = "cirgen:mllm",
    family: Annotated[str | None, typer.Option(help="Random weights of this family instead.")] = None,
    shape: Annotated[str, typer.Option(help="Sizes of the random weights.")] = "small",
    new_tokens: Annotated[int, typer.Option(help="Of the longest answer.")] = 48,
    ends_each: Annotated[int, typer.Option(help="Every so manieth token ends an answer; 0 for none.")] = 0,
    mixed: Annotated[bool, typer.Option("--mixed", help="Pictures of several sizes.")] = False,
    prompts: Annotated[int, typer.Option(min=1, help="Questions about each picture.")] = 1,
    caches: Annotated[bool, typer.Option("--caches", help="Add static caches.")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or auto.")] = "auto",
    without_single: Annotated[bool, typer.Option("--without-single", help="Leave out one at a time.")] = False,
) -> None:
    """Time all ways in turn."""
    with weights(model, family, shape, dtype, device, ends_each) as folder:
        settings = Model(model=folder, batch_size=batch_size, device=device, dtype=dtype)  # type: ignore[arg-type]
        loaded = LoadedModel(settings)
        own = TransformersBackend(settings, loaded)
        ways = [naive(loaded, int(size)) for size in (*([] if without_single else ["1"]), *batch_sizes.split(","))]
        if caches:
            ways += fixed_caches(loaded, max(map(int, batch_sizes.split(","))))
        counts: dict[str, float] = {}
        ways.append(by_backend("cirgen", own, counts))
        if find_spec("vllm") is not None:
            from cirgen.backends.vllm import VllmBackend

            in_vllm = settings.model_copy(update={"backend": "vllm", "engine": IN_VLLM})
            ways.append(by_backend("vllm", VllmBackend(in_vllm), {}))
        requests = asked(images, mixed, new_tokens, prompts)
        threads, weighed = torch.get_num_threads(), f"{family} {shape}" if family else model
        print(f"{images} images, {prompts} texts each, {threads} threads, {loaded.identity.dtype}, {weighed}")
        _turns(ways, requests, rounds, loaded, counts, batch_size)


def _turns(
    ways: Sequence[Way],
    requests: Sequence[Request],
    rounds: int,
    loaded: LoadedModel,
    counts: dict[str, float],
    batch_size: int,
) -> None:
    for way in ways:
        way.caption(requests[: min(8, len(requests))])  # loads the weights, warms the caches
    counts.clear()  # of the warm-up
    taken: dict[str, list[Taken]] = {way.name: [] for way in ways}
    for turn in range(1, rounds + 1):
        for way in ways:
            taken[way.name].append(taken_by(way, requests, loaded.device))
        rates = ", ".join(f"{name} {len(requests) / times[-1].seconds:.3g}" for name, times in taken.items())
        print(f"round {turn}, texts/s: {rates}", flush=True)
    tokens = {name: times[-1].tokens for name, times in taken.items()}
    print(f"tokens written: {', '.join(f'{name} {count:,}' for name, count in tokens.items())}")
    print(f"cirgen: {in_words(told(counts))}")
    _ratios(taken, "seconds")
    if loaded.device.type == "cpu":
        _ratios(taken, "processor")
    ceiling = measured_ceiling(loaded.device, next(loaded.model.parameters()).dtype)
    least = floor(loaded, requests, tokens["cirgen"], min(batch_size, len(requests)), ceiling)
    times = statistics.median(one.seconds for one in taken["cirgen"]) / sum(least)
    print(
        f"measured: {ceiling.operations / 1e12:.3g} * 10^12 operations/s, {ceiling.bandwidth / 1e9:.3g} GB/s; floor "
        f"{least.prompts:.3g} s of prompts and {least.answers:.3g} s of answers; cirgen takes {times:.2f} times that"
    )


def _ratios(taken: Mapping[str, Sequence[Taken]], clock: str) -> None:
    """Tell how often cirgen could caption the pictures while another way does it once."""
    times = {name: [getattr(one, clock) for one in several] for name, several in taken.items()}
    batches = [several for name, several in times.items() if name.startswith("batch ")]
    others = {name: several for name, several in times.items() if not name.startswith(("batch ", "cirgen"))}
    others["naive batches at their best size"] = [min(turn) for turn in zip(*batches, strict=True)]
    for name, several in others.items():
        ratio = statistics.median(theirs / ours for theirs, ours in zip(several, times["cirgen"], strict=True))
        print(f"{clock}: cirgen {ratio:.2f} times as fast as {name} (median of rounds)")


if __name__ == "__main__":
    typer.run(main)
