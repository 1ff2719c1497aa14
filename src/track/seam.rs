//! Where two slots meet.
//!
//! A seam is a place on the road at the first good fix at or after a slot's edge. It is decided by
//! the raw fixes around the edge alone, in a small request of its own, so that the slots on both
//! sides find the same one: the earlier line runs on to it, the later one begins there.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;

use super::ask::{
    Asker, Calibration, Fitted, MatchedLeg, MatchedTrace, Noise, Observation, calibrate, repair,
    side,
};
use super::geo::{self, Place};
use super::model::{Fix, Fixes, Micros, Window, seconds};
use super::prepare::{Prepared, Smoothed, around, clean};
use super::recipe::Recipe;
use super::recipe::ask::{CONTEXT, CONTEXT_SECONDS, LARGEST_RADIUS};
use super::recipe::seam::{CHOICE, LATER, LOOSE, NOT_FINAL};
use super::vehicle::can_travel;
use crate::osrm::{MatchError, Refusal};

/// What happens at the start of a slot.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    pub kind: EdgeKind,
    /// `[from, to)`: the span whose fixes decided it.
    pub context: (Micros, Micros),
    pub refusal: Option<Refusal>,
    /// What was learned of the fixes around it.
    pub noise: Noise,
    /// Of all that decided it.
    pub fingerprint: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EdgeKind {
    /// The line goes on, through this place.
    Seam(Seam),
    /// Nothing joins the two sides.
    Break,
    /// The slot has no fix that could be used: whoever comes from before must look beyond it.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seam {
    pub time: Micros,
    /// Degrees east and north, WGS 84.
    pub place: Place,
    pub on_road: bool,
}

/// The seam that an earlier run ended with, and what it learned of the fixes around. Live work settles one slot of a device
/// after the other, each in a run of its own: where one ends the next begins. What was asked about that edge once need
/// not be asked again as long as all that decided it is the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KnownSeam {
    /// Of all that decided it.
    pub fingerprint: i64,
    pub seam: Seam,
    pub noise: Noise,
}

impl Edge {
    pub fn seam(&self) -> Option<Seam> {
        match self.kind {
            EdgeKind::Seam(seam) => Some(seam),
            EdgeKind::Break | EdgeKind::Nothing => None,
        }
    }

    /// What is kept of it for the next run: where something was refused, or nothing joins, little was asked.
    pub fn to_keep(&self) -> Option<KnownSeam> {
        let seam = self.seam().filter(|_| self.refusal.is_none())?;
        Some(KnownSeam {
            fingerprint: self.fingerprint,
            seam,
            noise: self.noise,
        })
    }

    /// The edge, as yet undecided, as an earlier run decided it; `None` if that was of anything else.
    fn decided(&self, known: &KnownSeam) -> Option<Edge> {
        (self.fingerprint == known.fingerprint).then(|| Edge {
            kind: EdgeKind::Seam(known.seam),
            noise: known.noise,
            ..self.clone()
        })
    }
}

impl Seam {
    /// Whether a line may lead to it from a fix beside it, or away. All of a slot may show the fix that it was made of to
    /// be a wrong one, or taken at another time. It lies on the road, which may be as far from that fix as OSRM looks for one.
    pub fn joins(&self, beside: Option<&Smoothed>) -> bool {
        beside.is_some_and(|p| {
            let apart = geo::distance(self.place, p.place) - 3.0 * LARGEST_RADIUS;
            can_travel(apart, seconds(self.time, p.time))
        })
    }
}

/// Decides the edge at the start of a slot, or has it from an earlier run.
pub fn edge(
    slot: Window,
    fixes: &Fixes,
    recipe: &Recipe,
    asker: &Asker,
    known: Option<&KnownSeam>,
) -> Result<Edge, MatchError> {
    let (near, context) = around_edge(slot.start, fixes, recipe.max_gap);
    let side = side(asker.size());
    let mut edge = Edge {
        kind: EdgeKind::Break,
        context,
        refusal: None,
        noise: Noise::default(),
        fingerprint: fingerprint(slot, near, recipe, side, asker.roads()),
    };
    if let Some(decided) = known.and_then(|known| edge.decided(known)) {
        return Ok(decided);
    }
    if !clean(near, recipe).fixes.iter().any(|f| slot.holds(f.time)) {
        if context.1 >= slot.end {
            edge.kind = EdgeKind::Nothing;
        }
        return Ok(edge);
    }
    let across = |prepared: &Prepared| {
        let segment = prepared.segments.iter().find(|segment| {
            segment[0].time < slot.start && segment[segment.len() - 1].time >= slot.start
        })?;
        let first = segment.partition_point(|p| p.time < slot.start);
        slot.holds(segment[first].time)
            .then(|| around(segment, first, side))
    };
    if let Some(mut calibration) = calibrate(near, recipe, asker, &across)? {
        mend(&mut calibration, asker)?;
        edge.kind = EdgeKind::Seam(choose(&calibration, slot));
        edge.noise = calibration.noise;
        edge.refusal = calibration.fitted.and_then(|f| f.matched.refusal);
    }
    Ok(edge)
}

