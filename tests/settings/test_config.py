"""`edge-nusa config`, and every command, over the settings file in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import MICRO, command
from processes import one_line

from edge_nusa.device.demo.pictures import DemoPictures
from edge_nusa.errors import UsageError
from edge_nusa.settings import edit
from edge_nusa.settings.settings_file import Place, SettingsFile, read


class Home:
    """A user's home with a settings file and none of our variables."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / ".config/edge-nusa/config.toml"
        self.file.parent.mkdir(parents=True)

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def run(self, *words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("EDGE_NUSA_", "XDG_"))}
        return subprocess.run(
            command(*words),
            env={**kept, "HOME": str(self.folder), **variables},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def answer(self, *words: str | Path, **variables: str) -> dict[str, object]:
        done = self.run(*words, **variables)
        assert (done.returncode, done.stderr) == (0, "")
        return dict(json.loads(done.stdout))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_option_variable_file_and_default_decide_in_this_order(home: Home, taught: Path, tmp_path: Path) -> None:
    home.write(f'bundle = "{MICRO}"\nstate = "{taught}"\n')
    found = home.answer("labels")
    assert (found["bundle_path"], found["state_path"], found["generation"]) == (str(MICRO), str(taught), 1)
    other = str(tmp_path / "variable")
    assert home.answer("labels", EDGE_NUSA_STATE=other)["state_path"] == other
    assert home.answer("labels", "--state", tmp_path / "o", EDGE_NUSA_STATE=other)["state_path"] == str(tmp_path / "o")
    home.write(f'bundle = "{MICRO}"')
    assert home.answer("labels")["state_path"] == str(home.folder / ".local/share/edge-nusa/state")


def test_a_commands_own_table_decides_before_what_stands_beside_all_tables(home: Home) -> None:
    home.write(f'bundle = "/nowhere"\nformat = "json"\n[labels]\nbundle = "{MICRO}"\nformat = "human"\n')
    assert home.run("labels").stdout.startswith("nothing was taught yet\nbundle ")
    assert "no bundle in /nowhere" in one_line(home.run("history"), 1)


def test_an_argument_a_list_a_switch_and_a_number_of_a_table_are_taken(home: Home, taught: Path) -> None:
    folder = home.folder / "camera"
    folder.mkdir()
    (folder / "a.txt").write_text("no picture")
    home.write(
        f'bundle = "{MICRO}"\nstate = "{taught}"\n[watch]\nsource = "../../camera"\nonce = true\nevery = 2\n'
        'label = ["one, two", "three"]\nout = "answers.jsonl"\n'
    )
    done = home.run("watch")
    assert done.returncode == 0, done.stderr
    [line] = (home.file.parent / "answers.jsonl").read_text().splitlines()
    assert json.loads(line)["image"].endswith("camera/a.txt")


def test_what_a_file_says_of_the_other_kind_of_source_is_left_out(home: Home, taught: Path) -> None:
    folder, film = home.folder / "camera", home.folder / "gone.mp4"
    folder.mkdir()
    (folder / "a.txt").write_text("no picture")
    own = f'bundle = "{MICRO}"\nstate = "{taught}"\n[watch]\n'
    home.write(f'{own}delete = true\nledger = "l"\nagree = 3\nlogin = "secret"\n')
    (home.file.parent / "secret").write_text("a:b\n")
    watched = home.run("watch", film, "--once")
    assert "found nothing of this name" in one_line(watched, 1)  # the camera was tried
    done = home.run("watch", folder, "--once")
    assert (done.returncode, done.stderr) == (0, "") and json.loads(done.stdout)["image"].endswith("a.txt")
    assert "--once answers one frame" in one_line(home.run("watch", film, "--once", "--agree", "2"), 2)
    home.write(f"{own}once = true\n")
    assert "--once answers one frame" in one_line(home.run("watch", film, "--agree", "2"), 2)
    assert "--delete is for a folder" in one_line(home.run("watch", film, "--delete"), 2)


def test_a_way_to_teach_that_the_command_line_says_leaves_out_the_other_of_a_file(
    home: Home, pictures: DemoPictures
) -> None:
    own = f'bundle = "{MICRO}"\nstate = "state"\n[learn]\nhead_only = true\ndry_run = true\nforce = true\n'
    folder = pictures.taught["gravel"]
    for text, words in (
        ('label = "x"\nimages = ["/nowhere"]\n', ("--dataset", folder.parent)),
        ('dataset = "/nowhere"\n', ("--images", folder, "--label", "gravel")),
        ('dataset = "/nowhere"\n', (folder, "gravel")),
    ):
        home.write(own + text)
        assert "gravel" in home.run("learn", *words).stdout
    home.write(f'{own}dataset = "{folder.parent}"\nlabel = "x"\n')
    assert "either pictures and their label, or --dataset DIR alone" in one_line(home.run("learn"), 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[watch]\nevry = 2",
            "config.toml, line 2: expected watch.every (did you mean that?), found watch.evry",
        ),
        ("[watch]\nevery = 0.01", "line 2: watch.every: expected a number from 0.05 to 86400, found 0.01; correct"),
        ("[watch]\nevery = true", "watch.every: expected a number from 0.05 to 86400, found True"),
        ("[watch]\nkeep_most = 1.5", "watch.keep_most: expected a whole number from 1, found 1.5"),
        ("[watch]\nonce = 'yes'", "watch.once: expected true or false, found 'yes'"),
        ("[watch]\nlabel = 'one'", "watch.label: expected a list of which each is a text, found 'one'"),
        ("[watch]\nkeep = ''", "watch.keep: expected a path, found ''"),
        ("[watch]\nformat = 'xml'", 'watch.format: expected one of "human", "json", found \'xml\''),
        ("[watch.keep]\na = 1", "expected watch.keep (did you mean that?), found watch.keep.a"),
        ("[wach]\nkeep = 'x'", "line 2: expected watch (did you mean that?), found wach.keep"),
        ("thread = 2", "line 1: expected threads (did you mean that?), found thread"),
        ("x", "config.toml: expected settings in TOML, such as threads = 2, found something else"),
    ],
)
def test_a_wrong_setting_is_one_line_of_a_wrong_use(text: str, said: str, home: Home) -> None:
    home.write(text)
    for words in (["watch", "nowhere"], ["config"]):
        assert said in one_line(home.run(*words), 2)
    assert home.run("watch", "--help").returncode == 0, "help needs no settings"
    assert home.run("config", "--path").stdout == json.dumps({"path": str(home.file), "exists": True}) + "\n"


