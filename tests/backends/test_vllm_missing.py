"""Without vLLM the backend says how to get it."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from cirgen.backends.vllm import VllmBackend
from cirgen.errors import UserError
from cirgen.model_settings import Model


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_a_missing_vllm_names_its_command() -> None:
    with pytest.raises(UserError, match=r"pip install 'cirgen\[vllm\]'"):
        VllmBackend(Model(model="cirgen:mllm", backend="vllm"))
