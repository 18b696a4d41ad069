"""Things made ahead of their use."""

from __future__ import annotations

import threading

import pytest

from rvm.ahead import Ahead
from rvm.errors import ModelError


class Thing:
    closed = False

    def close(self) -> None:
        self.closed = True


def test_it_is_made_on_another_thread_while_the_caller_goes_on() -> None:
    go_on = threading.Event()
    made = Thing()

    def make() -> Thing:
        assert go_on.wait(5.0)
        return made

    ahead = Ahead(make)
    go_on.set()
    assert ahead.take() is made
    ahead.discard()
    assert not made.closed


def test_what_nobody_takes_is_closed() -> None:
    made = Thing()
    Ahead(lambda: made).discard()
    assert made.closed


def test_an_error_comes_where_it_is_waited_for() -> None:
    def fail() -> Thing:
        raise ModelError("no such model")

    with pytest.raises(ModelError, match="no such model"):
        Ahead(fail).take()
    Ahead(fail).discard()
