"""An S3 service that really answers, on the loopback address."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

SECRET = "SeCrEtKeY0123456789"


@contextmanager
def s3_service(bucket: str) -> Iterator[Any]:
    """The service with one bucket, as the environment's; gives its file system."""
    pytest.importorskip("s3fs")
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        import fsspec
        from s3fs import S3FileSystem

        S3FileSystem.clear_instance_cache()
        files = fsspec.filesystem("s3")
        files.mkdir(bucket)
        yield files
        S3FileSystem.clear_instance_cache()
        server.stop()
