//! Asking anew where OSRM went astray.
//!
//! OSRM never turns round between two fixes and drives round the block instead; asked about the
//! two ends alone it is free to. Where it sees no connection it leaves out up to ten fixes as if
//! they were noise; they match if they are asked about alone, or with no bound to detours.

use std::ops::RangeInclusive;

use super::lines::{believable, own_way, time};
use super::road::{ANYWHERE, Asker, Link, Road, Waypoint};
use crate::osrm::MatchError;

/// So many questions about one trace.
const MOST_QUESTIONS: u32 = 40;
/// A link that is longer than the fixes' own way by so many metres, and so many metres a second,
/// may have driven round the block to turn.
const ROUND: f64 = 40.0;
const ROUND_SPEED: f64 = 5.0;
/// Longer gaps are asked about with a bound to detours, in waypoints and metres.
const SHORT_GAP: usize = 12;
const INSIDE: f64 = 300.0;

/// Leaves only believable links in a road, and adds what asking anew finds.
pub fn mend(road: &mut Road, trace: &[Waypoint], asker: &Asker) -> Result<(), MatchError> {
    let mut mender = Mender {
        road,
        trace,
        asker,
        left: MOST_QUESTIONS,
    };
    mender.turn_round()?;
    mender.road.links.retain(|link| believable(link, trace));
    for gap in mender.road.gaps() {
        mender.fill(gap)?;
    }
    for gap in mender.road.gaps() {
        if mender.linked(*gap.start()) && mender.linked(*gap.end()) {
            let bridge = mender.bridge(gap)?;
            mender
                .road
                .add(bridge.into_iter().filter(|link| believable(link, trace)));
        }
    }
    Ok(())
}

struct Mender<'a> {
    road: &'a mut Road,
    trace: &'a [Waypoint],
    asker: &'a Asker<'a>,
    left: u32,
}

impl Mender<'_> {
    /// Replaces links that drive round the block only to turn.
    fn turn_round(&mut self) -> Result<(), MatchError> {
        for i in 0..self.road.links.len() {
            let link = &self.road.links[i];
            let least = ROUND + ROUND_SPEED * time(link, self.trace);
            let shorter = link.distance - least;
            if shorter > own_way(link, self.trace)
                && let Some(bridge) = self.bridge(link.from..=link.to)?
                && bridge.distance < shorter
            {
                self.road.links[i] = bridge;
            }
        }
        Ok(())
    }

    /// Looks for links within a gap.
    fn fill(&mut self, gap: RangeInclusive<usize>) -> Result<(), MatchError> {
        let (from, to) = (*gap.start(), *gap.end());
        let steps = to - from;
        if steps + 1 == self.trace.len() {
            // All of it has been asked about just so.
            return Ok(());
        }
        if (2..=SHORT_GAP).contains(&steps) {
            let mut part = self.trace[gap].to_vec();
            part[0] = self.held(from);
            part[steps] = self.held(to);
            if self.part(from, &part, ANYWHERE)? {
                return Ok(());
            }
        }
        if steps > 2 {
            self.part(from + 1, &self.trace[from + 1..to], INSIDE)?;
        }
        Ok(())
    }

    /// Asks about a part of the trace; whether that gave links.
    fn part(&mut self, offset: usize, part: &[Waypoint], detour: f64) -> Result<bool, MatchError> {
        let found = self.ask(part, detour)?;
        let links: Vec<Link> = found
            .links
            .into_iter()
            .map(|link| link.later(offset))
            .filter(|link| believable(link, self.trace))
            .collect();
        for (i, spot) in found.spots.into_iter().enumerate() {
            if spot.is_some() && !self.linked(i + offset) {
                self.road.spots[i + offset] = spot;
            }
        }
        let any = !links.is_empty();
        self.road.add(links);
        Ok(any)
    }

    /// The shortest road between the spots of two waypoints, whatever the direction at its ends.
    fn bridge(&mut self, gap: RangeInclusive<usize>) -> Result<Option<Link>, MatchError> {
        let (from, to) = (*gap.start(), *gap.end());
        let ends = [from, to].map(|i| {
            let place = self.road.spots[i].map_or(self.trace[i].place, |spot| spot.place);
            self.trace[i].anchored(place)
        });
        let found = self.ask(&ends, ANYWHERE)?.links.into_iter().next();
        Ok(found.map(|link| Link { from, to, ..link }))
    }

    /// An answer, or an empty one where there have been questions enough.
    fn ask(&mut self, part: &[Waypoint], detour: f64) -> Result<Road, MatchError> {
        if self.left == 0 {
            return Ok(Road::default());
        }
        self.left -= 1;
        match self.asker.follow_within(part, detour) {
            Err(MatchError::TimedOut) => {
                // What there is without it will do; the server must not be asked more of this.
                self.left = 0;
                Ok(Road::default())
            }
            found => found,
        }
    }

    /// The waypoint, held to its spot if a link reaches it.
    fn held(&self, i: usize) -> Waypoint {
        let spot = self.road.spots[i].filter(|_| self.linked(i));
        spot.map_or(self.trace[i], |spot| self.trace[i].anchored(spot.place))
    }

    fn linked(&self, i: usize) -> bool {
        self.road
            .links
            .iter()
            .any(|link| link.from == i || link.to == i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::grid::{City, trace};

    fn covered(road: &Road) -> Vec<(usize, usize)> {
        road.links.iter().map(|link| (link.from, link.to)).collect()
    }

    #[test]
    fn a_round_way_is_replaced_by_the_short_one() {
        let trace = trace(&[(0.0, 0.0), (50.0, 0.0), (150.0, 0.0)]);
        let city = City::default();
        let asker = Asker::new(&city);
        let mut road = asker.follow(&trace).unwrap();
        road.links[1].distance += 400.0;
        mend(&mut road, &trace, &asker).unwrap();
        assert!((road.links[1].distance - 100.0).abs() < 1.0);
    }

    #[test]
    fn what_was_left_out_is_asked_about_alone() {
        let places: Vec<(f64, f64)> = (0..8).map(|i| (60.0 * i as f64, 0.0)).collect();
        let trace = trace(&places);
        let city = City::default();
        let asker = Asker::new(&city);
        let mut road = asker.follow(&trace).unwrap();
        road.links.retain(|link| link.from < 2 || link.from > 4);
        mend(&mut road, &trace, &asker).unwrap();
        assert_eq!(
            covered(&road),
            (0..7).map(|i| (i, i + 1)).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_slow_server_leaves_what_there_is() {
        let trace = trace(&[(0.0, 0.0), (60.0, 0.0), (120.0, 0.0), (180.0, 0.0)]);
        let quick = City::default();
        let mut road = Asker::new(&quick).follow(&trace).unwrap();
        road.links.remove(1);
        let slow = City {
            slow_size: 1,
            ..City::default()
        };
        mend(&mut road, &trace, &Asker::new(&slow)).unwrap();
        assert_eq!(covered(&road), [(0, 1), (2, 3)]);
        assert!(slow.asked.borrow().len() < 10);
    }
}
