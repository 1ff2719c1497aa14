"""Where others may write to the extension's schema, nothing that they make there is ever run with our rights."""

from contextlib import closing

import pytest

from drives import drive, insert, recent_window

# What a role without rights can make where it may write. Each matches arguments of our statements better than
# what pg_catalog has, and tells that it was run, and by whom.
BETTER = """
    CREATE TABLE public.reached (what text, who name DEFAULT current_user);
    GRANT INSERT ON public.reached TO PUBLIC;
    CREATE FUNCTION public.equal(varchar, text) RETURNS boolean LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.reached VALUES ('='); RETURN $1::text OPERATOR(pg_catalog.=) $2; END $$;
    CREATE OPERATOR public.= (leftarg = varchar, rightarg = text, function = public.equal);
    CREATE FUNCTION public.greater(varchar, varchar) RETURNS boolean LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.reached VALUES ('>'); RETURN $1::text OPERATOR(pg_catalog.>) $2::text; END $$;
    CREATE OPERATOR public.> (leftarg = varchar, rightarg = varchar, function = public.greater);
    CREATE FUNCTION public.nextval(text) RETURNS bigint LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.reached VALUES ('nextval'); RETURN pg_catalog.nextval($1::regclass); END $$;
    CREATE FUNCTION public.step(timestamptz[], timestamptz) RETURNS timestamptz[] LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.reached VALUES ('array_agg'); RETURN pg_catalog.array_append($1, $2); END $$;
    CREATE AGGREGATE public.array_agg(timestamptz) (sfunc = public.step, stype = timestamptz[], initcond = '{}');
    CREATE FUNCTION public.date_bin(interval, timestamptz, text) RETURNS timestamptz LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO public.reached VALUES ('date_bin');
                 RETURN pg_catalog.date_bin($1, $2, $3::timestamptz); END $$;
"""
STATEMENTS = ["SELECT * FROM process_pending_gps()", "CALL process_pending()", "SELECT make_batches()",
              "SELECT * FROM match_batches(ARRAY(SELECT claim_batches()))", "SELECT * FROM worker_status()",
              "SELECT * FROM worker_alerts()", "SELECT * FROM get_device_tail('van')",
              "SELECT get_device_page('car', tail => true)", "SELECT * FROM get_changes(now() - interval '1 hour')",
              "SELECT start_backfill(now() - interval '2 days', now())", "CALL upkeep()"]


@pytest.fixture
def shared(db, osrm):
    """A database whose schema public, which has the extension, is open to a role without rights; a point late."""
    db.rows("""CREATE TABLE vans (username varchar(20), coords float8[], created_at timestamptz);
               SELECT adopt_source('vans');
               DO $$ BEGIN CREATE ROLE osrm_test_stranger; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
               GRANT CREATE ON SCHEMA public TO osrm_test_stranger""")
    start = recent_window(60)
    fixes = drive(osrm, start, 600)
    insert(db, "car", fixes[:40])
    db.rows("SELECT * FROM process_pending_gps()")
    insert(db, "car", fixes[40:])
    db.rows("INSERT INTO vans SELECT 'van', ARRAY[longitude, latitude], recorded_at FROM gps_coordinates")
    with closing(db.connect()) as session:
        session.cursor().execute("SET ROLE osrm_test_stranger")
        session.cursor().execute(BETTER)
    yield db
    db.rows("DROP OWNED BY osrm_test_stranger")


@pytest.mark.parametrize("statement", STATEMENTS)
def test_what_matches_better_in_our_schema_is_not_run(shared, statement):
    shared.rows(statement)
    assert shared.rows("SELECT DISTINCT what, who FROM public.reached") == []
