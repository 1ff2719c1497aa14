//! What a thread does with a job: asks for its windows' lines, and tells a window that cannot be
//! matched from a server that is away.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::panics::attempt;
use super::unanswered::{TIMED_OUT, raw_outcome};
use crate::error::{Error, Failure};
use crate::osrm::client::Client;
use crate::osrm::{MatchError, Matcher, Refusal, Session};
use crate::pipeline::reading::{Job, Target};
use crate::store::{DeviceWindow, Status};
use crate::track::{
    Fixes, KnownSeam, Outcome, Recipe, Window, match_onward, match_windows_knowing,
};

/// What the threads of a run share.
pub struct Shared {
    pub client: Client,
    pub recipe: Recipe,
    pub request_timeout: Duration,
    pub max_retries: i32,
}

/// What a job came to.
#[derive(Debug, Default)]
pub struct Done {
    pub attempted: Vec<Attempted>,
    /// Windows of which nothing was learnt, and open ones of which only what has come was to be matched.
    pub untried: Vec<DeviceWindow>,
    pub untried_onward: Vec<DeviceWindow>,
    /// The seam that it ended with, of a device.
    pub seam: Option<(String, KnownSeam)>,
}

/// A window that was tried.
#[derive(Debug)]
pub struct Attempted {
    pub target: Target,
    pub status: Status,
    /// Attempts that failed, one after the other.
    pub retries: i32,
    pub error: Option<Refusal>,
    pub outcome: Outcome,
    pub how: How,
}

/// How a window was tried.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// Only what has come of an open window was matched.
    pub onward: bool,
    /// The server has left a question unanswered: another outcome is possible.
    pub disturbed: bool,
    pub millis: i32,
}

impl Attempted {
    /// Whether this is all for now: the window is not put off for another attempt.
    pub fn is_final(&self) -> bool {
        self.status != Status::Pending
    }

    /// Whether the outcome comes on top of what is there.
    pub fn is_onward(&self) -> bool {
        self.how.onward && self.is_final()
    }

    /// A window without points, while a source that may hold some is set aside.
    pub fn unread(target: Target) -> Self {
        let retries = target.retries;
        let why = refusal("SourceSetAside", "a source of points is set aside");
        Self::put_off(target, retries, why)
    }

    /// A window whose outcome could not be written. Somebody's lock says nothing about the window.
    pub fn hindered(self, why: Error) -> Self {
        let not_marked = matches!(why, Error::NotMarked);
        let why = Failure::from(why);
        let (code, retries) = match not_marked {
            true => ("NotMarked", self.target.retries + 1),
            false if why.is_lock() => ("Locked", self.target.retries),
            false => ("NotWritten", self.target.retries + 1),
        };
        Self::put_off(self.target, retries, refusal(code, why.message))
    }

    fn put_off(target: Target, retries: i32, why: Refusal) -> Self {
        Self {
            target,
            status: Status::Pending,
            retries,
            error: Some(why),
            outcome: Outcome::default(),
            how: How::default(),
        }
    }
}

fn refusal(code: &str, message: impl Into<String>) -> Refusal {
    Refusal {
        code: code.into(),
        message: message.into(),
    }
}

const SMALLER_REQUESTS: &str = "OSRM did not answer within osrm_matcher.request_timeout; \
                                the line is what it answered to smaller requests";

/// Why a window was not matched this time.
#[derive(Debug)]
enum Setback {
    /// Nothing was learnt about the window: the run ends, or the server as a whole is away.
    Untried,
    /// The window itself could not be matched though the server is there.
    Failed(Refusal),
}

impl Setback {
    fn failed(code: &str, words: impl Into<String>) -> Self {
        Self::Failed(refusal(code, words))
    }

    fn timed_out() -> Self {
        Self::failed(
            TIMED_OUT,
            "OSRM did not answer within osrm_matcher.request_timeout",
        )
    }
}

impl Shared {
    /// Matches the windows of a job, or what has come of an open one.
    pub fn work_off(&self, job: Job) -> Done {
        let begin = Instant::now();
        let windows: Vec<Window> = job.targets.iter().map(|t| t.window.span).collect();
        let session = Session::new(&self.client, self.request_timeout);
        let keeps_seams = job.keeps_seams();
        let last_seam = Cell::new(None);
        let results = attempt(&windows, &|windows| match &job.onward {
            Some(from) => windows
                .iter()
                .map(|w| match session.goes_on() {
                    true => match_onward(*w, from, &job.fixes, &self.recipe, &session),
                    false => Err(MatchError::Cancelled),
                })
                .collect(),
            None => {
                let known = job.seam.filter(|_| keeps_seams);
                let (outcomes, last) =
                    match_windows_knowing(known, windows, &job.fixes, &self.recipe, &session);
                last_seam.set(last);
                outcomes
            }
        });
        let mut to_blame = session.is_lost();
        let mut setback = |error| match error {
            MatchError::Cancelled if std::mem::take(&mut to_blame) => Setback::timed_out(),
            error => self.setback(error),
        };
        let results: Vec<_> = results
            .into_iter()
            .map(|result| result.map_err(&mut setback))
            .collect();
        let how = How {
            onward: job.onward.is_some(),
            disturbed: session.has_waited_in_vain(),
            millis: (begin.elapsed().as_millis() / windows.len().max(1) as u128) as i32,
        };
        let mut done = Done::default();
        if let Some(seam) = last_seam.get().filter(|_| keeps_seams && !how.disturbed) {
            done.seam = Some((job.targets[0].window.device.clone(), seam));
        }
        for (target, result) in job.targets.into_iter().zip(results) {
            match self.conclude(target, result, &job.fixes, how) {
                Ok(attempted) => done.attempted.push(attempted),
                Err(window) if how.onward => done.untried_onward.push(window),
                Err(window) => done.untried.push(window),
            }
        }
        done
    }

