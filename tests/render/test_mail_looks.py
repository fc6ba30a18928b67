"""The mail as it is seen: in a real browser, on a phone and on a desk, by day and by night."""

from __future__ import annotations

import importlib.util
import os

import pytest

from tests.render.looks import CHROMIUM, SCHEMES, WIDTHS, browser, html_in, html_of, shown
from tests.render.mail_samples import NOW, digest, failure, group, item, renderer, samples

_missing = not CHROMIUM.exists() or importlib.util.find_spec("playwright") is None
pytestmark = pytest.mark.skipif(
    _missing and os.environ.get("CI") != "true",
    reason=f"Chromium is missing: this needs {CHROMIUM} and the playwright package",
)

# Every text node's colour against the nearest background that isn't transparent, by WCAG 2's formula.
CONTRASTS = """() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  for (let node; (node = walker.nextNode());) {
    if (!node.data.trim()) continue;
    const style = getComputedStyle(node.parentElement);
    let back = null;
    for (let e = node.parentElement; e && !back; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) back = colour;
    }
    const [a, b] = [light(parse(style.color)), light(back || [255, 255, 255])].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), parseFloat(style.fontSize), node.data.trim().slice(0, 40)]);
  }
  return found;
}"""
# Whatever stands outside of the window or of the element that it is in.
OVERFLOWS = """() => [...document.querySelectorAll('*')]
  .filter(e => e.getBoundingClientRect().right > window.innerWidth + 0.5 || e.scrollWidth > e.clientWidth + 1
    && getComputedStyle(e).display !== 'inline')
  .map(e => e.tagName + ' ' + e.textContent.slice(0, 40))"""
# The text whose line boxes end within the first 200 px.
FIRST = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  for (let node; (node = walker.nextNode());) {
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (box.height && box.bottom <= 200) found.push(node.data.trim());
  }
  return found.join(' ');
}"""


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", samples())
def test_a_mail_can_be_read(chromium, name, width, scheme):
    with shown(chromium, html_of(name), width, scheme) as page:
        assert page.evaluate(OVERFLOWS) == []
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 20
        assert [one for one in contrasts if one[0] < 4.5] == []
        assert [one for one in contrasts if one[1] < 12] == []
        assert [url for url in page.asked if not url.startswith(("about:", "data:"))] == []
        assert page.evaluate("document.querySelector('table table').offsetWidth") <= 600
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 17, 23)"
        assert dark is (scheme == "dark")


FIRST_SEEN = {
    "first": ("payments.ProviderError", "1×", "new", "web-1"),
    "digest": ("payments.ProviderError", "4,312×", "still happening", "web-1"),
    "over": ("payments.ProviderError", "37×", "over since", "web-1"),
    "outage": ("ProviderError", "1,313×", "still happening", "web-1"),
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", samples())
def test_the_first_200_pixels_say_what_how_often_whether_still_and_where(chromium, name, width):
    with shown(chromium, html_of(name), width, "light") as page:
        seen = page.evaluate(FIRST)
    for wanted in FIRST_SEEN[name]:
        assert wanted in seen


@pytest.mark.parametrize("width", WIDTHS)
def test_long_words_neither_overflow_nor_push_the_host_away(chromium, width):
    long = "W" * 5000
    what = digest(
        group(
            kind="news",
            place="shop." + "p" * 300,
            first_items=(item(f"{long} %s", exc_info=failure(long), order=long),),
            over_since=None,
        )
    )
    with shown(chromium, html_in(renderer().render(what, "b", now=NOW).data), width, "light") as page:
        assert page.evaluate(OVERFLOWS) == []
        seen = page.evaluate(FIRST)
    for wanted in ("payments.ProviderError", "4,312×", "still happening", "web-1"):
        assert wanted in seen
