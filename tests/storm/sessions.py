"""The sessions of a storm: those that end with their step, those that hold something, workers in the background."""

import threading
from contextlib import closing, contextmanager

import psycopg2
import psycopg2.errors

from .gate import Gate
from .scene import SOURCES, insert

PATIENCE = "60s"  # of a statement that nothing should hold up for long
BACKGROUND = 3  # workers at most


class Sessions:
    """`others` is the gate through which workers go that are not the storm's own."""

    def __init__(self, plan, scene, db, others=None):
        self.others = others or Gate()
        self.plan = plan
        self.scene = scene
        self.db = db
        self.failures = []
        self._held = {}
        self._workers = []  # (thread, process id)
        self._terminated = set()

    def connect(self, **settings):
        options = {"statement_timeout": PATIENCE, **settings}
        return self.db.connect(options=" ".join(f"-c {name}={value}" for name, value in options.items()))

    def do(self, *statements, expected=(), parameters=None, **settings):
        """Runs statements in a session of their own; an error that is not expected has failed the storm."""
        try:
            with closing(self.connect(**settings)) as connection, connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement, parameters)
        except expected:
            pass
        except psycopg2.Error as error:
            self.failures.append(f"{'; '.join(statements)}: {type(error).__name__}: {error}")

    # -- what stays open ---------------------------------------------------------------------------

    def hold(self, name, *statements):
        """A session whose transaction stays open."""
        connection = self._held[name] = self.db.connect(autocommit=False)
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        return connection

    def free(self, name, commit):
        connection = self._held.pop(name, None)
        if connection is not None:
            connection.commit() if commit else connection.rollback()
            connection.close()

    def work_in_background(self, statement):
        self._workers = [worker for worker in self._workers if worker[0].is_alive()]
        if len(self._workers) >= BACKGROUND:
            return
        connection = self.connect()
        thread = threading.Thread(target=self._work, args=(connection, statement))
        self._workers.append((thread, connection.get_backend_pid()))
        thread.start()

    def _work(self, connection, statement):
        pid = connection.get_backend_pid()
        try:
            with closing(connection), connection.cursor() as cursor:
                cursor.execute(statement)
        except psycopg2.Error as error:
            if pid not in self._terminated:
                self.failures.append(f"{statement} in the background: {type(error).__name__}: {error}")

    def terminate_worker(self):
        """The youngest one, if there is any."""
        for _, pid in self._workers[-1:]:
            self._terminated.add(pid)
            self.db.rows("SELECT pg_terminate_backend(%s)", (pid,))

    @contextmanager
    def alone(self):
        """Without workers in the background, and with nothing held."""
        for name in list(self._held):
            self.free(name, True)
        for thread, _ in self._workers:
            thread.join(120)
            if thread.is_alive():
                self.failures.append("a worker did not end within two minutes")
        self._workers = []
        with self.others.closed():
            yield

    def give_up(self):
        """Ends what is still open after a failure."""
        for connection in self._held.values():
            connection.close()
        self._held = {}
        while self._workers:
            self.terminate_worker()
            self._workers.pop()[0].join()

    # -- points ------------------------------------------------------------------------------------

    def by_source(self, numbers):
        """Points of the plan as rows, by the table that they lie in."""
        rows = {}
        for number in numbers:
            point = self.plan.points[number]
            rows.setdefault(point.source, []).append(self.scene.row(number, point))
        return rows.items()

    def insert(self, connection, numbers):
        with connection.cursor() as cursor:
            for source, rows in self.by_source(numbers):
                insert(cursor, source, rows)

    def change(self, numbers, statement, more=lambda row: {}):
        """Runs a statement for each of some points. Those that somebody holds stay as they are."""
        with closing(self.connect(lock_timeout="2s")) as connection, connection.cursor() as cursor:
            for source, rows in self.by_source(numbers):
                shape = SOURCES[source]
                text = statement.format(source=source, found=shape.found, **shape._asdict())
                for row in rows:
                    try:
                        cursor.execute(text, {**row, **more(row)})
                    except psycopg2.errors.LockNotAvailable:
                        pass
