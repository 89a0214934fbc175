"""A served page, for tests."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zoo.cli.explore.answers import start_of
from zoo.cli.explore.server import HOST, Server


@contextmanager
def served(source: str) -> Iterator[Server]:
    """The page of a spec, on a free port, until the block ends."""
    with Server(start_of(source, (), None), 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def request(
    server: Server, method: str, name: str, body: bytes = b"", *, token: str = "", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """A request as it is written, and its answer: status, headers, content."""
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=20)
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    connection.request(method, f"/{token or server.token}/{name}", body, named)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def asked(server: Server, what: str, /, **given: Any) -> Any:
    """What the page would be told."""
    status, _, content = request(
        server, "POST", what, json.dumps(given).encode(), Content_Type="application/json"
    )
    assert status == 200, content
    return json.loads(content)
