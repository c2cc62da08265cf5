"""What is written about the project holds together: links lead somewhere, the site builds, the map is right."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import cirgen
from cirgen.yaml_text import read_yaml

ROOT = Path(cirgen.__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmark").glob("*.md")]
LINK = re.compile(r"\]\(([^)\s#]+)")
SITE = pytest.mark.skipif(not find_spec("mkdocs"), reason="the extra docs is not installed")
WRITTEN_BY_THE_SITE = {"commands.md"}

pytestmark = pytest.mark.skipif(not (ROOT / "mkdocs.yml").is_file(), reason="there is no checkout")


def mkdocs(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    told = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(config), "--site-dir", str(site)]
    return subprocess.run(told, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_between_documents_leads_to_a_file(page: Path) -> None:
    prose = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text(encoding="utf8"), flags=re.MULTILINE | re.DOTALL)
    for link in LINK.findall(prose):
        if not re.match("[a-z]+:", link) and link not in WRITTEN_BY_THE_SITE:
            assert (page.parent / link).exists(), link


@SITE
def test_the_site_builds_without_a_broken_link(tmp_path: Path) -> None:
    done = mkdocs(ROOT / "mkdocs.yml", tmp_path)
    assert done.returncode == 0, done.stderr
    commands = (tmp_path / "commands" / "index.html").read_text(encoding="utf8")
    assert "cirgen validate my-recipe.yaml --no-files" in commands
    assert "Load the triplets of a corpus" in (tmp_path / "api" / "index.html").read_text(encoding="utf8")
    shown = tmp_path / "repository" / "recipes" / "server.yaml" / "index.html"
    assert "Qwen/Qwen2.5-VL-7B-Instruct" in shown.read_text(encoding="utf8")


@pytest.mark.long
@SITE
@pytest.mark.parametrize("link", ["nothing.md", "../nothing.md", "../recipes/nothing.yaml", "index.md#nothing"])
def test_a_broken_link_ends_the_build(tmp_path: Path, link: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Page\n\n[broken]({link})\n")
    config = tmp_path / "mkdocs.yml"
    hook = ROOT / "docs" / "site" / "repository.py"
    config.write_text(
        f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: docs\nhooks: ['{hook}']\nplugins: []\nextra_css: []\n"
        "nav: [index.md, commands.md]\n"
    )
    done = mkdocs(config, tmp_path / "site")
    assert done.returncode != 0
    assert link in done.stderr


def test_the_map_of_the_house_names_what_is_there() -> None:
    house = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf8").partition("## The house")[2].partition("## Style")[0]
    rows = [line.split("|")[1] for line in house.splitlines() if line.startswith("| `")]
    for row in rows:
        first, *others = re.findall("`([^`]+)`", row)
        folder = ROOT / first.rpartition("/")[0] if not first.endswith("/") else ROOT
        for name in (first, *others):
            assert list(ROOT.glob(name.rstrip("/"))) or list(folder.glob(name)), name
    packages = {path.parent.name for path in (ROOT / "cirgen").glob("*/__init__.py")}
    assert packages <= set(re.findall(r"`cirgen/(\w+)/`", house))


def test_the_citation_is_of_this_version() -> None:
    cited = read_yaml((ROOT / "CITATION.cff").read_text(encoding="utf8")).data
    assert cited["version"] == cirgen.__version__
    assert cited["cff-version"] == "1.2.0"
