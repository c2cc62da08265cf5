"""What a recipe must get right beyond its schema: prompts that fit, models that run them, files that are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from cirgen.backends.client import key_of
from cirgen.errors import UserError
from cirgen.filters.base import AskedPrompt, FilterSettings
from cirgen.filters.labels import read_labels
from cirgen.filters.registry import FILTERS
from cirgen.filters.threshold import FIT_SUFFIX, BoundedSettings
from cirgen.model_files import TOKENIZER_FILES, local_model_folder
from cirgen.model_settings import Classifier, Model
from cirgen.prompts import Prompt, load_prompt
from cirgen.recipe import Recipe
from cirgen.recipe_errors import RecipeErrors
from cirgen.recipe_file import LoadedRecipe
from cirgen.sources.base import Item, Source
from cirgen.sources.registry import SOURCES
from cirgen.yaml_text import Path

Problems = Iterator[tuple[Path, str]]
"""Where in the recipe, and what is wrong there."""

MODIFY_TASKS = ("template", "rewrite", "change")
CAPTION_SLOTS = frozenset({"words", "category"})
MODIFY_SLOTS = frozenset({"reference_caption", "target_caption", "category", "intent", "examples"})


def check_recipe(loaded: LoadedRecipe, files: bool = True) -> None:
    """Check what the schema cannot.

    Args:
        loaded: a recipe that fits the schema.
        files: also look for the images and for local models; without it the recipe may be meant for another machine.

    Raises:
        RecipeErrors: every mistake.
    """
    recipe = loaded.recipe
    prompts, problems = _prompts(recipe)
    problems += [*_twice(prompts), *_tasks(recipe, prompts), *_slots(recipe, prompts)]
    problems += [*_intents(recipe, prompts), *_signals(recipe), *_filters(recipe), *_regenerate(recipe)]
    if files:
        problems += [*_models(recipe), *_images(recipe, prompts), *_labels(recipe), *_filter_files(recipe)]
    if problems:
        problems.sort(key=lambda problem: loaded.line(problem[0]))
        raise RecipeErrors([loaded.problem(place, message) for place, message in problems])


def _prompts(recipe: Recipe) -> tuple[dict[Path, Prompt], list[tuple[Path, str]]]:
    """Load every prompt of the recipe, by its place."""
    found: dict[Path, Prompt] = {}
    problems: list[tuple[Path, str]] = []
    for place, reference in _named(recipe):
        try:
            found[place] = load_prompt(reference)
        except UserError as error:
            problems.append((place, str(error)))
    if not recipe.modify.prompts:
        problems.append((("modify", "prompts"), "names no prompt; name one, for example change-images"))
    return found, problems


def _named(recipe: Recipe) -> Iterator[tuple[Path, str]]:
    """Yield the prompts of captions and texts, by their place."""
    for section, references in (("caption", recipe.caption.prompts), ("modify", recipe.modify.prompts)):
        yield from (((section, "prompts", index), reference) for index, reference in enumerate(references))
    again = recipe.modify.regenerate.prompt
    if again and again not in recipe.modify.prompts:
        yield ("modify", "regenerate", "prompt"), again


def _twice(prompts: dict[Path, Prompt]) -> Problems:
    """Tell prompts that are named twice, whatever the recipe calls them: rows know a prompt by name and version."""
    first: dict[str, Path] = {}
    for place, prompt in prompts.items():
        known = first.setdefault(prompt.reference, place)
        if known != place:
            yield (
                place,
                (
                    f"'{prompt.reference}' is named by {'.'.join(map(str, known))} already; take one of them out, "
                    "or give a file of your own another name or version"
                ),
            )


def _tasks(recipe: Recipe, prompts: dict[Path, Prompt]) -> Problems:
    for place, prompt in prompts.items():
        fitting = ("caption",) if place[0] == "caption" else MODIFY_TASKS
        if prompt.task not in fitting:
            yield place, f"'{prompt.reference}' is for {prompt.task}; this section takes {' or '.join(fitting)}"
        elif prompt.task in ("caption", "change") and recipe.mllm is None:
            yield place, f"'{prompt.reference}' shows images to a model; add a section mllm"
        elif prompt.task == "rewrite" and recipe.llm is None and recipe.mllm is None:
            yield place, f"'{prompt.reference}' asks a language model; add a section llm, or mllm"


def _slots(recipe: Recipe, prompts: dict[Path, Prompt]) -> Problems:
    for place, prompt in prompts.items():
        known = CAPTION_SLOTS if place[0] == "caption" else MODIFY_SLOTS
        strange = sorted(set(prompt.slots) - known)
        if strange:
            yield place, f"nothing fills {', '.join(strange)} of '{prompt.reference}'; use {', '.join(sorted(known))}"
        captions = sorted(set(prompt.slots) & {"reference_caption", "target_caption"})
        if captions and not recipe.caption.prompts:
            yield place, f"'{prompt.reference}' needs {' and '.join(captions)}; name a prompt under caption.prompts"


def _intents(recipe: Recipe, prompts: dict[Path, Prompt]) -> Problems:
    for intent in recipe.modify.intents:
        for prompt in prompts.values():
            if prompt.intents and intent not in prompt.intents:
                known = ", ".join(prompt.intents)
                yield ("modify", "intents", intent), f"'{prompt.reference}' knows no such intent; it knows {known}"
    if not recipe.modify.intents:
        yield ("modify", "intents"), "names no intent; write {any: 1} for no wish in particular"


def _signals(recipe: Recipe) -> Problems:
    gives_pairs = type(SOURCES.build(recipe.images)).pairs is not Source.pairs
    for index, signal in enumerate(recipe.pair.signals):
        if signal.by == "caption" and not recipe.caption.prompts:
            yield (
                ("pair", "signals", index, "by"),
                "needs captions; name a prompt under caption.prompts, or take image",
            )
        if signal.kind == "given" and not gives_pairs:
            yield ("pair", "signals", index, "kind"), "this source of images names no pairs; take another signal"
    if recipe.pair.references == "given" and not gives_pairs:
        yield ("pair", "references"), "is given, and this source of images names no pairs; write all"
    if not recipe.pair.signals:
        yield ("pair", "signals"), "names no signal; add one, for example {kind: neighbours}"


def _regenerate(recipe: Recipe) -> Problems:
    again = recipe.modify.regenerate
    if again.tries > bool(again.prompt) and not again.temperature:
        yield (
            ("modify", "regenerate", "temperature"),
            "is 0, at which a model writes the same text again; raise it, or name another prompt",
        )


def _filters(recipe: Recipe) -> Problems:
    for index, settings in enumerate(recipe.filter):
        part, name = FILTERS.build(settings), str(getattr(settings, FILTERS.tag))
        for setting, asked in part.prompts().items():
            for message in _unfit(asked):
                yield ("filter", index, setting), message
        if part.asks and part.model() is None and recipe.mllm is None:
            yield ("filter", index), f"{name} asks a model; add a section mllm, or give the filter a model"
        model = part.model() or recipe.mllm
        if part.reads_texts and model is not None and model.backend == "openai":
            yield (
                ("filter", index),
                f"{name} reads how probable a given text is, which chat servers do not tell; "
                "give it a model with backend transformers or vllm",
            )
        if "hard_negatives" in part.depends_on and recipe.pair.hard_negatives < part.needs_negatives:
            yield (
                ("filter", index),
                f"{name} needs {part.needs_negatives} near images; set pair.hard_negatives to that at least",
            )


def _unfit(asked: AskedPrompt) -> Iterator[str]:
    """Yield what keeps a prompt from being rendered by a filter."""
    try:
        prompt = load_prompt(asked.reference)
    except UserError as error:
        yield str(error)
        return
    strange = sorted(set(prompt.slots) - asked.slots)
    missing = sorted((asked.slots & {"text", "claim"}) - set(prompt.slots))
    if prompt.task != asked.task:
        yield f"'{prompt.reference}' is for {prompt.task}; this filter takes one for {asked.task}"
    elif strange:
        yield f"nothing fills {', '.join(strange)} of '{prompt.reference}'; use {', '.join(sorted(asked.slots))}"
    elif missing:
        yield f"'{prompt.reference}' never shows {', '.join(missing)}; put {{{{ {missing[0]} }}}} into its body"


def models(recipe: Recipe) -> dict[str, str]:
    """Return the models that a recipe names and this machine runs, by section."""
    generative = {name: model.model for name, model in _generative(recipe) if model.backend != "openai"}
    return {**generative, "encoder": recipe.encoder.model}


def served(recipe: Recipe) -> dict[str, str]:
    """Return the models that a recipe names and a server runs, by section."""
    return {name: model.model for name, model in _generative(recipe) if model.backend == "openai"}


def _generative(recipe: Recipe) -> Iterator[tuple[str, Model]]:
    for name, model in (("mllm", recipe.mllm), ("llm", recipe.llm)):
        if model is not None:
            yield name, model


def _models(recipe: Recipe) -> Problems:
    for section, model in models(recipe).items():
        yield from _complaint((section, "model"), partial(local_model_folder, model))
    for section, model_settings in _generative(recipe):
        yield from _engine((section,), model_settings)


def _engine(place: Path, model: Model) -> Problems:
    """Tell what keeps an engine from running a model on this machine."""
    if model.backend == "openai":
        yield from _complaint((*place, "server", "api_key_env"), partial(key_of, model.server))
    elif model.backend == "vllm" and model.quantization != "none":
        yield (
            (*place, "quantization"),
            "is how transformers loads a model; for vLLM write engine: {quantization: ...}, as it calls the kinds",
        )


def _images(recipe: Recipe, prompts: dict[Path, Prompt]) -> Problems:
    """Look at the first image alone: a source tells by it whether it is there, and whether it knows categories."""
    first: list[Item] = []
    yield from _complaint(("images",), lambda: first.extend(_first_item(SOURCES.build(recipe.images))))
    for place, prompt in prompts.items():
        if "category" in prompt.slots and first and not first[0].category:
            yield place, f"'{prompt.reference}' needs a category, which these images lack; set images.category"


def _filter_files(recipe: Recipe) -> Problems:
    for index, settings in enumerate(recipe.filter):
        yield from _complaint(("filter", index), settings.check_files)
        asked = FILTERS.build(settings).model()
        if asked is not None:
            yield from _engine(("filter", index, "model"), asked)
        for field, model in _own_models(settings):
            yield from _complaint(("filter", index, *field), partial(local_model_folder, model))
        classifier: Classifier | None = getattr(settings, "classifier", None)
        if classifier is not None:
            look = partial(local_model_folder, classifier.model, TOKENIZER_FILES)
            yield from _complaint(("filter", index, "classifier", "model"), look)


def _own_models(settings: FilterSettings) -> Iterator[tuple[Path, str]]:
    """Yield the models that a filter brings, by their place in its settings."""
    part = FILTERS.build(settings)
    model = part.model()
    if model is not None and model.backend != "openai":
        yield ("model", "model"), model.model
    yield from ((("encoders", place, "model"), one.model) for place, one in enumerate(part.encoders()))


def _labels(recipe: Recipe) -> Problems:
    for index, settings in enumerate(recipe.filter):
        if isinstance(settings, BoundedSettings):
            for option, fit in settings.fits().items():
                yield from _complaint(
                    ("filter", index, f"{option}{FIT_SUFFIX}", "labels"), partial(read_labels, fit.labels)
                )


def _first_item(source: Source) -> list[Item]:
    return [item for item, _ in zip(source.items(), range(1), strict=False)]


def _complaint(place: Path, check: Callable[[], object]) -> Problems:
    try:
        check()
    except UserError as error:
        yield place, str(error)
