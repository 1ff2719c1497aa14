//! From fixes of one device to paths on the road: pure logic that knows neither Postgres nor HTTP.
//!
//! The recipe, step by step:
//!
//! 1. sort the fixes and drop exact copies: [`Fixes`] (`model`)
//! 2. cut the device's time into slots of fifteen minutes, whatever a window's length: `timeline`
//! 3. decide where each slot's line begins, from the fixes around its edge alone: `seam`, which
//!    asks a small request that also tells how noisy the fixes are: `ask/calibrate`
//! 4. match each slot between its two edges: `slot`
//!    - prepare: keep one believable fix a second (`prepare/clean`), without places that were sent
//!      again (`prepare/repeats`) and at times laid out where they are those of arrival
//!      (`prepare/late`), tell how noisy each is (`prepare/noise`), smooth them (`prepare/smooth`),
//!      find stops and the segments between (`prepare/stops`), hold courses against the way (`prepare/course`), leave out what says
//!      nothing new (`prepare/thin`)
//!    - ask: one match for the trace (`ask/asker`), with the radius that suits it (`ask/fit`), anew
//!      without a bound to detours where it does not fit (`ask/relax`), with a larger radius where it
//!      is noisier than elsewhere (`ask/widen`), with other fixes where it is in doubt (`ask/choose`),
//!      and around what no vehicle can have driven (`ask/repair`, `ask/matched`); whether the map has
//!      roads at all where none was found (`ask/unmapped`)
//!    - draw: the road where a leg leads, straight lines elsewhere (`draw/strands`), without the
//!      spikes that noise left (`draw/spikes`)
//! 5. hand each window its share: paths with figures of their quality (`draw/paths`,
//!    `draw/quality`) and stops
//!
//! A window that is not over has a provisional line, which goes on from where it ended: `onward`.
//!
//! What is passed between them stands in `model`, every number that can be turned in `recipe`.
//! Data goes one way: `draw` knows `ask`, `ask` knows `prepare`, never the other way round.

mod ask;
mod draw;
mod geo;
mod model;
mod onward;
mod prepare;
mod recipe;
mod seam;
mod slot;
#[cfg(test)]
mod tests;
mod timeline;
mod vehicle;

pub use ask::Noise;
pub use geo::{Place, length as line_length, part_of_line};
pub use model::{
    Fix, Fixes, Grade, LineEnd, Micros, Outcome, Path, PathKind, Quality, Reason, Stop, Window,
};
pub use onward::match_onward;
pub use recipe::Recipe;
pub use seam::{KnownSeam, Seam};

use crate::osrm::{MatchError, Matcher};
use timeline::Timeline;

/// The span of time that the fixes given to [`match_windows`] for this window must cover.
///
/// A window is made of the slots that it touches. The slot that their line runs on to begins at
/// most `max_gap` after their end, and the edge of that one depends on `max_gap` more.
pub fn view(window: Window, recipe: &Recipe) -> (Micros, Micros) {
    let from = slot::at(window.start).start;
    let to = slot::at(window.end.saturating_sub(1)).end;
    (
        from.saturating_sub(recipe.max_gap),
        to.saturating_add(recipe.max_gap.saturating_mul(2)),
    )
}

/// The slot that holds an instant: until it is over, what becomes of its fixes can change.
pub fn slot_at(time: Micros) -> Window {
    slot::at(time)
}

/// How far a window's outcome can depend on points beyond its start and beyond its end.
pub fn context_reach(recipe: &Recipe) -> Micros {
    let slot = slot::at(0);
    view(slot, recipe).1 - slot.start
}

/// Matches windows of one device.
///
/// `windows` do not overlap, and come in the order in which they are wanted; `fixes` cover the union of their views.
/// Each outcome is the same as if its window had been matched alone (but for `osrm_calls`: what
/// two windows need is asked once); an error concerns its window only, except `Cancelled`, which
/// ends the rest. Where there is no time to begin another window, those are done that nothing has to be asked for.
pub fn match_windows(
    windows: &[Window],
    fixes: &Fixes,
    recipe: &Recipe,
    matcher: &dyn Matcher,
) -> Vec<Result<Outcome, MatchError>> {
    match_windows_knowing(None, windows, fixes, recipe, matcher).0
}

/// The same with the seam that an earlier run ended with: what that is good for need not be asked. Returns the one that
/// this run ends with, too, if there is any.
pub fn match_windows_knowing(
    seam: Option<KnownSeam>,
    windows: &[Window],
    fixes: &Fixes,
    recipe: &Recipe,
    matcher: &dyn Matcher,
) -> (Vec<Result<Outcome, MatchError>>, Option<KnownSeam>) {
    let mut timeline = Timeline::new(fixes, recipe, matcher, seam);
    let mut cancelled = false;
    let mut outcome = |window: &Window| {
        if cancelled || !timeline.holds(*window) && !matcher.goes_on() {
            return Err(MatchError::Cancelled);
        }
        let outcome = timeline.outcome(*window);
        cancelled = outcome == Err(MatchError::Cancelled);
        outcome
    };
    let outcomes = windows.iter().map(&mut outcome).collect();
    (outcomes, timeline.last_seam())
}

/// The middle one of some values, which change their places.
fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    (middle < values.len()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
}
