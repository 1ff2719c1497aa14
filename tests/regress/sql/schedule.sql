-- What a schedule of pg_cron means, whatever the session's settings.

\set VERBOSITY terse
SET timezone = 'UTC';
SET standard_conforming_strings = off;
CREATE EXTENSION osrm_matcher;

SELECT schedule, _next_run(schedule, '2024-05-04 18:50:30Z')
  FROM unnest(ARRAY['* * * * *', '*/5 * * * *', '17 3 * * *', '0 0 1 jan *', '0 9 * * mon-fri', '0 0 29 2 *',
                    '50 18 * * *', '0 0 13 * fri', '10-20/5 0-3 * * *', '30 seconds', '61 * * * *', '@daily', 'nonsense', ''])
    AS schedule;

-- By the clock of pg_cron, not by the session's.
SET timezone = 'Asia/Kathmandu';
SELECT _next_run('17 3 * * *', '2024-05-04 18:50:30Z') = '2024-05-05 03:17Z' AS in_utc;
SELECT _next_run('* * * * *') > now() AS ahead;

DROP EXTENSION osrm_matcher;
