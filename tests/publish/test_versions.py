"""The list of versions that a card shows."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cirgen.publish.hub.versions import Version, next_versions, rendered


def manifest(content: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "rows": {"triplets/train": 10 + content, "images/train": 5, "preview/train": 2},
        "prompts": {"change@1": f"p{content}"},
        "models": [{"role": "mllm", "model": "m", "content": f"c{content}"}],
        "recipe_hash": f"r{content}",
        "files": {"README.md": f"card {content}", "triplets/train.parquet": f"t{content}"},
        **more,
    }


def published(local: dict[str, Any], versions: list[Version]) -> dict[str, Any]:
    return {**local, "versions": [version.record() for version in versions]}


def test_a_version_says_what_changed() -> None:
    first = next_versions(manifest(), None, "v1", "2026-01-01")
    assert first == [Version("v1", "2026-01-01", ("First version: 10 triplets, 5 images.",))]
    second = next_versions(manifest(1), published(manifest(), first), "v2", "2026-02-02")
    assert second[1:] == first
    assert second[0].changes == (
        "`triplets/train`: 11 rows, 10 before.",
        "New prompts: `change@1`.",
        "Another mllm: `m` (c1), `m` (c0) before.",
        "Recipe `r1`, `r0` before.",
    )


def test_other_bytes_of_the_same_rows_are_told_too() -> None:
    before = published(manifest(), [Version("v1", "d", ("x",))])
    after = manifest(files={"triplets/train.parquet": "other"})
    assert next_versions(after, before, "v2", "d")[0].changes == (
        "Other bytes of triplets/train.parquet; rows, prompts and recipe as before.",
    )


def test_a_tag_names_the_last_push_that_had_none_and_the_same_files_may_have_two() -> None:
    untagged = next_versions(manifest(), None, "", "d1")
    tagged = next_versions(manifest(), published(manifest(), untagged), "v1", "d2")
    assert [version.tag for version in tagged] == ["v1"]
    again = next_versions(manifest(), published(manifest(), tagged), "v1.0.1", "d3")
    assert again[0].changes == ("The same files as v1.",)


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["", "v1", "v2", "v3"])), min_size=1, max_size=8))
def test_pushing_the_same_again_changes_nothing_and_no_version_is_lost(pushes: list[tuple[int, str]]) -> None:
    there: dict[str, Any] | None = None
    for content, tag in pushes:
        before = there["versions"] if there else []
        versions = next_versions(manifest(content), there, tag, "d")
        there = published(manifest(content), versions)
        assert next_versions(manifest(content), there, tag, "later") == versions
        assert [one["changes"] for one in before] == [
            list(one.changes) for one in versions[len(versions) - len(before) :]
        ]
        assert rendered(versions).count("\n- ") + 1 == len(versions)