def test_a_wrong_table_of_another_command_stops_that_one_alone(home: Home) -> None:
    home.write(f'bundle = "{MICRO}"\n[sync.run]\nbetwen = "1"')
    assert home.run("labels").returncode == 0
    assert "expected sync.run.between" in one_line(home.run("sync", "run"), 2)
    assert "expected sync.run.between" in one_line(home.run("config"), 2)
    home.write("[sync]\nbetween = '1'")
    assert "expected a key of sync.init or sync.push" in one_line(home.run("config"), 2)


def test_config_shows_each_value_and_where_it_comes_from(home: Home) -> None:
    home.write(f'bundle = "{MICRO}"\n\n[watch]\ntop = 2\nkeep = "unsure"\n')
    found = home.answer("config", EDGE_NUSA_THREADS="2")
    rows = {row["key"]: row for row in found["settings"]}  # type: ignore[attr-defined]
    assert found["files"] == [str(home.file)]
    assert rows["bundle"] == {
        "key": "bundle",
        "value": str(MICRO),
        "from": "user file",
        "file": str(home.file),
        "line": 1,
    }
    assert (rows["threads"]["value"], rows["threads"]["from"]) == ("2", "environment (EDGE_NUSA_THREADS)")
    assert (rows["watch.top"]["value"], rows["watch.top"]["line"]) == (2, 4)
    assert rows["watch.keep"]["value"] == str(home.file.parent / "unsure")
    assert rows["state"] == {
        "key": "state",
        "value": str(home.folder / ".local/share/edge-nusa/state"),
        "from": "default",
        "file": None,
        "line": None,
    }
    assert list(rows) == ["bundle", "state", "threads", "max_memory", "provider", "format", "watch.top", "watch.keep"]
    shown = home.run("config", "--format", "human").stdout.splitlines()
    assert shown[0].split() == ["setting", "value", "from"]
    assert f"user file {home.file}, line 1" in shown[1]
    assert home.run("config", "watch.top", "--format", "human").stdout == "2\n"
    assert home.run("config", "services.writable", "--format", "human").stdout == "\n"


