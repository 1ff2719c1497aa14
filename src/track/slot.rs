//! One slot, from its raw fixes to stretches of line and standings.
//!
//! A slot is fifteen minutes of a device, whatever the length of a window is: windows are slices of
//! slots or unions of them, so that their length does not show in the line.

use super::ask::{
    Anchors, Asker, Fitted, Noise, calibrate, choose_answer, find_unmapped, first_radius, fit,
    repair, side, widen,
};
use super::draw::{self, Fixed, Stretch};
use super::geo;
use super::model::{Fixes, Micros, SECOND, Window};
use super::prepare::{
    self, Cleaned, Nearby, Prepared, Smoothed, Standing, Thinned, around, prepare, stays,
};
use super::recipe::Recipe;
use super::recipe::ask::CLEAN;
use super::recipe::draw::{CLEAN_SPIKE, DEEPEST_SPIKE, SPIKE};
use super::recipe::prepare::{CLEAN_SPACING, CLEAN_TIP, SHORTEST, SPACING};
use super::recipe::slot::LENGTH;
use super::seam::{Edge, EdgeKind, Seam};
use crate::osrm::{MatchError, Refusal};

/// The slot that holds an instant.
pub fn at(time: Micros) -> Window {
    let start = time.div_euclid(LENGTH).saturating_mul(LENGTH);
    Window {
        start,
        end: start.saturating_add(LENGTH),
    }
}

/// The two ends of a slot.
pub struct Ends {
    pub start: Edge,
    /// Where its line ends, if it runs on to anything.
    pub end: Option<Edge>,
    /// How far the fixes reach that decided the end.
    pub reach: Micros,
}

impl Ends {
    /// What was learned of the fixes around them.
    fn noise(&self) -> Noise {
        let end = self.end.as_ref().map(|edge| edge.noise);
        end.map_or(self.start.noise, |noise| self.start.noise.or_worse(noise))
    }
}

/// All that becomes of one slot: a pure function of the fixes in its context.
#[derive(Debug, Clone)]
pub struct MatchedSlot {
    /// Ascending; each begins in the slot.
    pub stretches: Vec<Stretch>,
    /// Clipped to the slot.
    pub standings: Vec<Standing>,
    pub cleaned: Cleaned,
    /// `[from, to)`: the span whose fixes decided all this.
    pub context: (Micros, Micros),
    pub refusal: Option<Refusal>,
}

/// Matches what lies between the two ends.
pub fn match_slot(
    slot: Window,
    ends: &Ends,
    fixes: &Fixes,
    recipe: &Recipe,
    asker: &Asker,
) -> Result<MatchedSlot, MatchError> {
    let context = (ends.start.context.0, ends.reach.max(ends.start.context.1));
    let span = fixes.between(context.0, context.1);
    let mut noise = ends.noise();
    if noise.radius == 0.0 {
        // No edge has told how noisy the fixes are.
        let middle = |prepared: &Prepared| middle(prepared, slot, asker.size());
        if let Some(calibration) = calibrate(span, recipe, asker, &middle)? {
            noise = calibration.noise;
        }
    }
    let prepared = prepare(span, recipe, noise.hidden);
    let moving = prepared.moving();
    let (mut stretches, mut refusal) = (Vec::new(), None);
    for segment in &prepared.segments {
        if prepared.is_sighting(segment) {
            continue;
        }
        let piece = Piece::cut(segment, slot, ends).filter(|piece| !piece.stands());
        let Some(piece) = piece else { continue };
        if let Some(fitted) = piece.ask(noise, asker)? {
            stretches.extend(piece.draw(&fitted, noise, slot, recipe, &moving));
            refusal = refusal.or(fitted.matched.refusal);
        }
    }
    if ends.start.kind == EdgeKind::Nothing {
        // The slot before runs on beyond this one.
        stretches.clear();
    }
    // The line of the slot before runs on to the seam: nobody stands there until then, whatever later fixes make of it.
    let standing = Window {
        start: ends.start.seam().map_or(slot.start, |seam| seam.time),
        ..slot
    };
    Ok(MatchedSlot {
        stretches,
        standings: prepared.standings_in(standing),
        cleaned: prepared.cleaned,
        context,
        refusal: refusal.or(ends.start.refusal.clone()),
    })
}

/// A few fixes from the middle of the longest segment of driving in the slot.
fn middle(prepared: &Prepared, slot: Window, size: usize) -> Option<Nearby> {
    let inside = |segment: &[Smoothed]| {
        let from = segment.partition_point(|p| p.time < slot.start);
        let to = segment.partition_point(|p| p.time < slot.end);
        (from, to)
    };
    let longest = prepared.segments.iter().max_by_key(|segment| {
        let (from, to) = inside(segment);
        to - from
    })?;
    let (from, to) = inside(longest);
    (to - from > 1).then(|| around(longest, (from + to) / 2, side(size)))
}

/// What one slot draws of one segment of driving.
struct Piece {
    points: Vec<Smoothed>,
    start: Option<Seam>,
    end: Option<Seam>,
}

