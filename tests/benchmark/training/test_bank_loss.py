"""The chunked bank loss is the plain formula: same loss and gradients, whatever chunk, masks and number types."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from cirgen_benchmark.training.bank_loss import BankLoss, BankRows, Pairs, bank_losses


def vectors(seed: int, *shape: int) -> Tensor:
    """Return random unit vectors in float64."""
    return normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=-1)


def plain(
    queries: Tensor, temperature: Tensor, bank: Tensor, positives: Tensor, out: list[set[int]] | None = None
) -> Tensor:
    """Write down InfoNCE query by query: log of the sum over all rows that count, less the target's own logit."""
    losses = []
    for number, query in enumerate(queries):
        cosines = bank @ query if bank.ndim == 2 else (bank @ query).amax(dim=1)
        logits = cosines / temperature
        ignored = (out[number] if out else set()) - {int(positives[number])}
        counted = [row for row in range(len(bank)) if row not in ignored]
        losses.append(torch.log(torch.exp(logits[counted]).sum()) - logits[positives[number]])
    return torch.stack(losses)


def gradients(loss: Tensor, *of: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, of))


cases = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "queries": st.integers(1, 5),
        "rows": st.integers(1, 20),
        "vectors": st.sampled_from([None, 1, 3]),
        "chunk": st.integers(1, 30),
        "temperature": st.floats(0.02, 1.5),
        "masked": st.floats(0, 1),
    }
)


def made(case: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor, list[set[int]]]:
    """Return queries, bank, positives, and rows of each query that are no negatives."""
    random = np.random.default_rng(case["seed"])
    shape = (case["rows"], 4) if case["vectors"] is None else (case["rows"], case["vectors"], 4)
    out = [set(np.flatnonzero(random.random(case["rows"]) < case["masked"]).tolist()) for _ in range(case["queries"])]
    positives = torch.from_numpy(random.integers(0, case["rows"], case["queries"]))
    return vectors(case["seed"], case["queries"], 4), vectors(case["seed"] + 1, *shape), positives, out


def pairs(out: list[set[int]]) -> Pairs:
    return Pairs.of([torch.tensor(sorted(rows), dtype=torch.long) for rows in out])


@given(cases)
def test_loss_and_gradients_are_those_of_the_plain_formula(case: dict[str, Any]) -> None:
    queries, bank, positives, out = made(case)
    weights = torch.rand(len(queries), dtype=torch.float64)
    found, expected = [], []
    for into, ignored in ((found, None), (found, pairs(out)), (expected, None), (expected, out)):
        q = queries.clone().requires_grad_()
        t = torch.tensor(case["temperature"], dtype=torch.float64, requires_grad=True)
        if into is found:
            losses = bank_losses(q, t, bank, positives, ignored=ignored, chunk=case["chunk"])  # type: ignore[arg-type]
        else:
            losses = plain(q, t, bank, positives, ignored)  # type: ignore[arg-type]
        into.append([losses.detach(), *gradients((losses * weights).sum(), q, t)])
    for one, other in zip(found, expected, strict=True):
        for ours, theirs in zip(one, other, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@given(cases)
def test_with_sampled_negatives_all_others_are_left_out(case: dict[str, Any]) -> None:
    queries, bank, positives, drawn = made(case)
    temperature = torch.tensor(case["temperature"], dtype=torch.float64)
    found = bank_losses(queries, temperature, bank, positives, sampled=pairs(drawn), chunk=case["chunk"])
    others = [set(range(len(bank))) - rows for rows in drawn]
    torch.testing.assert_close(found, plain(queries, temperature, bank, positives, others), rtol=1e-9, atol=1e-9)


@given(cases)
def test_a_row_that_is_sampled_and_ignored_is_ignored(case: dict[str, Any]) -> None:
    queries, bank, positives, drawn = made(case)
    ignored = [set(range(0, len(bank), 2)) for _ in queries]
    temperature = torch.tensor(case["temperature"], dtype=torch.float64)
    found = bank_losses(queries, temperature, bank, positives, pairs(ignored), pairs(drawn), case["chunk"])
    others = [(set(range(len(bank))) - one) | two for one, two in zip(drawn, ignored, strict=True)]
    torch.testing.assert_close(found, plain(queries, temperature, bank, positives, others), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(11, 4), (11, 3, 4)])
