"""The chunked bank loss against the plain formula: same loss and gradients, time ratio, peak memory on a large bank.

Run: python benchmark/perf/bank_loss.py [--rows 25000] [--large-rows 1000000] [--batch 256] [--width 768]

The plain formula builds all B x M logits, and autograd does the rest. Times are the least CPU seconds of `--repeats`
forward and backward passes each, taken in turns, with `--threads` threads.

Memory is that of a process of its own which does one forward and backward pass over a bank that is a memory-mapped
float16 file. A thread reads /proc/self/status every 2 ms. `RssAnon + RssShmem` is what the process itself holds;
`RssFile` counts mapped file pages, the bank's among them, which the kernel may drop at any time. Reported is the
highest `RssAnon + RssShmem` during the pass, less what there was just before it: what the loss needs beyond the bank
itself. The plain formula is measured the same way where twice the memory that it needs is free.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from cirgen_benchmark.training.bank_loss import BankLoss, BankRows

TEMPERATURE = 0.02
LIMIT_MIB = 2048
"""What the loss may need beyond a bank of a million rows."""
SAMPLE_SECONDS = 0.002
LossOf = Callable[[Tensor, BankRows, Tensor], tuple[Tensor, Tensor]]
"""Returns the loss and its gradient with respect to temperature; that of the queries is left in them."""


def main() -> None:
    """Print agreement, times and memory; end with an error where a promise is broken."""
    options = _options()
    torch.set_num_threads(options.threads)
    if options.measure:
        print(json.dumps(_memory(Path(options.measure), options.batch, options.plain)))
        return
    agreed = _agreement(options)
    _times(options)
    within = _large(options)
    if not (agreed and within):
        sys.exit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=25_000)
    parser.add_argument("--large-rows", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", help="where the large bank is written; a temporary folder by default")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def chunked(queries: Tensor, bank: BankRows, positives: Tensor) -> tuple[Tensor, Tensor]:
    """Do a forward and a backward pass of the chunked loss."""
    loss_of = BankLoss(TEMPERATURE, learn_temperature=True)
    return _passed(loss_of(queries, bank, positives), loss_of.temperature.value)


def plain(queries: Tensor, bank: BankRows, positives: Tensor) -> tuple[Tensor, Tensor]:
    """Do a forward and a backward pass of the plain formula."""
    rows = bank if isinstance(bank, Tensor) else torch.from_numpy(np.array(bank))
    temperature = torch.tensor(TEMPERATURE, requires_grad=True)
    return _passed(cross_entropy(queries @ rows.float().T / temperature, positives), temperature)


def _agreement(options: argparse.Namespace) -> bool:
    """Compare losses and gradients with those of the plain formula in float64."""
    queries, bank, positives = _made(options.batch, options.rows, options.width)
    exact = _found(plain64, queries, bank, positives)
    print(f"Against the plain formula in float64, {options.batch} queries, bank {options.rows:,} x {options.width}:")
    errors = {name: _errors(_found(way, queries, bank, positives), exact) for name, way in WAYS.items()}
    for name, found in errors.items():
        print(f"  {name:8} relative error: " + ", ".join(f"{what} {error:.1e}" for what, error in found.items()))
    return all(error < 1e-5 for error in errors["chunked"].values())


def plain64(queries: Tensor, bank: BankRows, positives: Tensor) -> tuple[Tensor, Tensor]:
    """Do the passes of the plain formula in float64."""
    temperature = torch.tensor(TEMPERATURE, dtype=torch.float64, requires_grad=True)
    rows = torch.as_tensor(bank).double()
    return _passed(cross_entropy(queries.double() @ rows.T / temperature, positives), temperature)


def _passed(loss: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
    torch.autograd.backward(loss)
    assert temperature.grad is not None
    return loss.detach(), temperature.grad


WAYS: dict[str, LossOf] = {"plain": plain, "chunked": chunked}


def _found(way: LossOf, queries: Tensor, bank: BankRows, positives: Tensor) -> dict[str, Tensor]:
    queries = queries.clone().requires_grad_()
    loss, by_temperature = way(queries, bank, positives)
    assert queries.grad is not None
    return {"loss": loss, "gradient of queries": queries.grad, "of temperature": by_temperature}


def _errors(found: dict[str, Tensor], exact: dict[str, Tensor]) -> dict[str, float]:
    return {name: float((found[name] - exact[name]).abs().max() / exact[name].abs().max()) for name in exact}


def _times(options: argparse.Namespace) -> None:
    queries, bank, positives = _made(options.batch, options.rows, options.width)
    least = dict.fromkeys(WAYS, float("inf"))
    for _ in range(options.repeats):
        for name, way in WAYS.items():
            start = time.process_time()
            _found(way, queries, bank, positives)
            least[name] = min(least[name], time.process_time() - start)
    print("Forward and backward, CPU seconds: " + ", ".join(f"{name} {took:.3f}" for name, took in least.items()))
    print(f"  chunked takes {least['chunked'] / least['plain']:.2f} of the plain formula's time")


def _large(options: argparse.Namespace) -> bool:
    """Measure memory on the large bank; return whether it is within the limit."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "bank.npy"
        _write(path, options.large_rows, options.width)
        size = _mib(path.stat().st_size)
        print(f"Bank of {options.large_rows:,} x {options.width}, float16 in a mapped file of {size}:")
        found = _measured(path, options)
        print(f"  chunked: {_mib(found['peak'])} beyond the bank, {found['seconds']:.1f} s")
        needed = 3 * 4 * options.large_rows * max(options.width, options.batch)
        if 2 * needed < psutil.virtual_memory().available:
            print(f"  plain:   {_mib(_measured(path, options, '--plain')['peak'])} beyond the bank")
        else:
            print(f"  plain:   would need some {_mib(needed)}, more than is free")
    return bool(found["peak"] < LIMIT_MIB * 2**20)


