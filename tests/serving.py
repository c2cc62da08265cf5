"""A real OpenAI-compatible server on loopback, `transformers serve` with the embedded model, and faults before it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cirgen.resources import local_path

MODEL = str(local_path("cirgen:mllm"))
START_SECONDS = 500
SERVE = "from transformers.cli.transformers import main; main()"

Fault = str | None
"""`reset`, `429`, `500`, `400`, `401`, `hang`, `cut`, `no json`, `other json`; None passes a request on."""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def transformers_serve(folder: Path) -> Iterator[int]:
    """Yield the port of a server that runs the embedded model; `folder` takes its log."""
    port = free_port()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SERVE, "serve", MODEL, "--device", "cpu", "--dtype", "float32"]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen([*command, "--port", str(port)], env=environment, stdout=log, stderr=log)
        try:
            wait_for(port, process, folder / "serve.log")
            yield port
        finally:
            process.kill()
            process.wait()


VLLM_NAME = "toy"
VLLM = ["--dtype", "float32", "--enforce-eager", "--max-model-len", "512", "--generation-config", "vllm"]


@contextmanager
def vllm_serve(folder: Path) -> Iterator[int]:
    """Yield the port of a vLLM server that calls the embedded model `VLLM_NAME`; `folder` takes its log."""
    port, log = free_port(), folder / "serve.log"
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", MODEL, *VLLM]
    command += ["--served-model-name", VLLM_NAME, "--port", str(port)]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1"}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--served-model-name", VLLM_NAME, "--port", str(port)],
            env=environment,
            stdout=file,
            stderr=file,
        )
        try:
            wait_for(port, process, log)
            yield port
        finally:
            process.terminate()
            process.wait(60)


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers; where it ends before that, raise with the end of its log."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            connection = http.client.HTTPConnection("localhost", port, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise RuntimeError(log.read_text(errors="replace")[-2000:])


class Proxy:
    """Passes questions on to a server, with faults.

    Args:
        upstream: port of the server.
        fault: for the n-th time (from 0) that a question is asked, by its body.
    """

    def __init__(
        self, upstream: int, fault: Callable[[int, dict[str, Any]], Fault] = lambda times, body: None
    ) -> None:
        self.upstream = upstream
        self.fault = fault
        self.listing = ""
        """Status that is all it says of its models, if any."""
        self.words = b'{"object": "error", "message": "out of order"}'
        """What it says instead of an answer, for the fault `other json`."""
        self.asked: Counter[str] = Counter()
        self.answered = 0
        self.keys: set[str] = set()
        """What was sent to tell who asks."""
        self.most = 0
        """Questions under way at once."""
        self._under_way = 0
        self._lock = threading.Lock()
        self.released = threading.Event()
        self.port = free_port()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Proxy:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self.stop()

    def start(self) -> None:
        proxy = self

        class Handler(_Handler):
            def __init__(self, *arguments: Any) -> None:
                self.proxy = proxy
                super().__init__(*arguments)

        ThreadingHTTPServer.allow_reuse_address = True
        ThreadingHTTPServer.daemon_threads = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    @property
    def up(self) -> bool:
        return self._server is not None

    def times(self, body: bytes) -> int:
        with self._lock:
            self.asked[body.decode()] += 1
            return self.asked[body.decode()] - 1

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self._lock:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.proxy.keys.add(self.headers.get("Authorization", ""))
        if self.proxy.listing:
            self._answer(int(self.proxy.listing), b"{}")
        else:
            self._pass_on(None)

    def do_POST(self) -> None:
        self.proxy.keys.add(self.headers.get("Authorization", ""))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.proxy.counted():
            fault = self.proxy.fault(self.proxy.times(body), json.loads(body))
            if not self.proxy.up:
                self._reset()
            elif fault is None:
                self._pass_on(body)
                self.proxy.answered += 1
            elif fault.isdigit():
                waits = {"Retry-After": "1"} if fault == "429" else {}
                self._answer(int(fault), json.dumps({"error": {"message": f"told {fault}"}}).encode(), waits)
            else:
                {
                    "reset": self._reset,
                    "hang": lambda: self.proxy.released.wait(600),
                    "cut": lambda: self._answer(200, b'{"choices": [{"mess', {"Content-Length": "5000"}),
                    "no json": lambda: self._answer(200, b'{"choices": [}'),
                    "other json": lambda: self._answer(200, self.proxy.words),
                }[fault]()
                self.close_connection = True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _pass_on(self, body: bytes | None) -> None:
        connection = http.client.HTTPConnection("localhost", self.proxy.upstream, timeout=300)
        connection.request(self.command, self.path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        self._answer(answer.status, answer.read())
        connection.close()

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        with suppress(OSError):
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                **(headers or {}),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()
