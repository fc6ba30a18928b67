"""The command line: help, version, and errors that say what to do."""

import subprocess
import sys

import pytest

from asynclog._version import __version__
from asynclog.cli import main


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


def test_help_names_the_command_and_what_it_does(capsys):
    assert call("--help") == 0
    assert "demo" in capsys.readouterr().out


def test_help_of_the_demo_names_every_option_with_its_default(capsys):
    assert call("demo", "--help") == 0
    shown = capsys.readouterr().out
    for word in ("--seconds", "60", "--rate", "50", "--report", "demo-report", "--storm"):
        assert word in shown


def test_version(capsys):
    assert call("--version") == 0
    assert __version__ in capsys.readouterr().out


def test_python_dash_m_is_the_same_command():
    done = subprocess.run([sys.executable, "-m", "asynclog", "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert __version__ in done.stdout


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--seconds", "4.9"),
        ("--seconds", "3601"),
        ("--seconds", "nan"),
        ("--seconds", "inf"),
        ("--seconds", "a minute"),
        ("--rate", "1"),
        ("--rate", "0"),
        ("--rate", "-5"),
        ("--rate", "201"),
        ("--rate", "nan"),
    ],
)
def test_an_option_out_of_range_is_named_with_its_value(option, value, capsys):
    assert call("demo", option, value) == 2
    shown = capsys.readouterr().err
    assert option in shown
    assert value in shown


def test_a_report_folder_that_is_a_file_is_refused_at_once(tmp_path, capsys):
    (tmp_path / "report").touch()
    assert call("demo", "--report", str(tmp_path / "report")) == 2
    assert "--report" in capsys.readouterr().err


def test_a_report_folder_that_cannot_be_made_is_refused_at_once(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert call("demo", "--report", str(tmp_path / "file" / "report")) == 2
    shown = capsys.readouterr().err
    assert "--report" in shown
    assert "can't be written" in shown


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [
        ("click", ["--help"], "asynclog-shipper[cli]"),
        ("click", ["demo"], "asynclog-shipper[demo]"),
        ("rich", ["demo"], "asynclog-shipper[demo]"),
        ("matplotlib", ["demo"], "asynclog-shipper[demo]"),
        ("aiosmtpd", ["demo"], "asynclog-shipper[demo]"),
        ("click", ["bench"], "asynclog-shipper[bench]"),
        ("matplotlib", ["bench", "shop:app"], "asynclog-shipper[bench]"),
    ],
)
def test_what_is_not_installed_is_named_with_the_extra_that_brings_it(missing, arguments, extra, monkeypatch, capsys):
    import importlib.util

    find_spec = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == missing else find_spec(name))
    assert call(*arguments) == 2
    shown = capsys.readouterr().err
    assert missing in shown
    assert f'pip install "{extra}"' in shown


def test_help_of_the_bench_names_every_option_with_its_default(capsys):
    assert call("bench", "--help") == 0
    shown = capsys.readouterr().out
    words = ("--path", "--errors", "0.1", "--seconds", "60", "--rate", "50", "--report", "bench-report", "--chdir")
    for word in (*words, "--interface", "--threads", "--logger", "--header", "--allow", "Nothing leaves this machine"):
        assert word in shown


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--path", "checkout"),
        ("--path", "/a b"),
        ("--path", "/a\r\nX: y"),
        ("--path", "/a#b"),
        ("--errors", "1.1"),
        ("--errors", "nan"),
        ("--threads", "0"),
        ("--interface", "cgi"),
        ("--chdir", "/nowhere/at/all"),
        ("--allow", "db.example.com:http"),
    ],
)
def test_an_option_of_the_bench_that_cannot_be_used_is_named(option, value, capsys):
    assert call("bench", "shop:app", option, value) == 2
    assert option in capsys.readouterr().err


@pytest.mark.parametrize(
    "value", ["Cookie", "Cookie session=secret", ": secret", "Coo kie: secret", "A: secret\r\nB: c"]
)
def test_a_header_that_is_none_is_refused_without_quoting_it(value, capsys):
    assert call("bench", "shop:app", "-H", value) == 2
    shown = capsys.readouterr().err
    assert "--header" in shown
    assert "secret" not in shown


def test_help_loads_nothing_that_only_the_demo_needs():
    code = (
        "import sys\n"
        "from asynclog.cli import main\n"
        "try:\n"
        "    main(['demo', '--help'])\n"
        "except SystemExit:\n"
        "    pass\n"
        "print(sorted({'flask', 'matplotlib', 'aiosmtpd', 'gunicorn', 'jinja2'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == "[]"
