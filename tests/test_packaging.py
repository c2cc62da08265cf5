"""The wheel carries prompts, recipes, presets, card template and the embedded world, and runs from any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import cirgen

pytestmark = pytest.mark.integration

CHECKOUT = Path(cirgen.__file__).parent.parent
WHEEL_LIMIT_BYTES = 25_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(CHECKOUT)],
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_is_small_and_carries_what_is_found_by_name(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.stat().st_size < WHEEL_LIMIT_BYTES
    for wanted in (
        "cirgen/_data/prompts/prompts.lock",
        "cirgen/_data/recipes/demo.yaml",
        "cirgen/_data/recipes/spn4cir/fashioniq-clip.yaml",
        "cirgen/_data/cards/template.md",
        "cirgen/_data/presets/demo.yaml",
        "cirgen/_data/presets/spn4cir-clip-fashioniq.yaml",
        "cirgen_benchmark/verdict/bench.py",
        "cirgen_benchmark/verdict/report.html.j2",
        "cirgen/world/models/mllm/model.safetensors",
        "cirgen/report/template.html.j2",
        *(f"cirgen/review/page.{kind}" for kind in ("html", "css", "js")),
    ):
        assert wanted in names
    assert sum(name.startswith("cirgen/world/images/") for name in names) >= 1_500
    assert not any(name.startswith(("tests/", "docs/")) for name in names)


def run_elsewhere(python: Path, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the demo recipe by its name, and its path as the README gives it, where no checkout is."""
    told = ("run", "recipes/demo.yaml", "--limit", "40", "--output", str(folder / "run"))
    return cirgen_elsewhere(python, folder, environment, *told)


def cirgen_elsewhere(
    python: Path, folder: Path, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run a command from a folder where no checkout is; the first line that it prints is where cirgen lies."""
    code = "import cirgen; print(cirgen.__file__); from cirgen.cli.app import main; main()"
    return subprocess.run(
        [str(python), "-c", code, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that the wheel is installed into."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), str(wheel)],
        check=True,
    )
    return folder


@pytest.mark.long
def test_an_installed_wheel_runs_the_demo_from_another_folder(site: Path, tmp_path: Path) -> None:
    done = run_elsewhere(Path(sys.executable), tmp_path, {**os.environ, "PYTHONPATH": str(site)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(site))
    assert (tmp_path / "run" / "dataset" / "README.md").is_file()


@pytest.mark.long
def test_an_installed_wheel_finds_presets_by_name(site: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    for arguments, line in ((("ls",), "spn4cir-zs-cirr "), (("show", "spn4cir-zs-cirr"), "name: spn4cir-zs-cirr")):
        done = cirgen_elsewhere(Path(sys.executable), tmp_path, environment, "presets", *arguments)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(str(site))
        assert any(found.startswith(line) for found in done.stdout.splitlines())


@pytest.mark.long
def test_a_wheel_in_an_empty_environment_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    constraints = str(CHECKOUT / "constraints.txt")
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-c", constraints, str(wheel)], check=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = run_elsewhere(python, tmp_path, environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "dataset" / "README.md").is_file()
    helped = cirgen_elsewhere(python, tmp_path, environment, "bench", "--help")
    assert "Example: cirgen bench runs/demo/dataset --preset demo" in helped.stdout
    script = subprocess.run([str(python.with_name("cirgen")), "--version"], capture_output=True, text=True, check=True)
    assert script.stdout == f"cirgen {cirgen.__version__}\n"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with wheel and sdist, the wheel built from the sdist, as `make dist` builds them."""
    folder = tmp_path_factory.mktemp("dist")
    told = [sys.executable, "-m", "build", "--outdir", str(folder), str(CHECKOUT)]
    subprocess.run(told, check=True, capture_output=True)
    return folder


@pytest.mark.long
def test_a_package_index_would_take_wheel_and_sdist(released: Path) -> None:
    files = sorted(path.name for path in released.iterdir())
    assert files == [f"cirgen-{cirgen.__version__}-py3-none-any.whl", f"cirgen-{cirgen.__version__}.tar.gz"]
    told = [sys.executable, "-m", "twine", "check", "--strict", *map(str, released.iterdir())]
    done = subprocess.run(told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.long
def test_the_sdist_holds_what_the_wheel_is_made_of(released: Path, wheel: Path) -> None:
    (built,) = released.glob("*.whl")
    assert set(zipfile.ZipFile(built).namelist()) == set(zipfile.ZipFile(wheel).namelist())
    (source,) = released.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "tests/test_packaging.py",
        "docs/index.md",
        "mkdocs.yml",
        "Makefile",
        "constraints.txt",
        "LICENSE",
    } <= names
    assert not any(name.startswith(("runs/", "audit/", ".venv", "build/", "dist/")) for name in names)


@pytest.mark.long
def test_a_dataset_opens_with_nothing_but_datasets_installed(tmp_path: Path) -> None:
    """Every config, every split, every picture."""
    python = tmp_path / "venv" / "bin" / "python"
    done = run_elsewhere(Path(sys.executable), tmp_path, {**os.environ, "PYTHONPATH": str(CHECKOUT)})
    assert done.returncode == 0, done.stderr
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    constraints = str(CHECKOUT / "constraints.txt")
    subprocess.run([str(python), "-m", "pip", "install", "-q", "-c", constraints, "datasets[vision]"], check=True)
    script = (
        "import sys, datasets\n"
        "folder = sys.argv[1]\n"
        "configs = datasets.get_dataset_config_names(folder)\n"
        "assert {'triplets', 'images', 'preview'} <= set(configs), configs\n"
        "for config in configs:\n"
        "    for split, rows in datasets.load_dataset(folder, config).items():\n"
        "        assert len(rows)\n"
        "        for row in rows:\n"
        "            [value.load() for value in row.values() if hasattr(value, 'load')]\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([str(python), "-c", script, str(tmp_path / "run" / "dataset")], check=True, env=environment)
