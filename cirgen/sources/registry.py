"""Every source that a recipe can name."""

from __future__ import annotations

from cirgen.registry import Registry
from cirgen.sources.base import Source
from cirgen.sources.cirr import CIRR
from cirgen.sources.dataset import HubDataset
from cirgen.sources.fashioniq import FashionIQ
from cirgen.sources.folder import Folder
from cirgen.sources.manifest import Manifest
from cirgen.sources.webdataset import WebDataset

SOURCES: Registry[Source] = Registry("kind", Folder, HubDataset, WebDataset, Manifest, FashionIQ, CIRR)
