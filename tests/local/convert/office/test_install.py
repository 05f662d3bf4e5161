"""Installing LibreOffice: by apt-get if possible, otherwise by a message with the command to run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from airflow_provider_ci.local.convert.office.install import (
    PACKAGES,
    ExtrasMissing,
    find_missing,
    install_office,
    main,
)
from airflow_provider_ci.local.convert.office.libreoffice import OfficeMissingError

_MISSING = "LibreOffice is not installed"


class Machine:
    """A folder that is the whole PATH; each program in it records how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        self.installed = folder / "installed"
        self.said: list[str] = []

    def program(self, name: str, body: str = "") -> None:
        path = self.folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $DEBIAN_FRONTEND $*" >> {self.calls}\n{body}\n')
        path.chmod(0o755)

    def missing(self) -> str | None:
        return None if self.installed.exists() else _MISSING

    def install(self, *, is_root: bool = True) -> None:
        install_office(self.said.append, missing=self.missing, is_root=is_root)

    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DEBIAN_FRONTEND", raising=False)
    return Machine(tmp_path)


def test_nothing_is_run_where_it_is_present(machine: Machine) -> None:
    machine.program("apt-get")
    machine.installed.touch()
    machine.install()
    assert machine.called() == []
    assert machine.said == ["LibreOffice: present"]


def test_root_installs_by_apt_get_without_questions(machine: Machine) -> None:
    machine.program("apt-get", f'if [ "$2" = install ]; then : > {machine.installed}; fi')
    machine.install()
    update, install = machine.called()
    assert update == "apt-get noninteractive update --quiet"
    assert install.startswith(
        "apt-get noninteractive --quiet install --yes --no-install-recommends libreoffice-"
    )
    assert install.split()[-len(PACKAGES) :] == list(PACKAGES)
    assert not any(package.endswith("-nogui") for package in PACKAGES)
    assert machine.said[0] == _MISSING
    assert machine.said[-1] == "LibreOffice: installed"


def test_another_user_installs_by_sudo_where_it_asks_for_no_password(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = shutil.which("env", path="/usr/bin:/bin")
    machine.program("apt-get", f'case "$*" in *install*) : > {machine.installed};; esac')
    machine.program("sudo", f'shift; if [ "$1" = env ]; then shift; exec {env} "$@"; fi')
    machine.install(is_root=False)
    called = machine.called()
    assert called[0] == "sudo  -n true"
    assert called[1] == "sudo noninteractive -n env DEBIAN_FRONTEND=noninteractive apt-get update --quiet"
    assert called[2] == "apt-get noninteractive update --quiet"
    assert machine.said[-1] == "LibreOffice: installed"


@pytest.mark.parametrize("has_sudo", [False, True])
def test_a_user_without_rights_is_told_the_command(has_sudo: bool, machine: Machine) -> None:
    machine.program("apt-get")
    if has_sudo:
        machine.program("sudo", "exit 1")
    with pytest.raises(OfficeMissingError) as caught:
        machine.install(is_root=False)
    assert "needs root" in caught.value.message
    assert "run: sudo apt-get update && sudo apt-get install --yes" in caught.value.message
    assert not any(call.startswith("apt-get") for call in machine.called())


def test_a_machine_without_apt_get_is_told_what_to_install(machine: Machine) -> None:
    with pytest.raises(OfficeMissingError, match="no apt-get here") as caught:
        machine.install()
    assert "libreoffice-writer" in caught.value.message


def test_a_failing_apt_get_shows_its_last_words(machine: Machine) -> None:
    machine.program("apt-get", "echo E: the mirror is gone; exit 100")
    with pytest.raises(OfficeMissingError, match="apt-get ended with 100"):
        machine.install()
    assert machine.said[-1] == "  E: the mirror is gone"


def test_an_installation_that_leaves_it_missing_is_an_error(machine: Machine) -> None:
    machine.program("apt-get")
    with pytest.raises(OfficeMissingError, match="even after the installation"):
        machine.install()


def test_extras_that_cannot_be_installed_are_told_and_no_error(machine: Machine) -> None:
    lacking = ExtrasMissing("LibreOffice is here, but not bubblewrap")
    install_office(machine.said.append, missing=lambda: lacking, is_root=True)
    assert machine.said[0] == lacking
    assert machine.said[-1].startswith(f"going on without: {lacking}; there is no apt-get here")


def test_fonts_and_the_sandbox_are_missed_by_name(machine: Machine) -> None:
    machine.program("fc-list", "echo /usr/share/fonts/truetype/wqy/wqy-zenhei.ttc: ")
    lacking = find_missing()
    assert isinstance(lacking, ExtrasMissing)
    assert lacking.split()[-4:] == ["fonts-liberation2,", "fonts-noto-core,", "fonts-symbola,", "bubblewrap"]


def test_all_that_is_looked_for_is_installed() -> None:
    assert {"bubblewrap", "fonts-noto-core", "fonts-symbola", "fonts-wqy-zenhei"} <= set(PACKAGES)
    assert find_missing() is None


def test_the_command_line_says_that_it_is_present(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_ci.local.convert.office.install.find_missing", lambda: None)
    assert main() == 0
    assert capfd.readouterr().out == "LibreOffice: present\n"