def test_the_password_of_an_address_is_not_shown(home: Home) -> None:
    cameras = 'source = "rtsp://me:secret@camera/user=me_password=secret"\n[teach]\ncamera = "RTSPS://camera/secret"\n'
    home.write(f'[watch]\n{cameras}[mqtt]\nbroker = "mqtt://me:secret@broker"\n')
    shown = home.run("config", "--format", "human").stdout
    assert "rtsp://camera/..." in shown and "RTSPS://camera/..." in shown and "mqtt://me:...@broker" in shown
    assert "secret" not in shown
    assert home.answer("config", "watch.source")["value"] == "rtsp://camera/..."


def test_a_variable_of_one_command_is_shown_before_its_table(home: Home) -> None:
    home.write('[mqtt]\nbroker = "mqtt://one"\n')
    for variables, said in (({}, "mqtt://one"), ({"EDGE_NUSA_BROKER": "mqtt://two"}, "mqtt://two")):
        assert home.answer("config", "mqtt.broker", **variables)["value"] == said
    assert home.answer("config", "mqtt.broker", EDGE_NUSA_BROKER="x")["from"] == "environment (EDGE_NUSA_BROKER)"


def test_a_camera_that_has_no_file_is_no_path(home: Home) -> None:
    for source in ("picamera", "rtsp://camera", "/dev/video0"):
        assert home.answer("config", "watch.source", source)["value"] == source
        assert home.answer("config", "watch.source")["value"] == source
    assert home.answer("config", "teach.camera", "film.mp4")["value"] == str(home.folder / "film.mp4")


def test_pictures_and_stores_of_a_file_begin_where_it_lies_and_patterns_labels_and_addresses_stay(home: Home) -> None:
    there = home.file.parent
    (there / "mugs").mkdir()
    home.write(
        '[learn]\npictures = ["mugs", "cup"]\nimages = ["a", "~/b", "*.jpg"]\n[predict]\nimages = ["-", "c"]\n'
        '[sync.init]\nstore = "s3://x/y"\nrounds = "mirror"\n[sync.set-store]\nstore = "store"\n'
        '[hub.init]\nstore = "h"\n[hub.check]\nstore = "h"\n[watch]\nkeep = "un[1]"\n'
    )
    for key, value in (
        ("learn.pictures", [f"{there}/mugs", "cup"]),
        ("learn.images", [f"{there}/a", f"{home.folder}/b", "*.jpg"]),
        ("predict.images", ["-", f"{there}/c"]),
        ("sync.init.store", "s3://x/y"),
        ("sync.init.rounds", f"{there}/mirror"),
        ("sync.set-store.store", f"{there}/store"),
        ("hub.init.store", f"{there}/h"),
        ("hub.check.store", f"{there}/h"),
        ("watch.keep", f"{there}/un[1]"),
    ):
        assert home.answer("config", key)["value"] == value, key
    assert home.answer("config", "learn.images", "d", "*.png")["value"] == [f"{home.folder}/d", "*.png"]
    (home.folder / "cups").mkdir()
    assert home.answer("config", "learn.pictures", "cups", "mug")["value"] == [f"{home.folder}/cups", "mug"]


def test_a_setting_is_changed_and_everything_else_in_the_file_stays(home: Home) -> None:
    home.write('# mine\nthreads = 1 # few\n\n[watch]\nkeep = "a#b"   # unsure ones\n# the end\n\n[learn]\nseed = 1\n')
    assert home.answer("config", "threads", "2")["value"] == 2
    assert home.answer("config", "watch.keep", "kept")["value"] == str(home.folder / "kept")
    assert home.answer("config", "watch.delete", "true")["value"] is True
    assert home.answer("config", "max_memory", "512M")["value"] == "512M"
    assert home.answer("config", "services.writable", "a", "/b")["value"] == [str(home.folder / "a"), "/b"]
    assert home.answer("config", "--unset", "learn.seed")["value"] is None
    assert home.answer("config", "--unset", "learn.steps")["value"] is None
    assert home.file.read_text() == (
        f'# mine\nthreads = 2 # few\nmax_memory = "512M"\n\n[watch]\nkeep = "{home.folder}/kept"   # unsure ones\n'
        f'# the end\ndelete = true\n\n[learn]\n\n[services]\nwritable = ["{home.folder}/a", "/b"]\n'
    )


