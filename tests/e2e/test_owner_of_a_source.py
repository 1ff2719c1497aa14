"""What an adopted table brings with it, triggers, expressions and policies, has its owner's rights and no more."""

from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest

from drives import drive, process_all, recent_window
from test_adoption import make_markers


@pytest.fixture
def owner(db):
    """The owner of markers, who is no superuser and has no right to anything of the extension."""
    name = f"owner_{db.name}"
    db.rows(f"CREATE ROLE {name} LOGIN; CREATE SCHEMA shop AUTHORIZATION {name}")
    make_markers(db)
    db.rows(f"ALTER TABLE markers SET SCHEMA shop; ALTER TABLE shop.markers OWNER TO {name}")
    db.rows("SELECT * FROM adopt_source('shop.markers')")
    db.rows("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    yield name
    db.rows(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


def as_owner(db, owner, statements):
    with closing(db.connect(user=owner)) as session:
        session.cursor().execute(statements)


def test_points_of_a_table_whose_owner_has_no_rights_elsewhere_are_processed(db, osrm, owner):
    fixes = drive(osrm, recent_window(), 600)
    fill(db, owner, "car", fixes)
    process_all(db)
    assert db.value("SELECT count(*) FROM shop.markers WHERE NOT processed") == 0
    assert db.value("SELECT count(*) FROM get_device_paths('car')") > 0


def fill(db, owner, device, fixes):
    with closing(db.connect(user=owner)) as session:
        for lon, lat, at in fixes:
            session.cursor().execute("INSERT INTO shop.markers (username, coords, created_at) VALUES (%s, %s, %s)",
                                     (device, [lon, lat], at))


ATTACKS = {
    "a trigger": """CREATE TRIGGER t BEFORE UPDATE ON shop.markers FOR EACH ROW EXECUTE FUNCTION shop.attack()""",
    "a trigger after each statement":
        """CREATE TRIGGER t AFTER UPDATE ON shop.markers EXECUTE FUNCTION shop.attack()""",
    "a trigger that waits for the commit":
        """CREATE CONSTRAINT TRIGGER t AFTER UPDATE ON shop.markers INITIALLY DEFERRED
           FOR EACH ROW EXECUTE FUNCTION shop.attack()""",
    "a check": """CREATE FUNCTION shop.fine(boolean) RETURNS boolean LANGUAGE plpgsql AS
                  $$BEGIN PERFORM shop.seize(); RETURN true; END$$;
                  ALTER TABLE shop.markers ADD CHECK (shop.fine(processed)) NOT VALID""",
    "an index": """CREATE FUNCTION shop.key(boolean) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
                   $$BEGIN PERFORM shop.seize(); RETURN true; END$$;
                   CREATE INDEX ON shop.markers (shop.key(processed))""",
    "a policy": """CREATE FUNCTION shop.mine() RETURNS boolean LANGUAGE plpgsql AS
                   $$BEGIN PERFORM shop.seize(); RETURN true; END$$;
                   ALTER TABLE shop.markers ENABLE ROW LEVEL SECURITY;
                   CREATE POLICY p ON shop.markers USING (shop.mine())""",
}
# Tries all ways to more rights, and tells under whose name it ran.
SEIZE = """
    CREATE TABLE shop.names (name text, super boolean);
    GRANT ALL ON shop.names TO PUBLIC; GRANT USAGE ON SCHEMA shop TO PUBLIC;
    CREATE FUNCTION shop.seize() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO shop.names SELECT current_user, rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user;
        BEGIN EXECUTE 'ALTER ROLE {owner} SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;
        BEGIN EXECUTE 'RESET ROLE; ALTER ROLE {owner} SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;
        BEGIN EXECUTE 'SET ROLE postgres; ALTER ROLE {owner} SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;
        BEGIN EXECUTE 'SET SESSION AUTHORIZATION postgres; ALTER ROLE {owner} SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;
    END $$;
    CREATE FUNCTION shop.attack() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM shop.seize(); RETURN NEW; END $$;
"""


@pytest.mark.parametrize("way", ATTACKS)
def test_the_owner_of_a_table_does_not_become_superuser(db, osrm, owner, way):
    as_owner(db, owner, SEIZE.format(owner=owner) + ATTACKS[way])
    fill(db, owner, "car", drive(osrm, recent_window(), 100))
    db.rows("TRUNCATE shop.names")
    for statement in ("CALL process_pending(10)", "SELECT * FROM process_pending_gps()",
                      "SELECT get_device_page('car', tail => true)", "SELECT * FROM worker_status()"):
        db.rows(statement)
    assert db.value("SELECT rolsuper FROM pg_roles WHERE rolname = %s", (owner,)) is False
    names = {name for name, _ in db.rows("SELECT DISTINCT name, super FROM shop.names")}
    # Whoever reads a table with policies asks as himself, as he would by SELECT.
    assert names <= ({owner, "postgres"} if way == "a policy" else {owner})
    assert db.value("SELECT count(*) FROM shop.markers WHERE NOT processed") == 0


def test_a_trigger_finds_the_names_of_its_own_schema(db, osrm, owner):
    as_owner(db, owner, """
        CREATE TABLE shop.log (id bigint);
        CREATE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO log VALUES (NEW.id); RETURN NEW; END $$;
        CREATE TRIGGER t AFTER UPDATE ON shop.markers FOR EACH ROW EXECUTE FUNCTION shop.note()""")
    fill(db, owner, "car", drive(osrm, recent_window(), 100))
    process_all(db)
    assert db.value("SELECT count(*) FROM shop.log") == 20


@pytest.fixture
def tenants(db, osrm, owner):
    """Two readers, each of whom may see one device of a table with policies."""
    names = {device: f"{device}_{db.name}" for device in ("a", "b")}
    db.rows("ALTER TABLE shop.markers ENABLE ROW LEVEL SECURITY; CREATE TABLE shop.tenants (role name, device text);"
            "CREATE POLICY own ON shop.markers USING (username IN (SELECT device FROM shop.tenants WHERE role = current_user))")
    now = datetime.now(timezone.utc)
    for device, role in names.items():
        db.rows(f"CREATE ROLE {role} LOGIN; SELECT grant_reader('{role}'); GRANT USAGE ON SCHEMA shop TO {role};"
                f"GRANT USAGE ON SCHEMA public TO {role}; GRANT SELECT ON shop.markers, shop.tenants TO {role}")
        db.rows("INSERT INTO shop.tenants VALUES (%s, %s)", (role, device))
        fill(db, owner, device, drive(osrm, now - timedelta(minutes=2), 60))
    yield names
    for role in names.values():
        db.rows(f"DROP OWNED BY {role}; DROP ROLE {role}")


def tail_of(db, role, device):
    with closing(db.connect(user=role)) as session:
        cursor = session.cursor()
        cursor.execute("SELECT count(*) FROM get_device_tail(%s)", (device,))
        tails = cursor.fetchone()[0]
        cursor.execute("SELECT (get_device_page(%s, tail => true) ->> 'processing_delay_ms')::float > 0", (device,))
        waits = cursor.fetchone()[0]
        cursor.execute("SELECT count(*) > 0 FROM get_device_fixes(%s, now() - interval '1 h', now())", (device,))
        assert cursor.fetchone()[0] is waits
        return tails, waits


def test_policies_of_a_table_hold_for_its_newest_points(db, tenants):
    assert tail_of(db, tenants["a"], "a") == (1, True)
    assert tail_of(db, tenants["a"], "b") == (0, False)
    assert tail_of(db, tenants["b"], "a") == (0, False)
    db.rows(f"REVOKE SELECT ON shop.markers FROM {tenants['a']}")
    assert tail_of(db, tenants["a"], "a") == (0, False)


def test_policies_keep_no_point_from_the_worker(db, tenants):
    process_all(db)
    assert db.value("SELECT count(*) FROM shop.markers WHERE NOT processed") == 0


def test_policies_that_bind_the_owner_set_the_table_aside_instead_of_hiding_points(db, tenants):
    db.rows("ALTER TABLE shop.markers FORCE ROW LEVEL SECURITY")
    db.rows("CALL process_pending(10)")
    assert "row-level security" in db.value("SELECT reason FROM adopted_sources")
    assert db.value("SELECT count(*) FROM worker_alerts() WHERE problem = 'source_set_aside'") == 1
    db.rows("ALTER TABLE shop.markers NO FORCE ROW LEVEL SECURITY; UPDATE adopted_sources SET set_aside_until = now()")
    process_all(db)
    assert db.value("SELECT count(*) FROM shop.markers WHERE NOT processed") == 0
