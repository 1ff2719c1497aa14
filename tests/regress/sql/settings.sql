-- Settings that SQL reads are known to a session that has not loaded the library yet.

\set VERBOSITY terse
CREATE EXTENSION osrm_matcher;

\c -
SELECT _enabled(), _window(), _max_gap(), _look_back();

\c -
SET osrm_matcher.look_back = '2d';
SET osrm_matcher."window" = '1h';
SELECT _enabled(), _window(), _max_gap(), _look_back();
SET osrm_matcher.max_gap = 100;
SET osrm_matcher.enabled = off;
SELECT _enabled(), _window(), _max_gap(), _look_back();

DROP EXTENSION osrm_matcher;
