"""Jinja2 templates of mails: ours, or the user's in their place."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from asynclog import checks
from asynclog.errors import OptionValueError
from asynclog.turns import breathe

if TYPE_CHECKING:
    from jinja2 import Environment

    from asynclog.render.mail_view import MailView

TEXT = "digest.txt.j2"
HTML = "digest.html.j2"
#: The templates that a user's directory may replace; other files there are for these to include.
NAMES = (TEXT, HTML, "parts.txt.j2", "parts.html.j2")


class Templates:
    """The two templates of a mail, compiled.

    Args:
        directory: Holds templates that take the place of ours by their names (`NAMES`); default:
            none. They are given ``mail``, an `asynclog.render.mail_view.MailView`. Those whose
            names end in ``.html.j2`` escape what they are given.

    Raises:
        OptionValueError: The directory is none, holds none of these names, or a template in it
            can't be compiled or doesn't render a sample mail; the text names file and line.
        OptionTypeError: It is no path.
    """

    def __init__(self, directory: Any = None) -> None:
        self.directory = None if directory is None else checks.path("templates", directory)
        self._environment = _environment(self.directory)
        if self.directory is not None:
            self._check(self.directory)

    def prepare(self) -> None:
        """Compile the templates now, which takes some 30 ms, and not when the first error comes."""
        from asynclog.render.sample import sample_views

        for view in sample_views():
            self.render(view)

    def render(self, view: MailView) -> tuple[str, str]:
        """Return a mail's text and HTML.

        Raises:
            Exception: A user's template raised.
        """
        text = _joined(self._environment.get_template(TEXT).generate(mail=view))
        breathe()
        html = _joined(self._environment.get_template(HTML).generate(mail=view))
        return text, html

    def _check(self, directory: str) -> None:
        from jinja2 import TemplateError, TemplateSyntaxError

        try:
            found = [name for name in os.listdir(directory) if name in NAMES]
        except OSError as error:
            raise OptionValueError(
                f"templates={directory!r}: {error.strerror}: give a directory of templates"
            ) from None
        if not found:
            checks.bad_value("templates", directory, f"it holds none of {', '.join(NAMES)}")
        try:
            self.prepare()
        except TemplateSyntaxError as error:
            raise OptionValueError(
                f"templates={directory!r}: {error.name}, line {error.lineno}: {error.message}"
            ) from error
        except TemplateError as error:
            raise OptionValueError(
                f"templates={directory!r}: {_where(error)}{error.message or type(error).__name__}"
            ) from error
        except Exception as error:
            raise OptionValueError(
                f"templates={directory!r}: {_where(error)}{type(error).__name__}: {error}"
            ) from error


@functools.cache
def standard_templates() -> Templates:
    """Return asynclog's own templates, compiled once in a process."""
    templates = Templates()
    templates.prepare()
    return templates


def _joined(pieces: Iterable[str]) -> str:
    """Join a template's output, and let the app's threads in meanwhile."""
    found = []
    for piece in pieces:
        found.append(piece)
        breathe()
    return "".join(found)


def _where(error: BaseException) -> str:
    """Return the innermost template line of a traceback: jinja2 rewrites it to the template's own."""
    found = ""
    traceback = error.__traceback__
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file.endswith(".j2"):
            found = f"{os.path.basename(file)}, line {traceback.tb_lineno}: "
        traceback = traceback.tb_next
    return found


def _environment(directory: str | None) -> Environment:
    # Late: importing jinja2 takes longer than importing all of asynclog.
    from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined

    loaders: list[BaseLoader] = [PackageLoader("asynclog.render", "templates")]
    if directory is not None:
        loaders.insert(0, FileSystemLoader(directory))
    return Environment(
        loader=ChoiceLoader(loaders),
        # The text part escapes nothing: no one reads HTML there.
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),  # noqa: S701
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
