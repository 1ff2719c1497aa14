//! A defect that shows as a panic must cost its own window only.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::osrm::MatchError;
use crate::track::{Outcome, Window};

/// What becomes of windows by one attempt each.
pub type Results = Vec<Result<Outcome, MatchError>>;

/// Matches windows together, or one by one, if that panics.
pub fn attempt(windows: &[Window], work: &dyn Fn(&[Window]) -> Results) -> Results {
    let together = catch_unwind(AssertUnwindSafe(|| work(windows)));
    match (together, windows) {
        (Ok(results), _) => results,
        (Err(_), [_]) => {
            vec![Err(MatchError::Unavailable(
                "a defect of osrm_matcher: it panicked".into(),
            ))]
        }
        (Err(_), _) => windows
            .iter()
            .flat_map(|w| attempt(std::slice::from_ref(w), work))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_costs_its_own_window_only() {
        let windows = [0, 300].map(|start| Window {
            start,
            end: start + 300,
        });
        let work = |windows: &[Window]| {
            assert!(windows.iter().all(|window| window.start < 300));
            vec![Ok(Outcome::default()); windows.len()]
        };
        let results = attempt(&windows, &work);
        assert_eq!(results[0], Ok(Outcome::default()));
        assert!(matches!(results[1], Err(MatchError::Unavailable(_))));
    }
}