/// What stands for all that decides the edge at the start of a slot: the fixes `near` it, the recipe, this version
/// of the project, how many fixes to each side a request holds, and what roads are asked about.
fn fingerprint(slot: Window, near: &[Fix], recipe: &Recipe, side: usize, roads: u64) -> i64 {
    let mut hasher = DefaultHasher::new();
    let number = |value: Option<f64>| value.map(f64::to_bits);
    for f in near {
        let sensors = [f.accuracy, f.course, f.speed].map(number);
        (f.time, f.lon.to_bits(), f.lat.to_bits(), sensors).hash(&mut hasher);
    }
    let version = env!("CARGO_PKG_VERSION");
    (slot.start, near.len(), side, roads, version).hash(&mut hasher);
    format!("{recipe:?}").hash(&mut hasher);
    hasher.finish().cast_signed()
}

/// The fixes that decide an edge, and the span `[from, to)` that no other fix may join without a
/// say.
fn around_edge(edge: Micros, fixes: &Fixes, max_gap: Micros) -> (&[Fix], (Micros, Micros)) {
    let all = fixes.all();
    let at = all.partition_point(|f| f.time < edge);
    let (before, from) = walk(all[..at].iter().rev(), edge, max_gap);
    let (after, to) = walk(all[at..].iter(), edge, max_gap);
    let from = from.unwrap_or(edge.saturating_sub(max_gap));
    let to = to.map_or(edge.saturating_add(max_gap), |t| t.saturating_add(1));
    (&all[at - before..at + after], (from, to))
}

/// How many fixes outward from an edge belong to its context, and the time of the last of them if
/// they are enough.
fn walk<'a>(
    fixes: impl Iterator<Item = &'a Fix>,
    edge: Micros,
    max_gap: Micros,
) -> (usize, Option<Micros>) {
    let (mut count, mut distinct, mut last) = (0, 0, None);
    for fix in fixes {
        let away = fix.time.saturating_sub(edge).saturating_abs();
        // `[edge - max_gap, edge + max_gap)`
        if away > max_gap || (away == max_gap && fix.time > edge) {
            break;
        }
        count += 1;
        if last != Some(fix.second()) {
            last = Some(fix.second());
            distinct += 1;
        }
        if away >= CONTEXT && distinct >= CONTEXT_SECONDS {
            return (count, Some(fix.time));
        }
    }
    (count, None)
}

/// Asks anew where OSRM went astray beside the fixes that the seam is chosen of, as it is asked for a slot's line: a wrong
/// road there would lead both slots away.
fn mend(calibration: &mut Calibration, asker: &Asker) -> Result<(), MatchError> {
    let Some(fitted) = &mut calibration.fitted else {
        return Ok(());
    };
    let at = calibration.at;
    let beside = |from: usize, to: usize| from < at + CHOICE && to >= at;
    let is_gap = |gap: &RangeInclusive<usize>| beside(*gap.start(), *gap.end());
    let astray = |leg: &MatchedLeg| beside(leg.from, leg.to) && !leg.is_believable(&fitted.trace);
    if fitted.matched.gaps().iter().any(is_gap) || fitted.matched.legs.iter().any(astray) {
        repair(fitted, &calibration.near.all, asker)?;
    }
    Ok(())
}

/// The seam: the cheapest of the first fixes of the slot that lie on the road, or the first one.
fn choose(calibration: &Calibration, slot: Window) -> Seam {
    let Calibration { at, fitted, .. } = calibration;
    let near = &calibration.near.kept;
    let off_road = Seam {
        time: near[*at].time,
        place: near[*at].place,
        on_road: false,
    };
    let Some(Fitted { trace, matched, .. }) = fitted else {
        return off_road;
    };
    (*at..near.len().min(at + CHOICE))
        .filter(|i| slot.holds(near[*i].time))
        .filter_map(|i| Some((cost(i, i - at, matched, trace)?, i)))
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .and_then(|(_, i)| {
            Some(Seam {
                time: near[i].time,
                place: matched.snaps[i]?.place,
                on_road: true,
            })
        })
        .unwrap_or(off_road)
}

