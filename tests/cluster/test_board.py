"""The board: what is tried again after a loss, and when it is given up."""

from scraper.cluster.board import MOST, Board


def test_a_shard_that_is_lost_again_and_again_is_given_up() -> None:
    board = Board(range(3))
    assert [board.lost(1, "killed") for _ in range(MOST + 1)] == [True] * MOST + [False]
    assert board.given_up == {1: "killed"}
    assert board.left == {0, 2}
    assert not board.lost(1, "killed")


def test_what_was_blamed_comes_after_all_others() -> None:
    board = Board(range(3))
    board.lost(0, "killed")
    order = sorted(range(3), key=board.priority_of, reverse=True)
    assert order == [1, 2, 0]


def test_a_shard_that_is_done_is_not_lost() -> None:
    board = Board([0])
    board.done(0)
    assert not board.lost(0, "its answer was lost")
    board.give_up(0, "stopped")
    assert not board.given_up
    assert not board.left
