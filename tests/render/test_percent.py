"""A compiled %-format writes what the format itself writes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynclog.render.percent import compile_percent, pieces_of

FIELDS = {"name": "shop", "levelno": 40, "created": 1.25, "msecs": 250.0, "text": "50% off {x}"}
_conversion = st.sampled_from(["s", "r", "a", "20s", "-8s", ".3s"])
_whole = st.sampled_from(["d", "5d", "05d", "x", "s"])
_number = st.sampled_from(["d", "f", ".2f", "+g", "e", "s"])
_piece = st.one_of(
    st.text(st.characters(exclude_characters="%"), max_size=5),
    st.just("%%"),
    st.builds("%({}){}".format, st.sampled_from(["name", "text", "message", "asctime"]), _conversion),
    st.builds("%({}){}".format, st.just("levelno"), _whole),
    st.builds("%({}){}".format, st.sampled_from(["created", "msecs"]), _number),
)


@given(st.lists(_piece, max_size=8), st.text(max_size=20), st.text(max_size=10))
def test_a_compiled_format_writes_the_same(pieces: list[str], message: str, asctime: str):
    template = "".join(pieces)
    compiled = compile_percent(template)
    expected = template % {**FIELDS, "message": message, "asctime": asctime}
    pieces = pieces_of(template)
    if compiled is None:
        assert "%(" not in template
        assert pieces is None
    else:
        assert compiled(FIELDS, message, asctime) == expected
        assert pieces is not None
        values = {**FIELDS, "message": message, "asctime": asctime}
        shown = [one if isinstance(one, str) else f"%{one[1]}" % (values[one[0]],) for one in pieces]
        assert "".join(shown) == expected


@pytest.mark.parametrize(
    "template", ["", "no names", "%s", "%(name)", "%(name)*d", "%(a b)s", "%(name)s %", "%(name)y"]
)
def test_what_is_out_of_the_ordinary_is_left_to_the_operator(template: str):
    assert compile_percent(template) is None
    assert pieces_of(template) is None


def test_a_field_that_is_not_there_raises_as_the_operator_does():
    compiled = compile_percent("%(request_id)s")
    assert compiled is not None
    with pytest.raises(KeyError, match="request_id"):
        compiled(FIELDS, "", "")
