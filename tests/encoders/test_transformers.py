"""An embedding depends on its image or text alone."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cirgen.encoders.transformers import TransformersEncoder
from cirgen.model_settings import Encoder
from cirgen.resources import local_path

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def encoder() -> TransformersEncoder:
    return TransformersEncoder(Encoder(model="cirgen:filter-encoder", batch_shape=8))


def test_no_bit_of_an_image_embedding_depends_on_its_companions(encoder: TransformersEncoder) -> None:
    pictures = [Image.open(path).convert("RGB") for path in sorted(local_path("cirgen:images").glob("*.png"))[:19]]
    together = encoder.images(pictures)
    alone = np.concatenate([encoder.images([picture]) for picture in pictures])
    assert (together == alone).all()
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)


def test_no_bit_of_a_text_embedding_depends_on_its_companions(encoder: TransformersEncoder) -> None:
    texts = ["a red hat", "make the shirt blue and remove the glasses", "", "x" * 5_000, "one more ball"] * 4
    together = encoder.texts(texts)
    assert (together == np.concatenate([encoder.texts([text]) for text in texts])).all()


def test_the_identity_changes_with_the_shape_and_the_format() -> None:
    base = Encoder(model="cirgen:filter-encoder")
    variants = [base, base.model_copy(update={"batch_shape": 4}), base.model_copy(update={"dtype": "bfloat16"})]
    assert len({TransformersEncoder(settings).identity for settings in variants}) == 3
