//! The work on some windows of one device: which slots they need, and what each gets of them.

use std::collections::BTreeMap;
use std::iter::successors;

use super::ask::Asker;
use super::draw;
use super::model::{Fixes, Micros, Outcome, Window};
use super::recipe::Recipe;
use super::seam::{self, Edge, EdgeKind, KnownSeam};
use super::slot::{self, Ends, MatchedSlot};
use crate::osrm::{MatchError, Matcher};

/// The fixes of a device, and what has been decided about them so far.
pub struct Timeline<'a> {
    fixes: &'a Fixes,
    recipe: &'a Recipe,
    asker: Asker<'a>,
    /// By the start of the slot that begins there.
    edges: BTreeMap<Micros, Result<Edge, MatchError>>,
    slots: BTreeMap<Micros, Result<MatchedSlot, MatchError>>,
    known: Option<KnownSeam>,
}

impl<'a> Timeline<'a> {
    /// `known` is the seam that an earlier run ended with.
    pub fn new(
        fixes: &'a Fixes,
        recipe: &'a Recipe,
        matcher: &'a dyn Matcher,
        known: Option<KnownSeam>,
    ) -> Self {
        Timeline {
            fixes,
            recipe,
            asker: Asker::new(matcher),
            edges: BTreeMap::new(),
            slots: BTreeMap::new(),
            known,
        }
    }

    /// The last seam that was decided.
    pub fn last_seam(&self) -> Option<KnownSeam> {
        let mut decided = self
            .edges
            .values()
            .rev()
            .filter_map(|edge| edge.as_ref().ok());
        decided.find_map(Edge::to_keep)
    }

    /// What the slots of a window hold of it.
    pub fn outcome(&mut self, window: Window) -> Result<Outcome, MatchError> {
        let mut outcome = Outcome {
            context: (window.start, window.end),
            ..Outcome::default()
        };
        let (mut stretches, mut stops) = (Vec::new(), Vec::new());
        for span in slots_of(window, self.fixes) {
            let slot = self.slot(span)?;
            outcome.context.0 = outcome.context.0.min(slot.context.0);
            outcome.context.1 = outcome.context.1.max(slot.context.1);
            outcome.refusal = outcome.refusal.or_else(|| slot.refusal.clone());
            outcome.dropped.add(slot.cleaned.dropped(window, span));
            let mine = slot.stretches.iter().filter(|s| window.holds(s.start));
            stretches.extend(mine.cloned());
            let here = Window {
                start: window.start.max(span.start),
                end: window.end.min(span.end),
            };
            let standings = slot.standings.iter();
            stops.extend(standings.filter_map(|s| draw::stop(s, &slot.cleaned, here)));
        }
        outcome.dropped.duplicate += self.fixes.copies(window.start, window.end);
        outcome.paths = draw::paths(stretches, self.recipe.tolerance);
        outcome.stops = draw::join_stops(stops);
        outcome.osrm_calls = self.asker.take_calls();
        Ok(outcome)
    }

    /// Whether all slots of a window are matched already, so that nothing needs to be asked for it.
    pub fn holds(&self, window: Window) -> bool {
        slots_of(window, self.fixes).all(|span| self.slots.contains_key(&span.start))
    }

    /// Two windows may need the same slot: it is matched once, and fails once.
    fn slot(&mut self, span: Window) -> Result<&MatchedSlot, MatchError> {
        if !self.slots.contains_key(&span.start) {
            let matched = self.match_slot(span);
            self.slots.insert(span.start, matched);
        }
        self.slots[&span.start].as_ref().map_err(Clone::clone)
    }

    fn match_slot(&mut self, span: Window) -> Result<MatchedSlot, MatchError> {
        let start = self.edge(span)?;
        let (end, reach) = self.end(span)?;
        let ends = Ends { start, end, reach };
        slot::match_slot(span, &ends, self.fixes, self.recipe, &self.asker)
    }

    /// The edge where the line of a slot ends, and how far the fixes reach that decided it.
    fn end(&mut self, span: Window) -> Result<(Option<Edge>, Micros), MatchError> {
        let limit = span.end.saturating_add(self.recipe.max_gap);
        let (mut probe, mut reach) = (span.end, limit);
        while let Some(time) = self.fixes.next(probe).filter(|time| *time < limit) {
            let holder = slot::at(time);
            let edge = self.edge(holder)?;
            let seen = edge.context.1;
            match edge.kind {
                EdgeKind::Seam(_) => return Ok((Some(edge), seen)),
                EdgeKind::Break => return Ok((None, seen)),
                EdgeKind::Nothing => (probe, reach) = (holder.end, reach.max(seen)),
            }
        }
        Ok((None, reach))
    }

    /// Two slots meet at an edge: it is decided once, and fails once.
    fn edge(&mut self, span: Window) -> Result<Edge, MatchError> {
        let known = self.known.as_ref();
        let decide = || seam::edge(span, self.fixes, self.recipe, &self.asker, known);
        self.edges.entry(span.start).or_insert_with(decide).clone()
    }
}

