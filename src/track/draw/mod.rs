//! Stage 3: from matched legs to stretches of line, and from those to paths and stops.

mod paths;
mod quality;
mod simplify;
mod spikes;
mod strands;

use std::ops::RangeInclusive;

pub use paths::{Stretch, join_stops, paths, stop};
pub use strands::Fixed;

use super::ask::Fitted;
use super::model::{Micros, PathKind, Reason, Window};
use super::recipe::Recipe;
use strands::{Strand, strands};

/// What a vehicle can have driven, and straight lines where nothing is known of that.
///
/// `fixed` are places that the line must meet exactly, `spike` is the depth of what is taken for
/// noise in it, in metres, and `moving` are the times of the fixes that the stretches stand for.
pub fn draw(
    fitted: &Fitted,
    fixed: Fixed,
    spike: f64,
    slot: Window,
    recipe: &Recipe,
    moving: &[Micros],
) -> Vec<Stretch> {
    let Fitted {
        trace,
        matched,
        unmapped,
        ..
    } = fitted;
    // A window's edge parts strands, but none may begin beyond the slot's end.
    let last_in = trace
        .partition_point(|o| o.time < slot.end)
        .saturating_sub(1);
    let window = |i: usize| recipe.window_number(trace[i].time);
    let parted = |a: usize, b: usize| b <= last_in && window(a) != window(b);
    let drawn = strands(matched, trace, fixed, spike, &parted);
    let count = drawn.len();
    let starts = starts_within(slot, drawn.iter().map(|strand| trace[strand.from].time));
    let reason = |strand: &Strand| {
        let holds =
            |gap: &RangeInclusive<usize>| *gap.start() <= strand.from && strand.to <= *gap.end();
        match unmapped.iter().any(holds) {
            true => Reason::NoSegment,
            false => Reason::NoMatch,
        }
    };
    let stretch = |(i, strand): (usize, Strand)| {
        let open = i + 1 == count && fixed.last.is_none();
        let start = starts[i];
        let end = starts
            .get(i + 1)
            .map_or(trace[strand.to].time, |next| *next);
        let until = if open { end.saturating_add(1) } else { end };
        let before = |time: Micros| moving.partition_point(|t| *t < time);
        Stretch {
            kind: strand.kind,
            reason: (strand.kind == PathKind::Raw).then(|| reason(&strand)),
            start,
            end,
            line: strand.line,
            confidence: strand.confidence,
            tally: strand.tally,
            fixes: before(until).saturating_sub(before(start)),
        }
    };
    drawn.into_iter().enumerate().map(stretch).collect()
}

/// When strands begin, the first of them in the slot. Those that begin beyond its end belong to it all the same: they share
/// what is left of it with the one that reaches over its end, each by the time that it takes.
fn starts_within(slot: Window, starts: impl Iterator<Item = Micros>) -> Vec<Micros> {
    let mut starts: Vec<Micros> = starts.collect();
    let inside = starts.partition_point(|start| *start < slot.end);
    let (Some(&over), Some(&last)) = (starts[..inside].last(), starts.last()) else {
        return starts;
    };
    let count = starts.len();
    let scale = (slot.end - over) as f64 / (last - over).max(1) as f64;
    for (nth, start) in starts.iter_mut().enumerate() {
        if nth >= inside {
            *start = over + ((*start - over) as f64 * scale) as Micros;
        }
        *start = (*start).min(slot.end - (count - nth) as Micros);
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::ask::MatchedTrace;
    use crate::track::model::SECOND;
    use crate::track::tests::city::{START, leg, recipe, trace};

    #[test]
    fn what_is_matched_beyond_the_end_of_the_slot_belongs_to_it() {
        // Ten seconds apart; the slot ends after the second of five observations.
        let trace = trace(&[0.0, 90.0, 180.0, 270.0, 360.0].map(|x| (x, 0.0)));
        let slot = Window {
            start: START,
            end: START + 15 * SECOND,
        };
        let mut matched = MatchedTrace::unknown(trace.len());
        matched.add([leg(&trace, 0, 1), leg(&trace, 2, 3), leg(&trace, 3, 4)]);
        let fitted = Fitted {
            trace: trace.clone(),
            matched,
            radius: 5.0,
            unmapped: Vec::new(),
        };
        let fixed = Fixed {
            first: Some(trace[0].place),
            last: Some(trace[4].place),
        };
        let drawn = draw(&fitted, fixed, 10.0, slot, &recipe(300), &[]);
        let kinds: Vec<PathKind> = drawn.iter().map(|stretch| stretch.kind).collect();
        assert_eq!(kinds, [PathKind::Matched, PathKind::Raw, PathKind::Matched]);
        assert!(drawn.iter().all(|stretch| slot.holds(stretch.start)));
        assert!(
            drawn
                .windows(2)
                .all(|s| s[0].start < s[0].end && s[0].end == s[1].start)
        );
        assert_eq!(drawn[2].end, trace[4].time);
    }

    #[test]
    fn none_that_begin_beyond_the_end_of_the_slot_take_no_time() {
        let slot = Window { start: 0, end: 100 };
        let starts = |times: &[Micros]| starts_within(slot, times.iter().copied());
        assert!(starts(&[]).is_empty());
        assert_eq!(starts(&[10, 70]), [10, 70]);
        assert_eq!(starts(&[10, 70, 110]), [10, 70, 99]);
        assert_eq!(starts(&[10, 70, 110, 130]), [10, 70, 90, 99]);
        // However little is left.
        assert_eq!(starts(&[10, 99, 110, 130]), [10, 97, 98, 99]);
    }
}