    /// Tells a window that cannot be matched from a server that is away.
    fn setback(&self, error: MatchError) -> Setback {
        let failed = match error {
            MatchError::Cancelled => return Setback::Untried,
            MatchError::Refused(refusal) => Setback::failed("Refused", refusal.message),
            MatchError::TooBig => {
                Setback::failed("TooBig", "the server takes no request of four points")
            }
            MatchError::TimedOut => Setback::timed_out(),
            MatchError::Unavailable(words) => Setback::failed("Unavailable", words),
        };
        if self.client.probe() {
            failed
        } else {
            Setback::Untried
        }
    }

    /// What is to be stored of a window, or the window itself if it was not tried. One that failed
    /// is due again after a pause; after the last attempt it ends with raw paths, so that the map
    /// has no hole and its points are settled. An outcome for which the server left a question
    /// unanswered counts as an attempt, too, for another may be better; after the last it is kept.
    fn conclude(
        &self,
        target: Target,
        result: Result<Outcome, Setback>,
        fixes: &Fixes,
        how: How,
    ) -> Result<Attempted, DeviceWindow> {
        let again = target.retries + 1;
        let (status, retries, error, outcome) = match result {
            Ok(outcome) if !how.disturbed => {
                (Status::Completed, 0, outcome.refusal.clone(), outcome)
            }
            Ok(outcome) if again > self.max_retries && !how.onward => {
                let why = refusal(TIMED_OUT, SMALLER_REQUESTS);
                (Status::Failed, again, Some(why), outcome)
            }
            Ok(outcome) => {
                // An open window settles in any case.
                let retries = if again > self.max_retries { 0 } else { again };
                (Status::Completed, retries, outcome.refusal.clone(), outcome)
            }
            Err(Setback::Untried) => return Err(target.window),
            Err(Setback::Failed(why)) if again > self.max_retries && !how.onward => {
                let outcome = raw_outcome(&self.recipe, target.window.span, fixes, &why);
                (Status::Failed, again, Some(why), outcome)
            }
            Err(Setback::Failed(why)) => (Status::Pending, again, Some(why), Outcome::default()),
        };
        Ok(Attempted {
            target,
            status,
            retries,
            error,
            outcome,
            how,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::osrm::client::ClientSettings;
    use crate::pipeline::claiming::Claim;
    use crate::track::{Fix, Micros, PathKind, Reason};

    const SECOND: Micros = 1_000_000;
    const RECIPE: Recipe = Recipe {
        window: 300 * SECOND,
        max_gap: 300 * SECOND,
        gps_accuracy: None,
        tolerance: 1.0,
    };

    fn window(start: Micros) -> Window {
        let start = start * SECOND;
        let end = start + RECIPE.window;
        Window { start, end }
    }

    /// A vehicle that drives north at 10 m/s for four minutes.
    fn drive(start: Micros, lat: f64) -> impl Iterator<Item = Fix> {
        (0..24).map(move |step| Fix {
            time: (start + 10 * step) * SECOND,
            lon: 25.0,
            lat: lat + 0.0009 * step as f64,
            ..Fix::default()
        })
    }

    fn target(start: Micros, retries: i32) -> Target {
        let mut claim = Claim::of(DeviceWindow {
            device: "a".into(),
            span: window(start),
        });
        claim.known.retries = retries;
        Target::new(claim, 1)
    }

    /// What a thread shares; nothing here makes it ask.
    fn shared(max_retries: i32) -> Shared {
        let settings = ClientSettings::of_tests("http://127.0.0.1:1");
        Shared {
            client: Client::new(&settings).unwrap(),
            recipe: RECIPE,
            request_timeout: Duration::from_secs(1),
            max_retries,
        }
    }

    #[test]
    fn a_window_that_fails_is_put_off_and_in_the_end_drawn_raw() {
        let fixes = Fixes::from(drive(0, 60.0).collect::<Vec<Fix>>());
        let fail = |retries| {
            shared(3)
                .conclude(
                    target(0, retries),
                    Err(Setback::timed_out()),
                    &fixes,
                    How::default(),
                )
                .unwrap()
        };
        let put_off = fail(2);
        assert!(!put_off.is_final());
        assert_eq!(put_off.retries, 3);
        assert!(put_off.outcome.paths.is_empty());

        let last = fail(3);
        assert_eq!(last.status, Status::Failed);
        assert!(!last.outcome.paths.is_empty());
        for path in &last.outcome.paths {
            assert_eq!(path.kind, PathKind::Raw);
            assert_eq!(path.reason, Some(Reason::TimedOut));
        }
    }

    #[test]
    fn success_clears_the_count_of_attempts_and_no_answer_leaves_it() {
        let shared = shared(3);
        let matched = shared.conclude(
            target(0, 2),
            Ok(Outcome::default()),
            &Fixes::default(),
            How::default(),
        );
        let matched = matched.unwrap();
        assert_eq!((matched.status, matched.retries), (Status::Completed, 0));
        let untried = shared.conclude(
            target(0, 2),
            Err(Setback::Untried),
            &Fixes::default(),
            How::default(),
        );
        assert!(untried.is_err());
    }
}
