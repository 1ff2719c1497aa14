-- Settings that SQL reads. The library has them: to ask it loads it, so that none is ever unknown and each
-- has one default.

COMMENT ON FUNCTION _enabled IS 'whether points are processed at all; stable, parallel safe';
COMMENT ON FUNCTION _window IS 'length of a window; stable, parallel safe';
COMMENT ON FUNCTION _max_gap IS 'a silence longer than this ends a path; stable, parallel safe';
COMMENT ON FUNCTION _context_reach IS 'the furthest that the points which decide a window''s outcome lie beyond it; stable, parallel safe';
COMMENT ON FUNCTION _look_back IS 'points older than this are left alone until a backfill asks for them; stable, parallel safe';
