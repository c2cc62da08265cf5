"""Every filter that a recipe can name, in the order in which a stack is best written: cheap ones first."""

from __future__ import annotations

from cirgen.filters.agreement import Agreement
from cirgen.filters.base import Filter
from cirgen.filters.claims import ClaimCheck
from cirgen.filters.diversity import Diversity
from cirgen.filters.duplicate import Duplicate
from cirgen.filters.judge import Judge
from cirgen.filters.likelihood import TextLikelihood
from cirgen.filters.lint import Lint
from cirgen.filters.reference_leak import ReferenceLeak
from cirgen.filters.round_trip import RoundTrip
from cirgen.filters.shortcut import Shortcut
from cirgen.filters.similarity import Similarity
from cirgen.filters.target_leak import TargetLeak
from cirgen.filters.too_broad import TooBroad
from cirgen.registry import Registry

FILTERS: Registry[Filter] = Registry(
    "name",
    Lint,
    Duplicate,
    Similarity,
    ReferenceLeak,
    TargetLeak,
    Agreement,
    Shortcut,
    TooBroad,
    TextLikelihood,
    Judge,
    ClaimCheck,
    RoundTrip,
    Diversity,
)
