-- Steps of a run that are still to come.
CREATE FUNCTION _advance_jobs(max_windows integer) RETURNS integer LANGUAGE sql RETURN 0;
CREATE FUNCTION _reject_unreachable() RETURNS bigint LANGUAGE sql RETURN 0;
