"""Prompts: one file each, versioned, rendered in a sandbox."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cirgen.errors import UserError
from cirgen.prompts import LOCK_NAME, Prompt, list_prompts, load_prompt, parse_prompt, read_lock
from cirgen.resources import data_folder

HEAD = "---\nname: {name}\nversion: {version}\ntask: caption\nimages: 1\nslots: [{slots}]\nnote: n\nauthor: a\n---\n"


def prompt(body: str, slots: str = "words", name: str = "mine", version: int = 1) -> Prompt:
    return parse_prompt(HEAD.format(name=name, version=version, slots=slots) + body, "mine.md")


def test_every_shipped_prompt_is_locked_and_unchanged() -> None:
    locked = read_lock(data_folder("prompts"))
    assert locked == {prompt.reference: prompt.hash for prompt in list_prompts()}


def test_every_shipped_prompt_says_who_made_it_and_what_for() -> None:
    for shipped in list_prompts():
        assert shipped.author
        assert len(shipped.note.split()) > 4


def test_the_prompts_of_the_paper_are_word_for_word() -> None:
    captions = {"reference_caption": "a cat", "target_caption": "a dog"}
    assert load_prompt("spn-instead").render(**captions) == "a dog instead of a cat"
    assert load_prompt("spn-unlike").render(**captions) == "Unlike a cat, I want a dog"
    assert load_prompt("spn-target").render(**captions) == "a dog"
    asked = load_prompt("spn-caption-category").render(category="toptee", words=5)
    assert asked == "please briefly describe the toptee in 5 words"
    assert load_prompt("spn-caption-image").render(words=10) == "please briefly describe the image in 10 words"


def test_a_name_means_its_newest_version(tmp_path: Path) -> None:
    for version in (1, 2, 10):
        (tmp_path / f"p.v{version}.md").write_text(HEAD.format(name="p", version=version, slots="") + f"v{version}")
    assert load_prompt("p", tmp_path).version == 10
    assert load_prompt("p@2", tmp_path).body == "v2"


def test_an_unknown_prompt_or_version_names_what_there_is() -> None:
    with pytest.raises(UserError, match="did you mean 'change-images'"):
        load_prompt("change-image")
    with pytest.raises(UserError, match="choose one of change-images@1"):
        load_prompt("change-images@7")
    with pytest.raises(UserError, match="no prompt file at"):
        load_prompt("nowhere.md")
    with pytest.raises(UserError, match="has no version ²"):
        load_prompt("change-images@²")


@pytest.mark.parametrize("path", ["~nobody-of-this-name/x.md", "x" * 300 + ".md", "a\0b.md"])
def test_a_path_that_no_system_takes_is_refused_in_one_sentence(path: str) -> None:
    with pytest.raises(UserError):
        load_prompt(path)


def test_a_body_that_changed_under_its_version_is_refused_with_both_ways_out(tmp_path: Path) -> None:
    (tmp_path / "p.v1.md").write_text(HEAD.format(name="p", version=1, slots="") + "new words")
    (tmp_path / LOCK_NAME).write_text(json.dumps({"p@1": "0" * 64}))
    with pytest.raises(UserError, match="either restore the text, or raise its version to 2"):
        load_prompt("p", tmp_path)


def test_the_hash_covers_what_reaches_the_model_and_nothing_else() -> None:
    one = prompt("In {{ words }} words.")
    assert one.hash == one.model_copy(update={"note": "other", "author": "b", "name": "c"}).hash
    for change in ({"body": "x"}, {"examples": ("x",)}, {"intents": {"any": "x"}}):
        assert Prompt(**{**one.model_dump(), **change}).hash != one.hash


def test_a_slot_without_a_value_is_an_error_that_names_it() -> None:
    with pytest.raises(UserError, match="needs words, which these rows do not have"):
        prompt("In {{ words }} words.").render(category="dress")


def test_a_template_that_renders_empty_is_an_error() -> None:
    with pytest.raises(UserError, match="renders empty"):
        prompt("{% if words > 99 %}long{% endif %}").render(words=3)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{{ words.__class__.__mro__ }}", "cannot be rendered"),
        ("{{ words.missing.more }}", "cannot be rendered"),
        ("{{ words + 'more' }}", "cannot be rendered"),
    ],
)
def test_a_template_runs_in_a_sandbox(body: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        prompt(body).render(words=3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no front matter", "has no front matter"),
        ("---\n- a\n---\nbody", "has no fields; give it name, version, task, images, slots, note, author"),
        ("---\nname: [\n---\nbody", "is not YAML"),
        ("no front matter", "`task: change`, `images: 2`, `slots: \\[\\]`"),
        ("---\nname: x\n---\nbody", "lacks `version: 1`, `task: change`, .*, `author: Your name`; add them"),
        (HEAD.format(name="p", version="one", slots="") + "body", "is wrong .version: .* integer"),
        (HEAD.format(name="p", version=1, slots="") + "{{ words }}", "uses words without listing it"),
        (HEAD.format(name="p", version=1, slots="") + "{% if %}", "not a Jinja2 template"),
        (
            HEAD.format(name="p", version=1, slots="") + "A: <image> B: <image> C: <image>",
            "places 3 images with <image>",
        ),
    ],
)
def test_a_faulty_prompt_file_says_what_to_mend(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_prompt(text, "mine.md")


def own(folder: Path, name: str, body: str = "In {{ words }} words.", version: int = 1) -> Path:
    path = folder / "own.md"
    path.write_text(HEAD.format(name=name, version=version, slots="words") + body)
    return path


def test_a_prompt_of_ones_own_is_read_anew_each_time(tmp_path: Path) -> None:
    path = own(tmp_path, "mine")
    assert load_prompt(str(path)).body == "In {{ words }} words."
    own(tmp_path, "mine", "At most {{ words }} words.")
    assert load_prompt(str(path)).body == "At most {{ words }} words."


def test_a_prompt_of_ones_own_may_not_pass_for_a_shipped_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="either give it a name of its own, or name the shipped one"):
        load_prompt(str(own(tmp_path, "caption-brief")))
    assert load_prompt(str(own(tmp_path, "caption-brief", version=99))).version == 99
    shipped = load_prompt("caption-brief").body
    assert load_prompt(str(own(tmp_path, "caption-brief", shipped))).hash == load_prompt("caption-brief").hash


def test_a_prompt_file_that_is_no_text_says_so(tmp_path: Path) -> None:
    path = tmp_path / "picture.md"
    path.write_bytes(b"\x89PNG\xff")
    with pytest.raises(UserError, match="is not text in UTF-8"):
        load_prompt(str(path))