def _measured(path: Path, options: argparse.Namespace, *further: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", str(path), "--batch", str(options.batch)]
    command += ["--threads", str(options.threads), *further]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(told)
    return found


def _memory(path: Path, batch: int, by_plain: bool) -> dict[str, float]:
    """Return peak memory, in bytes, and the seconds of the passes over a mapped bank."""
    bank = np.load(path, mmap_mode="r")
    queries, small, positives = _made(batch, 1000, bank.shape[1])
    way = plain if by_plain else chunked
    _found(way, queries, small, positives)  # libraries allocate what they keep on their first call
    with _Watch() as watch:
        start = time.monotonic()
        _found(way, queries, bank, torch.arange(batch) * (len(bank) // batch))
        seconds = time.monotonic() - start
    return {"peak": watch.highest - watch.before, "seconds": seconds}


class _Watch:
    """Samples what this process itself holds in memory."""

    def __enter__(self) -> _Watch:
        self.before = self.highest = _own_bytes()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(SAMPLE_SECONDS):
            self.highest = max(self.highest, _own_bytes())


def _own_bytes() -> int:
    """Return the resident bytes that belong to no file."""
    lines = Path("/proc/self/status").read_text(encoding="utf8").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon:", "RssShmem:")))


def _made(batch: int, rows: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return random queries, bank and positives; a query leans towards its target so far that the loss is near 2."""
    generator = torch.Generator().manual_seed(0)
    bank = normalize(torch.randn(rows, width, generator=generator), dim=1)
    positives = torch.randint(rows, (batch,), generator=generator)
    queries = normalize(bank[positives] * 0.2 + torch.randn(batch, width, generator=generator) / width**0.5, dim=1)
    return queries, bank, positives


def _write(path: Path, rows: int, width: int, at_once: int = 50_000) -> None:
    """Write a bank of random unit vectors, some rows at a time."""
    mapped = np.lib.format.open_memmap(path, "w+", np.float16, (rows, width))
    generator = torch.Generator().manual_seed(1)
    for start in range(0, rows, at_once):
        count = min(at_once, rows - start)
        mapped[start : start + count] = normalize(torch.randn(count, width, generator=generator), dim=1).half().numpy()
    mapped.flush()


def _mib(count: float) -> str:
    return f"{count / 2**20:,.0f} MiB"


if __name__ == "__main__":
    main()
