"""A database of a private cluster, with short ways to ask it something."""

from contextlib import closing

from psycopg2 import sql

from .wait import wait_for


class Database:
    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name
        self._connection = None

    def connect(self, **options):
        """A connection of its own; the caller closes it."""
        return self.cluster.connect(self.name, **options)

    def rows(self, query, parameters=None):
        """All rows of a query, as tuples; an empty list for a statement that has none."""
        if self._connection is None or self._connection.closed:
            self._connection = self.connect()
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def row(self, query, parameters=None):
        """The only row of a query, as a dictionary by column."""
        if self._connection is None or self._connection.closed:
            self._connection = self.connect()
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(query, parameters)
            (values,) = cursor.fetchall()
            return dict(zip((column.name for column in cursor.description), values))

    def value(self, query, parameters=None):
        """The only value of a query."""
        ((value,),) = self.rows(query, parameters)
        return value

    def set(self, name, value):
        """Gives the database a setting; sessions opened from now on have it."""
        self.rows(sql.SQL("ALTER DATABASE {} SET {} = {}").format(
            sql.Identifier(self.name), sql.Identifier(*name.split(".")), sql.Literal(str(value))))
        self.disconnect()

    def wait_until(self, query, timeout=30, parameters=None):
        """Waits until the only value of the query is true."""
        return wait_for(lambda: self.value(query, parameters), timeout, query)

    def disconnect(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def psql(self, *arguments, **options):
        """Runs psql without the user's psqlrc; stops at the first error."""
        return self.cluster.run(
            "psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", self.name, *arguments, **options)
