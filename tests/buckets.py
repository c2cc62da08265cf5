"""A bucket of a real S3 server on loopback."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

BUCKET = "photos"


class Bucket:
    """A bucket of a server of its own."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def put(self, key: str, data: bytes) -> None:
        self._client.put_object(Bucket=BUCKET, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        return bytes(self._client.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def keys(self) -> set[str]:
        return {one["Key"] for one in self._client.list_objects_v2(Bucket=BUCKET).get("Contents", ())}

    def remove(self, key: str) -> None:
        self._client.delete_object(Bucket=BUCKET, Key=key)


@contextmanager
def bucket_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """Begin a server with an empty bucket, and point S3's libraries at it."""
    import boto3
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
    ):
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()  # it holds the server of the last test
    urllib.request.urlopen(f"http://{host}:{port}/moto-api/reset", data=b"").close()  # one process, one state
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    yield Bucket(client)
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()
