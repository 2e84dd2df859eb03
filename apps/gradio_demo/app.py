"""The page of `segkit app` for a server: what to serve is said by environment variables, see README.md."""

from __future__ import annotations

import os
import sys

from segkit.app import serve

if __name__ == "__main__":
    models = os.environ.get("SEGKIT_MODELS", "").split()
    if not models:
        sys.exit("SEGKIT_MODELS is empty; set it to one or more model files or run folders, separated by spaces")
    serve(
        models,
        host=os.environ.get("HOST", "127.0.0.1"),
        port=int(os.environ.get("PORT", "7860")),
        auth=os.environ.get("SEGKIT_AUTH"),
        open_browser=False,
    )