/// How little the place of an observation suits as a seam, in metres; `None`: not at all.
fn cost(i: usize, later: usize, matched: &MatchedTrace, trace: &[Observation]) -> Option<f64> {
    let snap = matched.snaps[i]?;
    let good = |end: &dyn Fn(&MatchedLeg) -> bool| {
        let mut legs = matched.legs.iter();
        legs.any(|leg| end(leg) && leg.is_believable(trace))
    };
    let (left, right) = (good(&|leg| leg.to == i), good(&|leg| leg.from == i));
    if !left && !right {
        return None;
    }
    let penalty = |bad: bool, metres: f64| if bad { metres } else { 0.0 };
    Some(
        geo::distance(snap.place, trace[i].place)
            + LATER * later as f64
            + penalty(!snap.is_final, NOT_FINAL)
            + penalty(!left, LOOSE)
            + penalty(!right, LOOSE),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::osrm::{MatchAnswer, MatchRequest, Matcher};
    use crate::track::model::SECOND;
    use crate::track::recipe::slot::LENGTH;
    use crate::track::slot;
    use crate::track::tests::city::{City, START, drive, fix, recipe};

    const EDGE: i64 = LENGTH / SECOND;

    /// The edge of the second slot after the start.
    fn at_edge(fixes: Vec<Fix>) -> Edge {
        let city = City::default();
        let slot = slot::at(START + LENGTH);
        let recipe = Recipe {
            max_gap: LENGTH,
            ..recipe(300)
        };
        edge(slot, &fixes.into(), &recipe, &Asker::new(&city), None).unwrap()
    }

    #[test]
    fn a_line_that_goes_on_has_its_seam_on_the_road_after_the_edge() {
        let seam = at_edge(drive(2 * EDGE, 5, 6.0)).seam().unwrap();
        assert!(seam.on_road);
        assert!((EDGE..EDGE + 30).contains(&((seam.time - START) / SECOND)));
        // 9 km along the drive's streets: 4.5 km to the east, 4.5 km to the north.
        let corner = fix(0.0, 4_500.0, 4_500.0).place();
        assert!(geo::distance(seam.place, corner) < 150.0);
    }

    #[test]
    fn where_a_leg_beside_the_edge_goes_astray_it_is_asked_anew() {
        /// Goes astray on the way to a place, wherever it is asked about more than a few points.
        struct Astray(City, Place);
        impl Matcher for Astray {
            fn ask(&self, request: &MatchRequest) -> Result<MatchAnswer, MatchError> {
                let mut answer = self.0.ask(request)?;
                let legs = &mut answer.matchings[0].legs;
                let many = legs.len() > 3;
                let leads_there = |line: &[Place]| {
                    geo::distance(line[0], self.1) > 1.0
                        && geo::distance_to_line(self.1, line) < 1.0
                };
                for leg in legs.iter_mut().filter(|leg| many && leads_there(&leg.line)) {
                    leg.line.insert(1, [leg.line[0][0], leg.line[0][1] + 0.01]);
                    leg.distance = geo::length(&leg.line);
                }
                Ok(answer)
            }
            fn max_size(&self) -> usize {
                self.0.max_size()
            }
        }
        let fixes = drive(2 * EDGE, 5, 6.0);
        let expected = at_edge(fixes.clone()).seam().unwrap();
        let astray = Astray(City::default(), expected.place);
        let (slot, recipe) = (slot::at(START + LENGTH), recipe(300));
        let edge = edge(slot, &fixes.into(), &recipe, &Asker::new(&astray), None).unwrap();
        assert_eq!(edge.seam(), Some(expected));
    }

    #[test]
    fn fixes_beyond_the_context_have_no_say() {
        let fixes = drive(4 * EDGE, 5, 6.0);
        let edge = at_edge(fixes.clone());
        let (from, to) = edge.context;
        let near = fixes.into_iter().filter(|f| from <= f.time && f.time < to);
        assert_eq!(at_edge(near.collect()), edge);
        assert!(to - from < 260 * SECOND);
    }

    #[test]
    fn a_silence_before_the_edge_is_a_break() {
        let mut fixes = drive(3 * EDGE, 5, 0.0);
        fixes.retain(|f| f.time == START - SECOND || f.time > START + LENGTH + 20 * SECOND);
        assert_eq!(at_edge(fixes).kind, EdgeKind::Break);
    }

    #[test]
    fn a_slot_without_a_usable_fix_is_passed_over() {
        let mut fixes = drive(4 * EDGE, 120, 0.0);
        let slot = slot::at(START + LENGTH);
        for f in fixes.iter_mut().filter(|f| slot.holds(f.time)) {
            (f.lon, f.lat) = (0.0, 0.0);
        }
        assert_eq!(at_edge(fixes).kind, EdgeKind::Nothing);
    }
}