impl Piece {
    fn cut(segment: &[Smoothed], slot: Window, ends: &Ends) -> Option<Piece> {
        let (first, last) = (segment[0].time, segment[segment.len() - 1].time);
        // Nothing else in the second of a seam.
        let second = |time: Micros| time.div_euclid(SECOND);
        let seam = ends.start.seam();
        let start = seam.filter(|seam| {
            let after = segment.partition_point(|p| second(p.time) <= second(seam.time));
            first <= seam.time && seam.joins(segment.get(after))
        });
        let end = ends.end.as_ref().and_then(Edge::seam).filter(|seam| {
            let before = segment.partition_point(|p| second(p.time) < second(seam.time));
            first < slot.end && seam.time <= last && seam.joins(segment[..before].last())
        });
        let inside = |p: &&Smoothed| {
            let after = seam.map_or(p.time >= slot.start, |s| second(p.time) > second(s.time));
            let before = end.map_or(p.time < slot.end, |s| second(p.time) < second(s.time));
            after && before
        };
        let anchor = |seam: Seam| Smoothed {
            time: seam.time,
            place: seam.place,
            deviation: None,
            course: None,
        };
        let mut points: Vec<Smoothed> = start.map(anchor).into_iter().collect();
        points.extend(segment.iter().filter(inside));
        points.extend(end.map(anchor));
        let here = points.first().is_some_and(|p| slot.holds(p.time));
        (here && points.len() > 1).then_some(Piece { points, start, end })
    }

    /// Whether it may be noise alone: a vehicle that has just begun to stand, as far as the context
    /// tells.
    fn stands(&self) -> bool {
        let on_road = |seam: Option<Seam>| seam.is_some_and(|seam| seam.on_road);
        !on_road(self.start) && !on_road(self.end) && stays(&self.points)
    }

    /// Thins the piece, asks about it, and asks anew where that went astray; `None` where there is
    /// nothing to draw.
    fn ask(&self, noise: Noise, asker: &Asker) -> Result<Option<Fitted>, MatchError> {
        let thinned = self.thin(noise);
        if geo::length(&thinned.kept.iter().map(|p| p.place).collect::<Vec<_>>()) < SHORTEST {
            return Ok(None);
        }
        let on_road = |seam: Option<Seam>| seam.is_some_and(|seam| seam.on_road);
        let anchors = Anchors {
            first: on_road(self.start),
            last: on_road(self.end),
        };
        let radius = noise.radius.max(first_radius(&thinned.kept));
        let mut fitted = fit(&thinned, anchors, radius, asker)?;
        widen(&mut fitted, &self.points, asker)?;
        choose_answer(&mut fitted, &self.points, anchors, asker)?;
        repair(&mut fitted, &self.points, asker)?;
        find_unmapped(&mut fitted, asker)?;
        Ok(Some(fitted))
    }

    fn thin(&self, noise: Noise) -> Thinned {
        // Fixes without noise show every turn: nothing of it may be lost.
        let (spacing, tip) = if is_clean(noise) {
            (CLEAN_SPACING, CLEAN_TIP)
        } else {
            (SPACING, f64::INFINITY)
        };
        prepare::thin(&self.points, spacing, tip)
    }

    fn draw(
        &self,
        fitted: &Fitted,
        noise: Noise,
        slot: Window,
        recipe: &Recipe,
        moving: &[Micros],
    ) -> Vec<Stretch> {
        let fixed = Fixed {
            first: self.start.map(|seam| seam.place),
            last: self.end.map(|seam| seam.place),
        };
        let spike = if is_clean(noise) {
            CLEAN_SPIKE
        } else {
            (SPIKE * fitted.radius).min(DEEPEST_SPIKE)
        };
        draw::draw(fitted, fixed, spike, slot, recipe, moving)
    }
}

fn is_clean(noise: Noise) -> bool {
    noise.radius > 0.0 && noise.off_road < CLEAN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::seam;
    use crate::track::tests::city::{City, START, drive, fix, recipe};

    const SECONDS: i64 = LENGTH / SECOND;

    /// The second slot after the start.
    fn second_slot(fixes: Fixes) -> (Ends, MatchedSlot) {
        let (city, recipe) = (City::default(), recipe(300));
        let (asker, slot) = (Asker::new(&city), at(START + LENGTH));
        let edge = |slot| seam::edge(slot, &fixes, &recipe, &asker, None).unwrap();
        let (start, end) = (edge(slot), edge(at(slot.end)));
        let ends = Ends {
            start,
            reach: end.context.1,
            end: Some(end),
        };
        let matched = match_slot(slot, &ends, &fixes, &recipe, &asker).unwrap();
        (ends, matched)
    }

    #[test]
    fn a_slot_is_drawn_from_seam_to_seam() {
        let (ends, slot) = second_slot(drive(3 * SECONDS, 5, 6.0).into());
        let (first, last) = (
            &slot.stretches[0],
            &slot.stretches[slot.stretches.len() - 1],
        );
        let (start, end) = (
            ends.start.seam().unwrap(),
            ends.end.unwrap().seam().unwrap(),
        );
        assert_eq!((first.start, first.line[0]), (start.time, start.place));
        assert_eq!((last.end, last.line.last()), (end.time, Some(&end.place)));
        assert!(slot.context.0 <= ends.start.context.0 && ends.reach <= slot.context.1);
    }

    #[test]
    fn a_stop_is_clipped_to_its_slot() {
        let mut fixes = drive(SECONDS - 100, 5, 2.0);
        let there = fixes[fixes.len() - 1];
        let parked = (SECONDS - 95..3 * SECONDS)
            .step_by(5)
            .map(|s| fix(s as f64, 0.0, 0.0).time);
        fixes.extend(parked.map(|time| crate::track::Fix { time, ..there }));
        let (_, slot) = second_slot(fixes.into());
        assert!(slot.stretches.is_empty());
        let stop = slot.standings[0];
        assert_eq!((stop.start, stop.end), (START + LENGTH, START + 2 * LENGTH));
    }
}