def test_gradients_pass_gradcheck(shape: tuple[int, ...]) -> None:
    queries = vectors(1, 3, 4).requires_grad_()
    temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    bank, positives = vectors(2, *shape), torch.tensor([4, 0, 10])
    ignored = Pairs(torch.tensor([0, 2]), torch.tensor([1, 9]))
    assert torch.autograd.gradcheck(
        lambda q, t: bank_losses(q, t, bank, positives, ignored, chunk=4), (queries, temperature)
    )


def kept(bank: Tensor, kind: str, folder: Path) -> BankRows:
    if kind == "float16":
        return bank.half()
    if kind == "float64":
        return bank
    np.save(folder / "bank.npy", bank.numpy().astype("float16" if kind == "mapped float16" else "float32"))
    return np.load(folder / "bank.npy", mmap_mode="r")  # type: ignore[no-any-return]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["float16", "float64", "mapped float16", "mapped float32"])
def test_the_bank_may_be_of_any_float_type_and_memory_mapped(kind: str, tmp_path: Path) -> None:
    bank, positives = vectors(5, 50, 8), torch.tensor([7, 49])
    queries = vectors(6, 2, 8).float().requires_grad_()
    rows = kept(bank, kind, tmp_path)
    loss = BankLoss(temperature=0.1, chunk=16)(queries, rows, positives)
    exact = rows.float() if isinstance(rows, Tensor) else torch.from_numpy(np.array(rows)).float()
    expected = plain(queries, torch.tensor(0.1), exact, positives).mean()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradients(loss, queries)[0], gradients(expected, queries)[0])


def test_sampled_rows_are_read_from_a_mapped_bank(tmp_path: Path) -> None:
    bank = kept(vectors(5, 50, 8), "mapped float16", tmp_path)
    queries, positives = vectors(6, 2, 8).float(), torch.tensor([7, 49])
    sampled = Pairs(torch.tensor([0, 0, 1]), torch.tensor([3, 40, 7]))
    found = bank_losses(queries, torch.tensor(0.1), bank, positives, sampled=sampled)
    rows = torch.from_numpy(np.array(bank)).float()
    others = [set(range(50)) - {3, 40}, set(range(50)) - {7}]
    torch.testing.assert_close(found, plain(queries, torch.tensor(0.1), rows, positives, others))


def test_extreme_logits_neither_overflow_nor_vanish() -> None:
    queries = torch.tensor([[1.0, 0.0]], requires_grad=True)
    bank = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    losses = bank_losses(queries, torch.tensor(1e-4), bank, torch.tensor([1]), chunk=1)
    torch.testing.assert_close(losses, torch.tensor([0.6931472]))
    assert gradients(losses.sum(), queries)[0].isfinite().all()


def test_a_query_whose_whole_chunk_is_ignored_still_has_a_loss() -> None:
    bank, queries = vectors(1, 6, 4), vectors(2, 1, 4)
    ignored = [set(range(5))]
    found = bank_losses(queries, torch.tensor(0.1), bank, torch.tensor([5]), pairs(ignored), chunk=2)
    torch.testing.assert_close(found, torch.zeros(1, dtype=torch.float64), rtol=0, atol=1e-12)


def test_a_temperature_that_is_learned_gets_a_gradient_and_a_fixed_one_does_not() -> None:
    queries, bank, positives = vectors(1, 3, 4).float(), vectors(2, 9, 4).float(), torch.tensor([1, 2, 3])
    learned = BankLoss(0.1, learn_temperature=True)
    learned(queries, bank, positives).backward()
    assert learned.temperature.value.grad is not None
    assert not BankLoss(0.1)(queries, bank, positives).requires_grad


def test_under_autocast_sums_stay_float32() -> None:
    queries, bank, positives = vectors(1, 3, 4).float(), vectors(2, 9, 4).float(), torch.tensor([1, 2, 3])
    exact = BankLoss(0.02)(queries, bank, positives)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(BankLoss(0.02)(queries, bank, positives), exact)


@pytest.mark.long
@pytest.mark.integration
def test_the_script_that_compares_it_with_the_plain_formula_runs_and_agrees() -> None:
    script = Path(__file__).parents[3] / "benchmark" / "perf" / "bank_loss.py"
    sizes = ["--rows", "500", "--large-rows", "3000", "--batch", "16", "--width", "32", "--repeats", "1"]
    told = subprocess.run([sys.executable, str(script), *sizes], check=True, capture_output=True, text=True).stdout
    assert "chunked  relative error" in told
    assert "beyond the bank" in told
