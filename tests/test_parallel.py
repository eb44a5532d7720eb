"""Work that is done ahead of its use."""

import threading

import pytest

from pointdistill.parallel import one_ahead


def test_things_come_in_their_order_one_being_made_ahead():
    made, free = [], threading.Semaphore(0)

    def maker(number):
        def make():
            made.append((number, threading.current_thread() is threading.main_thread()))
            free.release()
            return number

        return make

    taken = []
    for number in one_ahead(map(maker, range(5))):
        if number < 4:
            for _ in range(2 if number == 0 else 1):
                assert free.acquire(timeout=10)  # the next one is made while this one is used
        taken.append(number)
        assert [number for number, _ in made] == list(range(min(5, number + 2)))
    assert taken == [0, 1, 2, 3, 4] and not any(in_main for _, in_main in made)


def test_an_error_comes_where_the_thing_would_have_come():
    def fail():
        raise ValueError("the second")

    ahead = one_ahead([lambda: 1, fail, lambda: 3])
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="the second"):
        next(ahead)


def test_nothing_is_made_unless_asked_for():
    made = []
    ahead = one_ahead([lambda: made.append(1)])
    assert made == []
    ahead.close()
    assert made == []
    assert list(one_ahead([])) == []
