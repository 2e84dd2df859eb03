"""The page of `segkit app`: drop an image, see its mask, take it home. The only package that knows Gradio."""

from segkit.app.server import serve

__all__ = ["serve"]
