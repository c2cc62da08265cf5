"""Draws one 3D model in given colours; a process of its own draws each, since a model can bring the importer down.

Needs VTK (`pip install "cirgen[furniture]"`). `draw` starts `python -m cirgen.world.furniture.scene`, hands it the
jobs and ends it where it takes too long; whatever dies in there leaves this process alone.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cirgen.errors import UserError

BACKGROUND = (0.90, 0.91, 0.93)
"""Light grey: white parts stay visible."""
OVERSAMPLING = 2
"""Pixels drawn for one pixel kept, along each side: smooth edges without the driver's multisampling."""
AMBIENT, DIFFUSE = 0.42, 0.68
"""Shares of light without and with a direction: colours stay their own on every face."""
ZOOM = 1.0
SECONDS_PER_DRAWING, SECONDS_TO_LOAD = 5, 60

Color = tuple[float, float, float]


class Job(NamedTuple):
    """One picture of a model: colours (0 to 1) by material, and from where it is seen, in degrees."""

    colors: Mapping[str, Color]
    azimuth: float
    elevation: float
    side: int
    """Side of the square picture in pixels."""


class Scene:
    """A model in a window that nobody sees; colours are set anew for every picture."""

    def __init__(self, model: Path) -> None:
        import vtk

        reader = vtk.vtkOBJImporter()
        reader.SetFileName(str(model))
        materials = model.with_suffix(".mtl")
        if materials.is_file():
            reader.SetFileNameMTL(str(materials))
        reader.SetTexturePath(str(model.parent))
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.renderer = vtk.vtkRenderer()
        self.renderer.SetBackground(*BACKGROUND)
        self.window.AddRenderer(self.renderer)
        reader.SetRenderWindow(self.window)
        reader.Update()
        self.actors = self._actors(reader)
        self.renderer.RemoveAllLights()
        vtk.vtkLightKit().AddLightsToRenderer(self.renderer)

    def _actors(self, reader: Any) -> list[tuple[str, Any]]:
        """Return (material, actor): VTK makes an actor of every run of faces, so a material has several."""
        found = self.renderer.GetActors()
        found.InitTraversal()
        actors = [found.GetNextActor() for _ in range(found.GetNumberOfItems())]
        for actor in actors:
            shine = actor.GetProperty()
            shine.SetAmbient(AMBIENT)
            shine.SetDiffuse(DIFFUSE)
            shine.SetAmbientColor(*shine.GetDiffuseColor())
        return [(_material(reader.GetOutputDescription(place)), actor) for place, actor in enumerate(actors)]

    def paint(self, colors: Mapping[str, Color]) -> None:
        """Give materials a plain colour instead of their texture."""
        for material, actor in self.actors:
            if material in colors:
                actor.SetTexture(None)
                actor.GetProperty().SetDiffuseColor(*colors[material])
                actor.GetProperty().SetAmbientColor(*colors[material])
                actor.GetProperty().SetOpacity(1)

    def draw(self, job: Job) -> Any:
        """Return a PIL image."""
        import vtk
        from PIL import Image
        from vtk.util.numpy_support import vtk_to_numpy

        self.paint(job.colors)
        self.window.SetSize(job.side * OVERSAMPLING, job.side * OVERSAMPLING)
        camera = self.renderer.GetActiveCamera()
        camera.SetViewUp(0, 1, 0)
        camera.SetPosition(0, 0, 1)
        camera.SetFocalPoint(0, 0, 0)
        camera.Azimuth(job.azimuth)
        camera.Elevation(job.elevation)
        self.renderer.ResetCamera()
        camera.Zoom(ZOOM)
        self.renderer.ResetCameraClippingRange()
        self.window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.Update()
        pixels = grab.GetOutput()
        width, height, _ = pixels.GetDimensions()
        rows = vtk_to_numpy(pixels.GetPointData().GetScalars()).reshape(height, width, -1)[::-1]
        return Image.fromarray(rows.copy()).resize((job.side, job.side), Image.Resampling.LANCZOS)


def _material(description: str) -> str:
    """Read the name out of VTK's line about an actor; models have no empty names."""
    head = description.split("\n", maxsplit=1)[0]
    return head.split("material named ")[-1].split(" texture file")[0].strip() if "material named " in head else ""


def draw(model: Path, jobs: Sequence[Job]) -> list[Any]:
    """Draw the jobs of one model in a process of its own, in order, as PIL images.

    Raises:
        UserError: VTK is missing, or the model killed the importer or takes too long.
    """
    from PIL import Image

    limit = SECONDS_TO_LOAD + SECONDS_PER_DRAWING * len(jobs)
    told = json.dumps({"model": str(model), "jobs": [job._asdict() for job in jobs]})
    command = [sys.executable, "-m", __name__]
    try:
        done = subprocess.run(command, input=told.encode(), capture_output=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{model} was not drawn in {limit} seconds; leave it out of models.yaml.") from error
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"signal {-done.returncode}"]
        raise UserError(f"{model} cannot be drawn ({why[0]}); leave it out, or: pip install 'cirgen[furniture]'.")
    with zipfile.ZipFile(io.BytesIO(done.stdout)) as answers:
        return [Image.open(io.BytesIO(answers.read(name))).convert("RGB") for name in answers.namelist()]


def _worker() -> None:
    """Draw what standard input asks for, and answer with a zip of PNG files."""
    asked = json.loads(sys.stdin.read())
    scene = Scene(Path(asked["model"]))
    answer = io.BytesIO()
    with zipfile.ZipFile(answer, "w") as out:
        for place, job in enumerate(asked["jobs"]):
            png = io.BytesIO()
            scene.draw(Job(**job)).save(png, "PNG", compress_level=1)
            out.writestr(f"{place:06}.png", png.getvalue())
    sys.stdout.buffer.write(answer.getvalue())


if __name__ == "__main__":
    _worker()
