"""Which devices are refused as unlike the others, and how cores become one, on tables by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_nusa.knowledge.fit import UNIT
from edge_nusa.knowledge.fusion import SHAPE
from edge_nusa.sync.hub.given import Given, Own
from edge_nusa.sync.hub.shares import Share, Shares
from edge_nusa.sync.hub.suspects import Means, Scatters, overweight
from edge_nusa.sync.rules import Mean, Trimmed, trimmed_mean

F = 4


def gives(device: str, label: str, value: float, pictures: int = 1) -> tuple[str, Given]:
    """A device whose pictures of a label have this value in every feature."""
    sums = np.full(F, round(value * UNIT) * pictures)
    return device, Given(gram=np.zeros((F, F), np.int64), labels={label: Own(1, pictures, sums)})


def suspects(given: list[tuple[str, Given]], bad: int = 1) -> dict[str, str]:
    means = Means(bad)
    for device, one in given:
        means.add(device, one)
    return means.suspects()


def around(*values: float, pictures: int = 1) -> list[tuple[str, Given]]:
    return [gives(f"device {place}", "cat", value, pictures) for place, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        # the median is 0, the usual distance 1: three times as far is borne, more is not
        ((0, 1, -1, 1, -1, 3, -3), []),
        ((0, 1, -1, 1, -1, 3.01, -3), ["device 5"]),
        ((0, 1, -1, 1, -1, 3, -4), ["device 6"]),
        ((0, 0, 0, 1), ["device 3"]),
        ((5, 5, 5), []),
    ],
)
def test_a_device_more_than_three_times_as_far_as_usual_is_refused(
    values: tuple[float, ...], refused: list[str]
) -> None:
    assert sorted(suspects(around(*values))) == refused


def test_the_reason_names_the_label_and_how_far() -> None:
    assert suspects(around(0, 1, -1, 1, -1, 1, -6)) == {
        "device 6": "its pictures of 'cat' are 6.0 times as unlike the other devices' as is usual, the bound is 3"
    }
    worst_first = suspects(
        [
            *around(0, 1, -1, 1, -1, 1, -6),
            *(gives(f"device {i}", "dog", value) for i, value in enumerate((0, 1, -1, 1, -1, 1, -9))),
        ]
    )
    assert worst_first["device 6"].startswith("its pictures of 'dog' are 9.0 times")


@pytest.mark.parametrize(
    ("bad", "devices", "compared"),
    [
        (0, 2, False),
        (0, 3, True),
        (1, 3, True),
        (1, 2, False),
        (2, 4, False),
        (2, 5, True),
        (3, 6, False),
        (3, 7, True),
    ],
)
def test_labels_of_fewer_than_twice_the_bad_devices_and_one_more_and_of_fewer_than_three_are_not_compared(
    bad: int, devices: int, compared: bool
) -> None:
    assert bool(suspects(around(*[0.0] * (devices - 1), 50.0), bad)) == compared
    # one device twice is still one device
    assert not suspects([gives("a", "cat", 0), gives("a", "cat", 0), gives("b", "cat", 50)], 0)


@pytest.mark.parametrize(("pictures", "times"), [(1, 2.0), (4, 4.0), (8, 2 * 8**0.5), (16, 2 * 8**0.5)])
def test_means_of_more_pictures_must_be_nearer_up_to_eight(pictures: int, times: float) -> None:
    found = suspects([*around(0, 0, 1, -1, 1, -1, 1, -1), gives("odd", "cat", 2.0, pictures)])
    assert ("odd" in found) == (times > 3)
    if times > 3:
        assert f"are {times:.1f} times as unlike" in found["odd"]


def scattering(*diagonal: float, freedom: int = 20) -> Given:
    """A device whose pictures scatter so much along each axis, a degree of freedom."""
    gram = np.diag([round(one * freedom * UNIT**2) for one in diagonal])
    return Given(gram=gram, spare=freedom)


def scatter_suspects(odd: Given, bad: int = 1, others: int = 4) -> dict[str, str]:
    axes = np.eye(F)[:, :2]
    scatters = Scatters(axes, bad)
    for place in range(others):
        scatters.add(f"good {place}", scattering(1, 1, 1, 1))
    scatters.add("odd", odd)
    return scatters.suspects()


@pytest.mark.parametrize(
    ("diagonal", "words"),
    [
        ((1, 1, 1, 1), ""),
        ((2.99, 2.99, 2.99, 2.99), ""),
        ((0.34, 0.34, 0.34, 0.34), ""),
        ((3.01, 3.01, 3.01, 3.01), "3 times as much as the other devices', the bounds are 1/3 and 3"),
        ((0.33, 0.33, 0.33, 0.33), "0.33 times as much as the other devices', the bounds are 1/3 and 3"),
        ((1.79, 1.79, 0.21, 0.21), ""),
        ((1.81, 0, 1, 1.19), "1.8 times as much as the other devices' where labels are told apart, the bound is 1.8"),
        ((1.79, 0, 1, 1.21), ""),
    ],
)
def test_a_device_whose_pictures_scatter_unlike_the_others_is_refused(diagonal: tuple[float, ...], words: str) -> None:
    found = scatter_suspects(scattering(*diagonal))
    assert sorted(found) == (["odd"] if words else [])
    if words:
        assert found["odd"] == f"its pictures scatter {words}"


def test_scatters_are_compared_only_among_enough_devices_with_enough_degrees_of_freedom() -> None:
    wild = scattering(9, 9, 9, 9)
    assert scatter_suspects(wild, bad=2) and not scatter_suspects(wild, bad=3)
    assert scatter_suspects(wild, bad=0, others=2) and not scatter_suspects(wild, bad=0, others=1)
    assert scatter_suspects(scattering(9, 9, 9, 9, freedom=4))
    assert not scatter_suspects(scattering(9, 9, 9, 9, freedom=3))


@pytest.mark.parametrize(("freedom", "devices", "bad", "waits"), [
    (90, 5, 2, False), (91, 5, 2, True), (91, 4, 2, False), (91, 3, 0, True), (91, 2, 0, False),
])  # fmt: skip
def test_who_would_count_more_than_three_times_the_median_device_waits(
    freedom: int, devices: int, bad: int, waits: bool
) -> None:
    def share(own: int) -> Share:
        return Share(sha256="", pictures=1, freedom=own, tasks=1, fusion=np.zeros(SHAPE, np.int64))

    others = {f"good {place}": share(30) for place in range(devices - 1)}
    found = overweight(Shares(devices={**others, "silent": share(0), "odd": share(freedom)}), bad)
    words = "its pictures would count 3.0 times as much as the median device's, the bound is 3"
    assert found == ({"odd": words} if waits else {})


def test_the_axes_are_those_in_which_the_medians_of_compared_labels_differ() -> None:
    means = Means(1)
    assert means.axes().shape[1] == 0
    for place, cat in enumerate((0.0, 1.0, 50.0)):
        for label, first in (("cat", cat), ("dog", 3.0)):
            sums = np.array([first, 0, 0, 0]) * UNIT
            own = {label: Own(1, 1, sums.astype(np.int64))}
            means.add(f"{label} {place}", Given(gram=np.zeros((F, F), np.int64), labels=own))
    means.add("alone", Given(gram=np.zeros((F, F), np.int64), labels={"cup": Own(1, 1, np.full(F, 9 * 1024))}))
    assert np.allclose(np.abs(means.axes()), np.eye(F)[:, :1])


@pytest.mark.parametrize(
    ("cut", "expected"),
    [(0, [20.0, 4.0]), (1, [3.0, 3.0]), (2, [3.0, 2.0]), (9, [3.0, 2.0])],
)
def test_a_trimmed_mean_is_of_each_number_without_its_largest_and_smallest(cut: int, expected: list[float]) -> None:
    rows = np.array([[1.0, 9.0], [2.0, 2.0], [3.0, 2.0], [4.0, 5.0], [90.0, 2.0]])
    assert trimmed_mean(rows, cut).tolist() == expected
    assert trimmed_mean(rows[:4], 9).tolist() == [2.5, 3.5]
    assert trimmed_mean(rows[:1], 3).tolist() == [1.0, 9.0]


def test_a_mean_weighs_by_pictures_and_who_gave_none_as_one() -> None:
    rule = Mean()
    for value, pictures in ((1.0, 3), (2.0, 0), (5.0, -4)):
        rule.add({"q": np.full((2, 2), value)}, pictures)
    assert rule.result()["q"].tolist() == [[2.0, 2.0], [2.0, 2.0]]
    assert Mean().result() == {}


def test_the_trimmed_rule_bears_so_many_bad_devices(tmp_path: Path) -> None:
    rule = Trimmed(1, tmp_path)
    assert rule.result() == {}
    for value in (1.0, 2.0, 3.0, 6.0, 500.0):
        rule.add({"v": np.full((1, 2), value), "q": np.full((2, 2), -value)}, 1)
    found = rule.result()
    assert (found["q"].tolist(), found["v"].tolist()) == ([[-11 / 3] * 2] * 2, [[11 / 3] * 2])