def test_the_first_setting_makes_the_file(home: Home) -> None:
    home.file.parent.rmdir()
    assert home.answer("config", "bundle", MICRO)["file"] == str(home.file)
    assert home.file.read_text() == f'{edit.HEADER}bundle = "{MICRO}"\n'
    assert home.file.stat().st_mode & 0o777 == 0o600
    home.file.chmod(0o640)
    assert home.answer("config", "threads", "1")["value"] == 1
    assert home.file.stat().st_mode & 0o777 == 0o640
    assert home.answer("labels")["bundle_path"] == str(MICRO)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["threads", "two"], "config: nothing was changed: as it would be, "),
        (["threads", "1", "2"], "config: expected one value for threads, found 2; quote what has spaces"),
        (["thread", "1"], "config: expected threads (did you mean that?), found thread; docs/settings.md has all"),
        (["watch.kep", "1"], "config: expected watch.keep (did you mean that?), found watch.kep"),
        (["config.path", "1"], "config: expected one of "),
        (["watch.every", "nan"], "expected a number from 0.05 to 86400, found 'nan'"),
        (["watch.every", "1e999"], "expected a number from 0.05 to 86400, found '1e999'"),
        (["threads", "9" * 400], "expected a whole number from 0 to 1024"),
        (["bundle", "~no-such-user/x"], "config: expected the home of a user that there is, found ~no-such-user/x"),
        (["watch.keep", "~no-such-user/x"], "config: expected the home of a user that there is"),
        (["watch.keep", "a\udcff"], "config: expected text in UTF-8, found "),
        (["watch.every", "1\udcff"], "config: expected text in UTF-8, found "),
        (["--unset"], "config --unset: expected a setting, found none; such as: edge-nusa config --unset watch.keep"),
    ],
)
def test_what_cannot_be_set_is_one_line_and_changes_nothing(words: list[str], said: str, home: Home) -> None:
    home.write("threads = 1\n")
    assert said in one_line(home.run("config", *words), 2)
    assert home.file.read_text() == "threads = 1\n"


def test_without_a_place_for_a_file_nothing_is_set(home: Home) -> None:
    line = one_line(home.run("config", "threads", "1", EDGE_NUSA_CONFIG=""), 2)
    assert "expected a home folder for your settings, found none; set HOME, or EDGE_NUSA_CONFIG to a file" in line


@pytest.mark.parametrize(
    "text",
    [
        'bundle = """\nthreads = 1\n"""\n',
        "watch = { top = 1 }\n",
        'label = [\n  "a",\n]\n[watch]\n',
    ],
)
def test_a_key_that_is_not_on_one_line_is_left_to_an_editor(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    file = read(Place(path, "user file"))
    assert file is not None
    for key in (("bundle",), ("watch", "top"), ("label",), ("threads",)):
        try:
            made = edit.changed(file, key, 2)
        except UsageError as error:
            assert "on a line of its own, found it written in another way; change it there with an editor" in str(error)
        else:
            wanted = {**file.values, key[0]: {"top": 2} if len(key) == 2 else 2}
            assert tomllib.loads(made.text) == wanted == made.values


def test_an_inline_table_is_no_line_of_its_own(tmp_path: Path) -> None:
    file = SettingsFile(Place(tmp_path / "c.toml", "user file"), {"watch": {"top": 1}}, {}, "watch = { top = 1 }\n")
    with pytest.raises(UsageError, match="expected watch.top on a line of its own"):
        edit.changed(file, ("watch", "top"), 2)


def test_a_last_line_without_an_end_and_odd_letters_are_kept_whole(tmp_path: Path) -> None:
    place = Place(tmp_path / "c.toml", "user file")
    made = edit.changed(SettingsFile(place, {"threads": 1}, {}, "threads = 1"), ("bundle",), 'a"\\\n\x7fü')
    assert made.values == {"threads": 1, "bundle": 'a"\\\n\x7fü'}


def test_no_settings_file_loads_no_reader_of_toml_and_help_reads_none(home: Home) -> None:
    program = (
        "import sys\nfrom edge_nusa.cli.main import run\n"
        "try:\n    run()\nexcept SystemExit:\n    pass\nprint('LOADED', *sys.modules)"
    )
    for words, text in ((["labels"], None), (["labels", "--help"], "broken")):
        home.file.unlink(missing_ok=True)
        if text:
            home.write(text)
        variables = {**os.environ, "HOME": str(home.folder), "EDGE_NUSA_BUNDLE": str(MICRO)}
        variables.pop("EDGE_NUSA_CONFIG", None)
        done = subprocess.run(
            [sys.executable, "-c", program, *words], env=variables, capture_output=True, text=True, timeout=100
        )
        assert "tomllib" not in done.stdout.rsplit("LOADED ", 1)[1].split()
