"""Starting the page: what cannot be served is said in one line."""

import socket
from pathlib import Path

import pytest

from segkit.app import serve
from segkit.app.server import running_page
from segkit.errors import UsageError
from segkit.inference.predictor import Predictor


@pytest.mark.parametrize("auth", ["user", "user:", ":password"])
def test_half_a_login_is_refused(auth: str) -> None:
    with pytest.raises(UsageError, match="--auth needs a name and a password as user:password"):
        serve(["unused"], auth=auth)


def test_a_taken_port_is_named(predictors: dict[str, Predictor]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(UsageError, match=rf"port {port} of 127\.0\.0\.1 .* choose another with --port"),
            running_page(predictors, "127.0.0.1", port),
        ):
            pass


def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no model"):
        serve([str(tmp_path / "none")])
