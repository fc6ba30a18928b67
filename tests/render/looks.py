"""Mails in a real browser. Run as a module it writes the pictures of the docs.

python -m tests.render.looks docs/images
"""

from __future__ import annotations

import email
import email.policy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.render.mail_samples import NOW, renderer, samples

CHROMIUM = Path("/usr/bin/chromium")
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTHS = (390, 1280)
SCHEMES = ("light", "dark")
#: What the docs show: name of the sample, width, scheme.
PICTURES = (("first", 390, "light"), ("digest", 640, "light"), ("outage", 390, "dark"), ("over", 640, "dark"))


def html_of(name: str) -> str:
    digest, held_up = samples()[name]
    mail = renderer().render(digest, "batch", now=NOW, held_up=held_up)
    return html_in(mail.data)


def html_in(data: bytes) -> str:
    body = email.message_from_bytes(data, policy=email.policy.default).get_body(("html",))
    assert body is not None
    return body.get_content()


@contextmanager
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(_FLAGS))
        try:
            yield chromium
        finally:
            chromium.close()


@contextmanager
def shown(chromium: Any, html: str, width: int, scheme: str) -> Iterator[Any]:
    """Show a mail; whatever it would fetch is noted in ``page.asked``."""
    context = chromium.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, java_script_enabled=True
    )
    try:
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.set_content(html)
        page.asked = asked
        yield page
    finally:
        context.close()


def main(folder: str, *, everything: bool = False) -> None:
    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    chosen = [(n, w, s) for n in samples() for w in WIDTHS for s in SCHEMES] if everything else PICTURES
    with browser() as chromium:
        for name, width, scheme in chosen:
            path = where / f"mail-{name}-{width}-{scheme}.png"
            with shown(chromium, html_of(name), width, scheme) as page:
                page.screenshot(path=str(path), full_page=everything)
            if not everything:
                _make_small(path)


def _make_small(path: Path) -> None:
    """Keep 160 colours: half of the bytes, and no eye sees it."""
    from PIL import Image

    with Image.open(path) as picture:
        picture.convert("RGB").quantize(160, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "docs/images", everything="--all" in sys.argv)
