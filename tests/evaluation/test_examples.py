from __future__ import annotations

import pytest

from segkit.evaluation.examples import choose


@pytest.mark.parametrize("count", range(13))
def test_each_image_at_most_once_and_in_order(count: int) -> None:
    scores = [((7 * i) % 13) / 13 for i in range(count)]
    chosen = choose(scores)
    indices = [index for _, _, index in chosen]
    assert len(set(indices)) == len(indices) == min(count, 9)
    ranks = {
        rank: [scores[index] for found, _, index in chosen if found == rank] for rank in ("worst", "median", "best")
    }
    assert ranks["worst"] == sorted(scores)[: len(ranks["worst"])]
    assert ranks["best"] == sorted(scores, reverse=True)[: len(ranks["best"])]


def test_images_without_score_are_never_chosen() -> None:
    assert choose([float("nan"), 0.4, float("nan")]) == [("worst", 1, 1)]
