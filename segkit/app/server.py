"""Starting and ending the page's server."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from segkit.errors import UsageError

if TYPE_CHECKING:
    from segkit.inference.predictor import Predictor

_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


def serve(
    models: Sequence[str],
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    auth: str | None = None,
    open_browser: bool = True,
    device: str = "auto",
) -> None:
    """Load the models and serve the page until Ctrl-C.

    Args:
        models: model files, run folders or names from `weights/`; the visitor chooses among several.
        host: address to listen on; the default is reached from this machine only.
        port: port to listen on.
        auth: `user:password` asked of every visitor; None: nothing is asked.
        open_browser: open the page in this machine's browser.
        device: `auto | cpu | cuda | cuda:1 | mps`.

    Raises:
        UsageError: a model is not found, the port is taken or `auth` is not of its form.
    """
    from segkit.inference.loading import load

    login = _login(auth)
    predictors = {str(model): load(model, device=device) for model in models}
    with running_page(predictors, host, port, login, open_browser) as address:
        print(f"The page is at {address} (Ctrl-C ends it)")
        if host not in _THIS_MACHINE and login is None:
            print("Everyone who reaches this machine can use it; --auth user:password asks for a password")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("The page is closed; uploaded images and masks are deleted")


@contextmanager
def running_page(
    predictors: Mapping[str, Predictor],
    host: str,
    port: int,
    login: tuple[str, str] | None = None,
    open_browser: bool = False,
) -> Iterator[str]:
    """The address of the page, served until the block is left; what visitors uploaded is deleted then."""
    with tempfile.TemporaryDirectory(prefix="segkit-app-") as folder:
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["GRADIO_TEMP_DIR"] = folder
        from segkit.app.page import build_page, look

        page = build_page(predictors, Path(folder))
        try:
            page.launch(
                server_name=host,
                server_port=port,
                auth=login,
                inbrowser=open_browser,
                prevent_thread_lock=True,
                quiet=True,
                share=False,
                footer_links=[],
                **look(),
            )
        except OSError:
            raise UsageError(
                f"port {port} of {host} cannot be used, it may be taken; choose another with --port"
            ) from None
        try:
            yield page.local_url
        finally:
            page.close(verbose=False)


def _login(auth: str | None) -> tuple[str, str] | None:
    if auth is None:
        return None
    user, separator, password = auth.partition(":")
    if not (user and separator and password):
        raise UsageError("--auth needs a name and a password as user:password")
    return user, password
