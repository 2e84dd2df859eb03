"""`segkit app`: a page that shows the mask of an image dropped on it."""

from __future__ import annotations

from typing import Annotated

import typer

from segkit.cli import options


def app(
    models: Annotated[list[str], typer.Argument(help="Model files, run folders or names from weights/.")],
    host: Annotated[str, typer.Option(help="Address to listen on; 127.0.0.1 is this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 7860,
    auth: Annotated[str | None, typer.Option(help="user:password asked of every visitor.")] = None,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    device: options.Device = "auto",
) -> None:
    """Serve a page: drop an image, see its mask, take it home."""
    from segkit.app import serve

    serve(models, host=host, port=port, auth=auth, open_browser=open_browser, device=device)
