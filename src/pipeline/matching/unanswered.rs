//! What is drawn of a window that OSRM never answers for.

use super::panics::attempt;
use crate::osrm::{MatchAnswer, MatchError, MatchRequest, Matcher, Refusal};
use crate::track::{Fixes, Outcome, Reason, Recipe, Window, match_windows};

/// The code of a window that OSRM has left unanswered.
pub const TIMED_OUT: &str = "TimedOut";

/// Raw paths that give the reason.
pub fn raw_outcome(recipe: &Recipe, window: Window, fixes: &Fixes, why: &Refusal) -> Outcome {
    struct RefuseAll<'a>(&'a Refusal);
    impl Matcher for RefuseAll<'_> {
        fn ask(&self, _: &MatchRequest) -> Result<MatchAnswer, MatchError> {
            Err(MatchError::Refused(self.0.clone()))
        }
        fn max_size(&self) -> usize {
            usize::MAX
        }
    }
    let refuse = |windows: &[Window]| match_windows(windows, fixes, recipe, &RefuseAll(why));
    let mut outcome = attempt(&[window], &refuse)
        .into_iter()
        .next()
        .and_then(Result::ok)
        .unwrap_or_else(|| Outcome {
            context: (window.start, window.end),
            ..Outcome::default()
        });
    let reason = match why.code.as_str() {
        TIMED_OUT => Reason::TimedOut,
        _ => Reason::Unavailable,
    };
    for path in &mut outcome.paths {
        path.reason = Some(reason);
    }
    outcome
}
