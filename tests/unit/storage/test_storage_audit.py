"""What an audit makes of an answer of the database."""

from __future__ import annotations

from services.storage.core.audit import TABLES, Drift, Step, Summary, Table, step_of

TABLE = Table("emails", ("opened_count", "clicked_count"))


def test_only_the_values_that_differ_are_told() -> None:
    step = step_of(TABLE, 5, [("e1", [1, 2], [1, 3]), ("e2", [0, None], [4, 5])], None)
    assert step == Step(
        "emails",
        rows=5,
        drifted=2,
        repaired=0,
        drifts=[
            Drift("emails", "e1", "clicked_count", 2, 3),
            Drift("emails", "e2", "opened_count", 0, 4),
            Drift("emails", "e2", "clicked_count", None, 5),
        ],
    )


def test_what_is_left_is_not_repaired() -> None:
    step = step_of(TABLE, 2, [("e1", [1, 2], [1, 3]), ("e2", [0, 5], [4, 5])], {"e2"})
    assert (step.drifted, step.repaired) == (2, 1)
    assert [(drift.id, drift.repaired) for drift in step.drifts] == [("e1", True), ("e2", False)]


def test_steps_add_up() -> None:
    summary = Summary()
    for step in (Step("emails", 5, 2, 1, []), Step("members", 7, 0, 0, [])):
        summary = summary.after(step)
    assert summary == Summary(rows=12, drifted=2, repaired=1)
    assert summary.left == 1


def test_recipients_come_before_what_is_counted_from_them() -> None:
    names = [table.name for table in TABLES]
    assert names.index("recipients") < min(names.index("emails"), names.index("members"))
