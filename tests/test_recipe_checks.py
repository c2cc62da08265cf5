"""What a recipe must get right beyond its schema."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from cirgen.recipe_checks import check_recipe
from cirgen.recipe_errors import RecipeErrors
from cirgen.recipe_file import load_recipe
from cirgen.resources import local_path


def problems(*overrides: str, files: bool = False) -> str:
    with pytest.raises(RecipeErrors) as caught:
        check_recipe(load_recipe("demo", overrides), files)
    return str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("caption.prompts=[caption-breif]", "No prompt is called 'caption-breif' (did you mean 'caption-brief'?)"),
        ("caption.prompts=[caption-brief@9]", "has no version 9; choose one of caption-brief@1"),
        ("caption.prompts=[change-images]", "is for change; this section takes caption"),
        ("modify.prompts=[caption-brief]", "is for caption; this section takes template or rewrite or change"),
        ("modify.prompts=[]", "names no prompt"),
        ("mllm=null", "add a section mllm"),
        ("modify.intents={cuont: 1}", "knows no such intent; it knows any, attribute"),
        ("modify.intents={any: 0}", "must be above 0"),
        ("modify.intents={}", "names no intent"),
        ("pair.signals=[{kind: given}]", "this source of images names no pairs"),
        ("pair.references=given", "is given, and this source of images names no pairs"),
        ("pair.signals=[]", "names no signal"),
        ("modify.regenerate={tries: 1, temperature: 0}", "writes the same text again; raise it, or name another"),
        (
            "modify.regenerate={tries: 2, temperature: 0, prompt: change-images}",
            "writes the same text again; raise it, or name another",
        ),
        ("modify.regenerate={tries: 1, prompt: caption-brief}", "is for caption; this section takes template"),
        ("modify.regenerate={tries: 1, prompt: change-imgs}", "No prompt is called 'change-imgs'"),
        ("filter=[{name: judge, min_yes: 0.5, prompt: judge-change}]", "this filter takes one for compare"),
        ("filter=[{name: judge, min_yes: 0.5, observe: caption-brief}]", "this filter takes one for change"),
        ("filter=[{name: judge, min_yes: 0.5, observe: null}]", "this filter takes one for judge"),
        ("filter=[{name: claims, min_true: 0.5, split: nothing}]", "No prompt is called 'nothing'"),
    ],
)
def test_what_does_not_fit_together_is_told(override: str, message: str) -> None:
    assert message in problems(override)


def test_mistakes_come_in_the_order_of_the_file_and_those_of_the_command_line_last(tmp_path: Path) -> None:
    recipe = tmp_path / "my.yaml"
    recipe.write_text(
        "name: my\nimages: {kind: folder, path: gone}\nencoder: {model: 'cirgen:filter-encoder'}\n"
        "mllm: {model: 'cirgen:mllm'}\ncaption:\n  prompts: [caption-breif]\nmodify:\n  prompts: [change-imgs]\n"
    )
    with pytest.raises(RecipeErrors) as caught:
        check_recipe(load_recipe(str(recipe), ["pair.signals=[]"]))
    told = str(caught.value)
    places = [told.index(word) for word in ("my.yaml:2", "my.yaml:6", "my.yaml:8", "--set")]
    assert places == sorted(places)


def test_a_filter_that_asks_needs_a_model_near_images_and_prompts_that_fit(tmp_path: Path) -> None:
    judge = "filter=[{name: judge, min_yes: 0.5}]"
    captions = ["caption.prompts=[]", "modify.prompts=[spn-target]", "mllm=null"]
    assert "judge asks a model; add a section mllm, or give the filter a model" in problems(judge, *captions)
    round_trip = "filter=[{name: round_trip, min_passed: 2}]"
    assert "round_trip needs 2 near images; set pair.hard_negatives" in problems(round_trip, "pair.hard_negatives=1")
    check_recipe(load_recipe("demo", [round_trip]), files=False)
    own = "filter=[{name: judge, min_yes: 0.5, model: {model: ./nowhere}}]"
    assert "nowhere" in problems(own, files=True)
    encoder = "filter=[{name: shortcut, min_text_rank: 11, encoders: [{model: ./nobody}]}]"
    assert "filter.0.encoders.0.model" in problems(encoder, files=True)
    prompt = tmp_path / "p.md"
    head = "name: p\nversion: 1\ntask: judge\nimages: 2\nslots: [text, mood]\nnote: n\nauthor: a"
    text = f"---\n{head}\n---\n{{{{ text }}}} {{{{ mood }}}}"
    prompt.write_text(text)
    found = problems(f"filter=[{{name: judge, min_yes: 0.5, observe: null, prompt: {prompt}}}]")
    assert "nothing fills mood of 'p@1'; use text" in found


def test_a_rewrite_needs_a_language_model_of_either_kind() -> None:
    rewrite = ["modify.prompts=[rewrite-captions]", "caption.prompts=[]", "mllm=null"]
    assert "add a section llm, or mllm" in problems(*rewrite)
    assert "needs reference_caption and target_caption" in problems(
        "modify.prompts=[spn-instead]", "caption.prompts=[]"
    )
    check_recipe(load_recipe("demo", ["modify.prompts=[rewrite-captions]"]), files=False)


def test_pairing_by_caption_needs_captions() -> None:
    assert "needs captions" in problems("pair.signals=[{kind: neighbours, by: caption}]", "caption.prompts=[]")


def test_a_prompt_of_the_users_may_only_ask_for_slots_that_something_fills(tmp_path: Path) -> None:
    prompt = tmp_path / "mine.md"
    head = "---\nname: mine\nversion: 1\ntask: caption\nimages: 1\nslots: [wrods]\nnote: n\nauthor: a\n---\n"
    prompt.write_text(head + "In {{ wrods }} words.\n")
    assert "nothing fills wrods of 'mine@1'; use category, words" in problems(f"caption.prompts=['{prompt}']")


def test_a_category_in_the_prompt_needs_a_category_of_the_images() -> None:
    prompt = "caption.prompts=[spn-caption-category]"
    assert "needs a category" in problems(prompt, files=True)
    check_recipe(load_recipe("demo", [prompt, "images.category=figure"]))


def test_missing_images_and_models_are_told_together(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    told = problems("images.path=/none", "mllm.model=/nowhere", f"encoder.model={tmp_path}/model", files=True)
    assert "images: There is no folder at /none" in told
    assert "mllm.model: There is no model folder at /nowhere" in told
    assert "has a model but no processor" in told


def test_a_folder_without_images_is_told(tmp_path: Path) -> None:
    assert "No image file lies under" in problems(f"images.path={tmp_path}", files=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    check_recipe(load_recipe("demo", [f"images.path={tmp_path}"]))


def test_a_model_that_is_a_hub_id_is_not_looked_for() -> None:
    check_recipe(load_recipe("demo", ["mllm.model=some/model", "encoder.model=other/model"]))


def test_a_model_copied_elsewhere_is_found_there(tmp_path: Path) -> None:
    copy = tmp_path / "encoder"
    shutil.copytree(local_path("cirgen:filter-encoder"), copy)
    check_recipe(load_recipe("demo", [f"encoder.model={copy}"]))


def test_one_prompt_under_two_names_is_told_with_its_line(tmp_path: Path) -> None:
    told = problems("modify.prompts=[change-images, change-images@1]")
    assert "modify.prompts.1: 'change-images@1' is named by modify.prompts.0 already" in told.replace("--set: ", "")
    head = "---\nname: mine\nversion: 1\ntask: {task}\nimages: {images}\nslots: []\nnote: n\nauthor: a\n---\n"
    for task, images in (("caption", 1), ("change", 2)):
        (tmp_path / f"{task}.md").write_text(head.format(task=task, images=images) + f"Answer the {task}.")
    assert "give a file of your own another name or version" in problems(
        f"caption.prompts=[{tmp_path}/caption.md]", f"modify.prompts=[{tmp_path}/change.md]"
    )


STRANGE = [
    "~nosuchuser/x",
    "x" * 300,
    "x" * 300 + ".csv",
    '"a\\0b"',
    '"a\\0b.csv"',
    '""',
    "/dev/null",
    '"/tmp/***"',
    "/nowhere",
]


@pytest.mark.parametrize("kind", ["folder", "dataset", "webdataset", "manifest", "fashioniq", "cirr"])
def test_any_place_that_holds_no_images_is_told_where_it_is_set(kind: str) -> None:
    key = "root" if kind in ("fashioniq", "cirr") else "path"
    for place in STRANGE:
        assert problems(f"images={{kind: {kind}, {key}: {place}}}", files=True).startswith("--set: images")


def test_a_model_can_be_at_no_path_that_the_operating_system_refuses() -> None:
    for place in ("~nosuchuser/x", "x" * 300, '""'):
        assert problems(f"encoder.model={place}", files=True).startswith("--set: encoder.model: ")
