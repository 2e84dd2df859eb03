"""Words in messages."""

from segkit.ops.words import counted


def test_one_is_singular_and_nothing_else_is() -> None:
    assert [counted(count, "image") for count in (0, 1, 2, 101)] == ["0 images", "1 image", "2 images", "101 images"]
