"""How far a rebuild has come."""

from __future__ import annotations

from services.storage.core.goal import Goal, Stretch


def test_it_is_reached_when_every_partition_is() -> None:
    goal = Goal({0: Stretch(5, 10), 1: Stretch(0, 3), 2: Stretch(7, 7)})
    assert (goal.size, goal.done, goal.is_reached) == (8, 0, False)
    goal.came({0: 10})
    assert (goal.done, goal.is_reached) == (5, False)
    goal.came({0: 10, 1: 3})
    assert (goal.done, goal.is_reached) == (8, True)


def test_what_comes_later_is_not_waited_for_and_does_not_stand_for_another_partition() -> None:
    goal = Goal({0: Stretch(0, 4), 1: Stretch(0, 4)})
    goal.came({0: 100, 7: 5})
    assert (goal.done, goal.is_reached) == (4, False)


def test_a_partition_that_is_unknown_for_a_while_or_begins_before_what_is_kept_goes_not_back() -> None:
    goal = Goal({0: Stretch(500, 600)})
    goal.came({0: 0})
    assert goal.done == 0
    goal.came({0: 550})
    goal.came({})
    goal.came({0: 520})
    assert goal.done == 50


def test_nothing_to_do_is_done() -> None:
    assert Goal({0: Stretch(9, 9)}).is_reached
    assert Goal({}).is_reached
