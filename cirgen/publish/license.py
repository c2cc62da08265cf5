"""Which licence a dataset states: of the texts, of each image, and of the whole."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping

HUB_LICENSES = frozenset(
    (
        *("apache-2.0", "mit", "openrail", "bsd-2-clause", "bsd-3-clause", "gpl-3.0", "unlicense"),
        *("cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
        *("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
        *("cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
        *("cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0", "odbl", "odc-by", "pddl"),
    )
)
"""Licence ids that the Hub knows (docs, `repositories-licenses`), as far as data come under them."""

UNKNOWN = "unknown"


def hub_license(license_: str) -> str:
    """Return the Hub's spelling of a licence (`CC BY 4.0` becomes `cc-by-4.0`), or the name as it is."""
    line = " ".join(license_.split())
    spelling = line.lower().replace("_", "-").replace(" ", "-")
    return spelling if spelling in HUB_LICENSES else line


def card_license(texts: str, images: Collection[str]) -> dict[str, str]:
    """Return the licence fields of the card.

    Args:
        texts: licence of the texts.
        images: licences of the images that are published with them; empty when none is.
    """
    licenses = sorted({hub_license(name) or UNKNOWN for name in (texts, *images)})
    if len(licenses) == 1 and licenses[0] in HUB_LICENSES:
        return {"license": licenses[0]}
    name = "-and-".join(licenses) if len(licenses) <= 3 else "several"
    return {"license": "other", "license_name": _slug(name), "license_link": "LICENSE"}


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9.+]+", "-", name.lower()).strip("-") or UNKNOWN


def by_license(images: Mapping[str, int]) -> dict[str, int]:
    """Return the number of images by the Hub's spelling of their licence; several spellings of one are one."""
    counts: Counter[str] = Counter()
    for name, number in images.items():
        counts[hub_license(name) or UNKNOWN] += number
    return dict(sorted(counts.items()))


def license_file(texts: str, images: Mapping[str, int], published: bool) -> str:
    """Return the text of LICENSE.

    Args:
        texts: licence of the texts.
        images: number of images by licence, '' where it is not known.
        published: whether image bytes lie in the dataset.
    """
    lines = [
        f"Texts, scores and the selection of triplets: {hub_license(texts)}",
        "",
        "Images keep the licence of their source; each row of the config `images` names it, with author and URL.",
        "Image files are part of this dataset." if published else "Image files are not part of this dataset.",
    ]
    lines += [f"  {count:,} images: {name}" for name, count in by_license(images).items()]
    lines += ["", "Licence texts: https://spdx.org/licenses/"]
    return "\n".join(lines) + "\n"
