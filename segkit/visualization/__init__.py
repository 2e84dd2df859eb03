"""Pictures of images and masks, drawn with numpy, OpenCV and Pillow."""

from segkit.visualization.display import to_display
from segkit.visualization.marked import marked_picture
from segkit.visualization.overlay import overlay
from segkit.visualization.panels import side_by_side, split_panels, thumbnail

__all__ = ["marked_picture", "overlay", "side_by_side", "split_panels", "thumbnail", "to_display"]
