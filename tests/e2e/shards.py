"""What Citus's catalogs say on one of its servers, made by hand: tables, functions, and a table's shards.

The engine itself is in no package of Debian's. Its shards are ordinary tables, whose names are those of the table
with a number; each holds the devices whose hashes lie in its range.
"""

import pytest

CATALOGS = r"""
SET allow_system_table_mods = on;
CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid regclass, partmethod "char", partkey text);
CREATE TABLE pg_catalog.pg_dist_shard (logicalrelid regclass, shardid bigint, shardminvalue text, shardmaxvalue text);
CREATE TABLE pg_catalog.pg_dist_placement (shardid bigint, shardstate integer, groupid integer);
CREATE TABLE pg_catalog.pg_dist_local_group (groupid integer);
INSERT INTO pg_catalog.pg_dist_local_group VALUES (1);
CREATE FUNCTION pg_catalog.column_to_column_name(regclass, text) RETURNS text LANGUAGE sql STRICT RETURN $2;
CREATE FUNCTION pg_catalog.shard_name(regclass, bigint) RETURNS text LANGUAGE sql STRICT 
RETURN format('%s_%s', regexp_replace($1::text, '^public\.', ''), $2);
CREATE FUNCTION pg_catalog.worker_hash(anyelement) RETURNS integer LANGUAGE sql STRICT AS 'SELECT hashtext($1::text)';
CREATE FUNCTION pg_catalog.relation_is_a_known_shard(regclass) RETURNS boolean LANGUAGE sql STRICT
RETURN EXISTS (SELECT FROM pg_dist_shard s WHERE to_regclass('public.' || shard_name(s.logicalrelid, s.shardid)) = $1);
RESET allow_system_table_mods;
CREATE TABLE points (username text, coords double precision[], created_at timestamptz);
"""
# What is done on the coordinator, once.
PREPARED = """
ALTER TABLE points ADD COLUMN processed boolean NOT NULL DEFAULT false;
ALTER TABLE points ADD COLUMN batch_id uuid;
CREATE INDEX ON points (username, created_at) WHERE NOT processed;
CREATE INDEX ON points (created_at) WHERE processed::int = 0;
CREATE INDEX ON points (username, created_at);
"""
FIRST = 102008


class Shards:
    """The shards of the table `points`, all on this server at first."""

    def __init__(self, db):
        self.db = db
        self.count = 0
        db.rows(CATALOGS)

    def distribute(self, count):
        """Distributes `points`, by the hash of `username`."""
        self.count = count
        self.db.rows("INSERT INTO pg_dist_partition VALUES ('points', 'h', 'username')")
        for number in range(count):
            low = -2**31 + number * 2**32 // count
            high = -2**31 + (number + 1) * 2**32 // count - 1
            self.db.rows(f"INSERT INTO pg_dist_shard VALUES ('points', {FIRST + number}, '{low}', '{high}')")
            self.arrive(number)

    def name(self, number):
        return f"points_{FIRST + number}"

    def of(self, device):
        """The number of the shard that holds a device."""
        hash_of = self.db.value("SELECT hashtext(%s)", (device,))
        return (hash_of + 2**31) * self.count // 2**32

    def fill(self, device, fixes):
        for lon, lat, at in fixes:
            self.db.rows(f"INSERT INTO {self.name(self.of(device))} (username, coords, created_at) VALUES (%s, %s, %s)",
                         (device, [lon, lat], at))

    def make(self, number):
        self.db.rows(f"CREATE TABLE {self.name(number)} (LIKE points INCLUDING ALL)")

    def arrive(self, number):
        self.make(number)
        self.db.rows("INSERT INTO pg_dist_placement VALUES (%s, 1, 1)", (FIRST + number,))

    def depart(self, number):
        self.db.rows(f"DROP TABLE {self.name(number)}")
        self.db.rows("UPDATE pg_dist_placement SET groupid = 2 WHERE shardid = %s", (FIRST + number,))


@pytest.fixture
def shards(db):
    """`points` is there, neither prepared nor distributed."""
    return Shards(db)


@pytest.fixture
def prepared(shards):
    shards.db.rows(PREPARED)
    return shards
