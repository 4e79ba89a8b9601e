"""A fleet of two levels by the real commands, each in a process of its own: taught on one board, known on another."""

from __future__ import annotations

from pathlib import Path

from conftest import MICRO, answer_of, run_cli
from test_fleet_faults import rows
from two_levels import taught_state

LOWER, UPPER = "lower", "upper"


def test_what_a_board_taught_goes_up_and_comes_down_by_commands(tmp_path: Path) -> None:
    def hub(name: str, *words: str | Path) -> tuple[str | Path, ...]:
        return ("hub", *words, "--hub", tmp_path / name, "--bundle", MICRO, "--format", "json")

    for name in (LOWER, UPPER):
        answer_of(*hub(name, "init", tmp_path / f"{name}-store"))
    early = run_cli(*hub(LOWER, "exchange"))
    assert early.returncode == 1 and "run `edge-nusa hub join STORE --root root.json`" in early.stderr
    joined = answer_of(*hub(LOWER, "join", tmp_path / "upper-store", "--root", tmp_path / UPPER / "root.json"))
    assert [*joined] == ["device", "public_key", "fleet"], "as docs/programs.md says"
    enrolled = answer_of(*hub(UPPER, "enroll", joined["public_key"], "--name", "site", "--lower-hub"))
    assert enrolled["device"] == joined["device"]
    assert '"hub": true' in (tmp_path / UPPER / "devices" / f"{joined['device']}.json").read_text()
    member = taught_state(tmp_path, tmp_path / LOWER, tmp_path / "lower-store", {"cup": rows(3, 5)})
    assert member.push().update == 1
    answer_of(*hub(LOWER, "merge"))
    first = run_cli(*hub(LOWER, "exchange")[:-1], "human")
    assert first.returncode == 6 and first.stdout.startswith("told the larger fleet as update 1: cup; 5 pictures, ")
    assert "pull: expected a published round in the store, found none" in first.stderr
    answer_of(*hub(UPPER, "merge"))
    answer_of(*hub(UPPER, "publish"))
    done = answer_of(*hub(LOWER, "exchange"))
    assert done["pull"] == {"above": 1, "round": 2, "new": [], "gone": []} and done["push"]["update"] is None
    assert (done["push_error"], done["pull_error"]) == (None, None)
    assert answer_of(*hub(LOWER, "publish"))["round"] == 2
    again = run_cli(*hub(LOWER, "exchange")[:-1], "human")
    assert again.stdout == "nothing new to tell the larger fleet\nits round 1 is known already\n"
