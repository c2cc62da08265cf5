"""What is scored: one model's embeddings, or its rankings, as files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cirgen.errors import UserError
from cirgen_benchmark.protocols.base import Features, Protocol, Scores
from cirgen_benchmark.protocols.features import arranged, norm_remark, normalised, read_features
from cirgen_benchmark.protocols.rankings import RankingsFile, read_rankings
from cirgen_benchmark.protocols.submissions import Submission

RANKINGS_SUFFIX = ".json"


@dataclass(frozen=True)
class Contender:
    """One model under one protocol."""

    protocol: Protocol
    features: Features | None = None
    rankings: Sequence[RankingsFile] = ()
    remark: str = ""
    """What whoever reads the figures should know of the files."""

    def scores(self) -> Scores:
        """Return the figures.

        Raises:
            UserError: see `Protocol.score` and `Protocol.score_rankings`.
        """
        if self.features is None:
            return self.protocol.score_rankings(self.rankings)
        return self.protocol.score(self.features)

    def submissions(self) -> Sequence[Submission]:
        """Return what the benchmark's server takes.

        Raises:
            UserError: there are rankings alone, or see `Protocol.submissions`.
        """
        if self.features is None:
            raise UserError("Rankings are what the server takes already; give --features, or leave out --submission.")
        return self.protocol.submissions(self.features)


def read_contender(protocol: Protocol, paths: Sequence[Path], normalize: bool = False) -> Contender:
    """Read a model's files: one of features, or one or several of rankings, told by their suffix `.json`.

    Args:
        protocol: that the files are for.
        paths: of the files.
        normalize: scale the vectors of galleries to norm 1.

    Raises:
        UserError: a file is missing or damaged, or names images or queries that are not of the benchmark.
    """
    if all(path.suffix == RANKINGS_SUFFIX for path in paths):
        return ranked_contender(protocol, paths)
    if len(paths) > 1:
        raise UserError("A model has one features file, or rankings in .json files; give either.")
    return embedded_contender(protocol, paths[0], normalize)


def ranked_contender(protocol: Protocol, paths: Sequence[Path]) -> Contender:
    """Read a model's rankings.

    Raises:
        UserError: a file is missing or damaged.
    """
    return Contender(protocol, rankings=[read_rankings(path) for path in paths])


def embedded_contender(protocol: Protocol, path: Path, normalize: bool = False) -> Contender:
    """Read a model's embeddings.

    Raises:
        UserError: see `read_contender`.
    """
    features = arranged(read_features(path), protocol)
    if normalize:
        return Contender(protocol, normalised(features))
    return Contender(protocol, features, remark=norm_remark(features))
