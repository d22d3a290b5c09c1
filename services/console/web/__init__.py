"""The page's own files: templates, and what the browser asks for besides (modules, style, picture)."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from services.contracts.reasons import DeadReason, EventType

_FOLDER = Path(__file__).parent
STATIC = _FOLDER / "static"
"""The folder that is served as ``/static``. It holds no secrets: the login needs it too."""

_TEMPLATES = Environment(loader=FileSystemLoader(_FOLDER / "templates"), autoescape=True)
_NOT_ORDERED = {EventType.UNKNOWN}


def page() -> str:
    """The page as HTML: the shell that its modules fill. It knows nothing of the river's state."""
    return _TEMPLATES.get_template("page.html").render(
        event_types=[kind for kind in EventType if kind not in _NOT_ORDERED], reasons=list(DeadReason)
    )


def login(error: str | None = None) -> str:
    """The form that posts ``token`` to ``/login``, as HTML. ``error``: why the last try was refused."""
    return _TEMPLATES.get_template("login.html").render(error=error)
