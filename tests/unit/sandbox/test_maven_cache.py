"""Where jars are cached, and what is said when Maven or Java will not do."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.runtime.errors import Fatal
from services.sandbox.folders import cache_root
from services.sandbox.java import find_java, parse_version
from services.sandbox.maven import KAFKA_POM, cached_folder, main, resolve


def program(folder: Path, name: str, script: str) -> None:
    """Put a small shell script into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of programs with a Java that is new enough."""
    folder = tmp_path / "bin"
    program(folder, "java", """echo 'openjdk version "17.0.1" 2021-10-19' >&2""")
    return folder


@pytest.fixture
def pom(tmp_path: Path) -> Path:
    file = tmp_path / "thing-pom.xml"
    file.write_text("<project/>")
    return file


@pytest.mark.parametrize(
    ("text", "feature", "full"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17, "17.0.15"),
        ('openjdk version "21" 2023-09-19', 21, "21"),
        ('openjdk version "26-ea" 2026-03-17', 26, "26-ea"),
        ('java version "1.8.0_292"', 8, "1.8.0_292"),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "11.0.2" 2019-01-15', 11, "11.0.2"),
    ],
)
def test_the_version_of_java_is_read(text: str, feature: int, full: str) -> None:
    assert parse_version(text) == (feature, full)


def test_a_java_that_tells_no_version_is_refused(tmp_path: Path) -> None:
    program(tmp_path, "java", "echo nothing")
    with pytest.raises(Fatal, match="does not tell its version"):
        find_java({"PATH": str(tmp_path)})


def test_a_missing_java_is_said_with_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=r"No Java runtime found .*apt-get install openjdk-17-jre-headless"):
        find_java({"PATH": str(tmp_path)})


def test_an_old_java_is_refused(tmp_path: Path) -> None:
    program(tmp_path, "java", """echo 'openjdk version "11.0.2" 2019-01-15' >&2""")
    with pytest.raises(Fatal, match=r"Java 11\.0\.2, which is too old: install a Java runtime 17 or later"):
        find_java({"PATH": str(tmp_path)})


def test_java_home_goes_before_the_path(tmp_path: Path, programs: Path) -> None:
    program(tmp_path / "home" / "bin", "java", """echo 'openjdk version "21.0.2"' >&2""")
    java = find_java({"PATH": str(programs), "JAVA_HOME": str(tmp_path / "home")})
    assert (java.program, java.version) == (tmp_path / "home" / "bin" / "java", "21.0.2")


def test_a_missing_maven_is_said_with_what_to_install(tmp_path: Path, programs: Path, pom: Path) -> None:
    with pytest.raises(Fatal, match="install maven"):
        resolve(pom, tmp_path / "cache", {"PATH": str(programs)})


def test_what_maven_says_is_shown_and_nothing_is_left_when_it_fails(tmp_path: Path, programs: Path, pom: Path) -> None:
    program(programs, "mvn", "echo '[INFO] working'; echo '[ERROR] no such artifact'; exit 1")
    with pytest.raises(Fatal, match=r"thing-pom\.xml lists.*\n\[ERROR\] no such artifact$"):
        resolve(pom, tmp_path / "cache", {"PATH": f"{programs}:/usr/bin:/bin"})
    assert list((tmp_path / "cache").iterdir()) == []


def test_maven_is_asked_once_for_a_pom_and_again_for_a_changed_one(tmp_path: Path, programs: Path, pom: Path) -> None:
    calls, cache = tmp_path / "calls", tmp_path / "cache"
    copies = 'for word; do case "$word" in -DoutputDirectory=*) touch "${word#*=}/a.jar";; esac; done'
    program(programs, "mvn", f"echo called >> {calls}\n{copies}")
    environ = {"PATH": f"{programs}:/usr/bin:/bin"}

    folder = resolve(pom, cache, environ)
    assert resolve(pom, cache, environ) == folder == cached_folder(pom, cache)
    assert [file.name for file in folder.iterdir()] == ["a.jar"]
    assert calls.read_text().splitlines() == ["called"]

    pom.write_text("<project><version>2</version></project>")
    assert resolve(pom, cache, environ) != folder
    assert calls.read_text().splitlines() == ["called", "called"]
    assert len(list(cache.iterdir())) == 2


def test_a_folder_in_the_cache_needs_neither_maven_nor_java(tmp_path: Path, pom: Path) -> None:
    cached_folder(pom, tmp_path).mkdir()
    assert resolve(pom, tmp_path, {"PATH": "/nowhere"}) == cached_folder(pom, tmp_path)


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, programs: Path, pom: Path) -> None:
    program(programs, "mvn", "exit 0")
    (tmp_path / "file").write_text("")
    with pytest.raises(Fatal, match="Set XDG_CACHE_HOME"):
        resolve(pom, tmp_path / "file" / "cache", {"PATH": str(programs)})


def test_the_cache_follows_xdg_where_it_is_absolute() -> None:
    assert cache_root({"XDG_CACHE_HOME": "/somewhere"}) == Path("/somewhere/mailriver")
    assert cache_root({"XDG_CACHE_HOME": "relative"}) == cache_root({}) == Path.home() / ".cache" / "mailriver"


def test_the_pom_of_kafka_pins_versions_and_names_no_repository() -> None:
    text = KAFKA_POM.read_text()
    assert "<version>4." in text
    assert "<repositor" not in text
    assert "<url>" not in text


def test_the_command_tells_a_fault_in_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pom: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main([str(pom)]) == 1
    assert capsys.readouterr().err.startswith("No Java runtime found")
