"""Every filter that a recipe can name, in the order in which a stack is best written: cheap ones first."""

from __future__ import annotations

from cirgen.filters.agreement import Agreement
from cirgen.filters.base import Filter
from cirgen.filters.change_count import ChangeCount
from cirgen.filters.claims import ClaimCheck
from cirgen.filters.contradiction import Contradiction
from cirgen.filters.decontamination import Decontamination
from cirgen.filters.diversity import Diversity
from cirgen.filters.duplicate import Duplicate
from cirgen.filters.judge import Judge
from cirgen.filters.language import Language
from cirgen.filters.likelihood import TextLikelihood
from cirgen.filters.lint import Lint
from cirgen.filters.near_duplicate import NearDuplicate
from cirgen.filters.people import People
from cirgen.filters.reference_leak import ReferenceLeak
from cirgen.filters.round_trip import RoundTrip
from cirgen.filters.shortcut import Shortcut
from cirgen.filters.similarity import Similarity
from cirgen.filters.target_leak import TargetLeak
from cirgen.filters.too_broad import TooBroad
from cirgen.filters.unsafe import Unsafe
from cirgen.registry import Registry

FILTERS: Registry[Filter] = Registry(
    "name",
    Lint,
    Duplicate,
    NearDuplicate,
    Similarity,
    ReferenceLeak,
    TargetLeak,
    People,
    Language,
    Decontamination,
    Agreement,
    Shortcut,
    TooBroad,
    Contradiction,
    Unsafe,
    TextLikelihood,
    Judge,
    ChangeCount,
    ClaimCheck,
    RoundTrip,
    Diversity,
)