/// The slots that hold fixes of a window.
fn slots_of(window: Window, fixes: &Fixes) -> impl Iterator<Item = Window> {
    let from = move |from: Micros| {
        let next = fixes.next(from).filter(|time| *time < window.end);
        next.map(slot::at)
    };
    successors(from(window.start), move |span| from(span.end))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::osrm::{MatchAnswer, MatchRequest};
    use crate::track::match_windows;
    use crate::track::model::{Fix, SECOND};
    use crate::track::tests::city::{City, START, drive, fix, recipe, windows};

    fn outcomes(fixes: &[Fix], length: i64, city: &City) -> Vec<Outcome> {
        let (all, recipe) = (Fixes::from(fixes.to_vec()), recipe(length));
        let mut timeline = Timeline::new(&all, &recipe, city, None);
        let outcome = |window: &Window| timeline.outcome(*window).unwrap();
        windows(fixes, &recipe).iter().map(outcome).collect()
    }

    #[test]
    fn without_time_for_more_a_slot_that_is_matched_ends_in_all_its_windows() {
        /// Has time to begin one window.
        struct Hurried(City, Cell<bool>);
        impl Matcher for Hurried {
            fn ask(&self, request: &MatchRequest) -> Result<MatchAnswer, MatchError> {
                self.0.ask(request)
            }
            fn max_size(&self) -> usize {
                self.0.max_size()
            }
            fn goes_on(&self) -> bool {
                self.1.replace(false)
            }
        }
        let (fixes, recipe) = (drive(3600, 5, 0.0), recipe(300));
        let mut windows = windows(&fixes, &recipe);
        windows.rotate_left(4);
        let hurried = Hurried(City::default(), Cell::new(true));
        let results = match_windows(&windows, &Fixes::from(fixes), &recipe, &hurried);
        let of_the_first = |w: &Window| slot::at(w.start) == slot::at(windows[0].start);
        let expected: Vec<bool> = windows.iter().map(of_the_first).collect();
        let done: Vec<bool> = results.iter().map(Result::is_ok).collect();
        assert_eq!(done, expected);
        assert_eq!(done.iter().filter(|done| **done).count(), 3);
    }

    #[test]
    fn what_windows_share_is_asked_once() {
        let fixes = drive(900, 5, 6.0);
        let asked = |length| {
            let city = City::default();
            outcomes(&fixes, length, &city);
            city.asked.into_inner().len()
        };
        assert_eq!(asked(60), asked(300));
        assert_eq!(asked(3_600), asked(300));
    }

    #[test]
    fn an_edge_that_an_earlier_run_decided_is_not_asked_about_again() {
        let (fixes, slot) = (drive(3 * 900, 5, 6.0), slot::at(START + 900 * SECOND));
        let requests = |known, fixes: &[Fix], roads, max_gap| {
            let (all, city) = (
                Fixes::from(fixes.to_vec()),
                City {
                    roads,
                    ..City::default()
                },
            );
            let recipe = Recipe {
                max_gap,
                ..recipe(900)
            };
            let mut timeline = Timeline::new(&all, &recipe, &city, known);
            timeline.outcome(slot).unwrap();
            (city.asked.borrow().len(), timeline.last_seam())
        };
        let gap = 300 * SECOND;
        let (all, end) = requests(None, &fixes, 0, gap);
        assert!(
            slot::at(end.unwrap().seam.time).start == slot.end,
            "{end:?}"
        );
        let (fewer, same) = requests(end, &fixes, 0, gap);
        assert!(fewer < all && same == end, "{fewer} of {all}: {same:?}");
        // Nothing of it is of use where a fix near the edge, the map or the recipe is another.
        let mut moved = fixes.clone();
        moved.retain(|fix| fix.time != slot.end);
        for (fixes, roads, gap) in [(&moved, 0, gap), (&fixes, 1, gap), (&fixes, 0, 2 * gap)] {
            let expected = requests(None, fixes, roads, gap).0;
            assert_eq!(requests(end, fixes, roads, gap).0, expected);
        }
    }

    #[test]
    fn that_no_fix_of_a_slot_can_be_used_was_seen_as_far_as_fixes_were_looked_at() {
        let nowhere = |n: i64| Fix {
            lon: 0.0,
            lat: 0.0,
            ..fix(4_300.0 + 30.0 * n as f64, 0.0, 0.0)
        };
        let mut fixes = drive(890, 5, 0.0);
        fixes.extend((0..20).map(nowhere));
        let hour = Recipe {
            max_gap: 3_600 * SECOND,
            ..recipe(900)
        };
        let (all, city) = (Fixes::from(fixes), City::default());
        let mut timeline = Timeline::new(&all, &hour, &city, None);
        let outcome = timeline.outcome(slot::at(START)).unwrap();
        assert!(
            outcome.context.1 > nowhere(10).time,
            "{:?}",
            outcome.context
        );
    }

    #[test]
    fn a_fix_of_a_stop_is_counted_once_whatever_the_windows_are() {
        let fixes: Vec<Fix> = (0..240).map(|n| fix(30.0 * n as f64, 0.0, 0.0)).collect();
        for length in [60, 300, 3_600] {
            let all = outcomes(&fixes, length, &City::default());
            let stood: usize = all.iter().flat_map(|o| &o.stops).map(|s| s.fixes).sum();
            assert_eq!(stood, fixes.len(), "windows of {length} s");
        }
    }

    #[test]
    fn every_fix_is_counted_once_whatever_the_windows_are() {
        let mut fixes = drive(895, 5, 6.0);
        fixes.extend_from_within(10..20);
        fixes.push(fix(12.0, 0.0, 80_000.0));
        for length in [60, 300, 3_600] {
            let all = outcomes(&fixes, length, &City::default());
            let counted: usize = all
                .iter()
                .map(|o| o.dropped.duplicate + o.dropped.teleport)
                .sum();
            assert_eq!(counted, 11, "windows of {length} s");
            let drawn: usize = all.iter().flat_map(|o| &o.paths).map(|p| p.fixes).sum();
            assert_eq!(drawn + counted, fixes.len(), "windows of {length} s");
        }
    }
}
