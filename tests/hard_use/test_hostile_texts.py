"""A recipe or a prompt of a stranger, or a damaged one: taken, or refused in one sentence; it runs nothing."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest
from hard_use.mutations import mutated

from cirgen.errors import UserError
from cirgen.keys import digest
from cirgen.prompts import Prompt, list_prompts, parse_prompt
from cirgen.recipe_errors import RecipeErrors
from cirgen.recipe_file import RECIPES, load_recipe, recipe_names
from commands import in_this_process

TRIES = 300
SECONDS = 20.0
"""Far more than any text of these sizes may take to be read or refused."""
HEAD = "---\nname: mine\nversion: 1\ntask: caption\nimages: 1\nslots: [words, examples]\nnote: x\nauthor: x\n---\n"


def _one_sentence(error: UserError) -> None:
    for line in str(error).splitlines() if isinstance(error, RecipeErrors) else [str(error)]:
        assert line.strip()
        assert len(line) < 2_000
    assert "Traceback" not in str(error) and " object at 0x" not in str(error)
    str(error).encode()


def _soon(before: float) -> None:
    assert time.perf_counter() - before < SECONDS


@pytest.mark.parametrize("seed", range(5))
def test_a_damaged_recipe_is_taken_or_refused(tmp_path: Path, seed: int) -> None:
    texts = [RECIPES.find(name).read_bytes() for name in recipe_names() if not name.startswith("spn4cir/")]
    dice, path = random.Random(seed), tmp_path / "r.yaml"
    taken = 0
    for number in range(TRIES // 5):
        path.write_bytes(mutated(texts[number % len(texts)], dice, texts))
        before = time.perf_counter()
        try:
            digest(load_recipe(path).recipe.resolved())
            taken += 1
        except UserError as error:
            _one_sentence(error)
        _soon(before)
    assert taken < TRIES // 5, "accidents so mild try nothing"


@pytest.mark.parametrize("seed", range(5))
def test_a_damaged_prompt_is_taken_or_refused(seed: int, tmp_path: Path) -> None:
    from cirgen.resources import data_folder

    texts = [path.read_bytes() for path in sorted(data_folder("prompts").glob("*.md"))]
    dice = random.Random(seed)
    for number in range(TRIES):
        text = mutated(texts[number % len(texts)], dice, texts).decode("utf8", "replace")
        before = time.perf_counter()
        try:
            prompt = parse_prompt(text, "mine.md")
            prompt.render(**{slot: "a hat" for slot in prompt.slots})
        except UserError as error:
            _one_sentence(error)
        _soon(before)


@pytest.mark.parametrize(
    "body",
    [
        "{{ 9 ** 9 ** 9 }}",
        "{{ 'x' * 10000000000 }}",
        "{{ '%10000000000d' % 1 }}",
        "{{ 'x'.ljust(10000000000) }}",
        "{{ '{:>10000000000}'.format(1) }}",
        "{{ 'x' | center(10000000000) }}",
        "{{ words | string | replace('1', '11') }}",
        "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
        "{% for a in examples %}{% for b in examples %}{% for c in examples %}x{% endfor %}{% endfor %}{% endfor %}",
        "{{ 'ab' | join('xxxx') | join('xxxx') | join('xxxx') }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% extends 'base.html' %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% set x = 1 %}{{ x }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ self.__init__.__globals__ }}",
        "{{ words.__class__.__mro__[1].__subclasses__() }}",
        "{{ lipsum(n=100000) }}",
        "{{ examples | map(attribute='x') | list }}",
        "{% call words() %}{% endcall %}",
        "{% filter upper %}x{% endfilter %}",
        "{" * 5_000,
        "{{ " + "(" * 5_000 + "words" + ")" * 5_000 + " }}",
        "{{ words" + "[0]" * 5_000 + " }}",
        "x" * 200_000,
    ],
)
def test_a_prompt_that_would_do_more_than_fill_slots_is_refused(body: str) -> None:
    before = time.perf_counter()
    with pytest.raises(UserError) as caught:
        parse_prompt(HEAD + body, "mine.md").render(words=3, examples=("a", "b"))
    _one_sentence(caught.value)
    _soon(before)


def test_every_shipped_prompt_holds_no_more_than_a_prompt_may() -> None:
    prompts: tuple[Prompt, ...] = list_prompts()
    assert len(prompts) > 10
    for prompt in prompts:
        assert prompt.render(**{slot: ["a"] if slot == "examples" else "a" for slot in prompt.slots})


@pytest.mark.parametrize(
    "front",
    [
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "name: !!python/object/apply:os.system ['touch owned']\n",
        "name: &x [*x]\n",
        "version: " + "9" * 5_000 + "\n",
        "name: 2024-02-30\n",
        "? [a, b]\n: c\n",
    ],
)
def test_a_hostile_front_matter_is_refused(front: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = time.perf_counter()
    with pytest.raises(UserError) as caught:
        parse_prompt("---\n" + front + "---\nbody", "mine.md")
    _one_sentence(caught.value)
    _soon(before)
    assert not list(tmp_path.iterdir())


RECIPE = """
name: {name}
images: {{kind: folder, path: {path}}}
mllm: {{model: "cirgen:mllm"}}
encoder: {{model: "cirgen:filter-encoder"}}
caption: {{prompts: [{prompt}]}}
{more}
"""


@pytest.mark.parametrize(
    "values",
    [
        {"name": "../../outside"},
        {"name": "/etc/cirgen"},
        {"name": '"a\\0b"'},
        {"name": '".."'},
        {"name": "a/../../b"},
        {"name": '"' + "x" * 5_000 + '"'},
        {"prompt": "../../../etc/passwd"},
        {"prompt": '"../secret.md"'},
        {"path": '"cirgen:../../../etc"'},
        {"path": "/proc/self/mem"},
        {"more": "seed: 1e400"},
        {"more": "seed: " + "9" * 6_000},
        {"more": "seed: .inf"},
        {"more": "seed: !!python/object/apply:os.system ['touch owned']"},
        {
            "more": "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\n"
            "c: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n"
        },
        {"more": "export: &x {layouts: [*x]}"},
        {"more": "x: " + "[" * 3_000 + "]" * 3_000},
        {"more": "export: {validation: -1}"},
        {"more": "pair: {hard_negatives: 99999999999999999999}"},
        {"more": "mllm: {model: os.system}"},
        {"more": "filter: [{name: 'os.system'}]"},
        {"more": "filter: [{name: decontamination, against: ['/dev/zero']}]"},
        {"more": "filter: [{name: people, words: '/dev/random'}]"},
    ],
)
def test_a_hostile_recipe_is_refused_and_touches_nothing(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = {"name": "mine", "path": "cirgen:images", "prompt": "caption-brief", "more": ""}
    home = tmp_path / "home" / "project"
    home.mkdir(parents=True)
    (tmp_path / "home" / "secret.md").write_text("secret words")
    (home / "r.yaml").write_text(RECIPE.format(**usual | values), encoding="utf8")
    before = {path for path in tmp_path.rglob("*")}
    monkeypatch.chdir(home)
    code, _, told = in_this_process(capsys)("validate", "r.yaml")
    assert code in (1, 2)
    assert "Traceback" not in told and "secret words" not in told
    assert {path for path in tmp_path.rglob("*")} == before
    assert told.startswith("Error: ") or len(told.splitlines()) > 1, "one sentence, or one for each mistake"
