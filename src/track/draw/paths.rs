//! Stretches of line, which windows join and hand out as paths.

use super::quality::Tally;
use crate::track::geo::{self, Place};
use crate::track::model::{Micros, Path, PathKind, Stop, Window};
use crate::track::prepare::{Cleaned, Standing};

/// A piece of line of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    pub kind: PathKind,
    pub start: Micros,
    pub end: Micros,
    pub line: Vec<Place>,
    /// OSRM's confidence, summed up over the metres matched.
    pub confidence: f64,
    pub tally: Tally,
    pub fixes: usize,
    pub reason: Option<String>,
}

impl Stretch {
    /// Whether another goes on where this one ends.
    fn goes_on(&self, next: &Stretch) -> bool {
        self.kind == next.kind
            && self.end == next.start
            && self.line.last() == next.line.first()
            && self.reason == next.reason
    }

    fn join(&mut self, next: Stretch) {
        self.end = next.end;
        self.line.extend_from_slice(&next.line[1..]);
        self.confidence += next.confidence;
        self.tally.add(&next.tally);
        self.fixes += next.fixes;
    }

    /// As it is stored; `None` if nothing is left of it then.
    fn path(self) -> Option<Path> {
        let mut line: Vec<Place> = self.line.iter().map(|place| geo::stored(*place)).collect();
        line.dedup();
        let confidence = self.confidence / self.tally.length.max(1.0);
        (line.len() > 1).then(|| Path {
            kind: self.kind,
            start: self.start,
            end: self.end,
            line,
            confidence: (self.kind == PathKind::Matched).then_some(confidence.clamp(0.0, 1.0)),
            fixes: self.fixes,
            quality: self.tally.quality(self.kind),
            reason: self.reason,
        })
    }
}

/// The paths that stretches make, those that touch joined.
pub fn paths(stretches: Vec<Stretch>) -> Vec<Path> {
    let mut joined: Vec<Stretch> = Vec::new();
    for stretch in stretches {
        match joined.last_mut() {
            Some(last) if last.goes_on(&stretch) => last.join(stretch),
            _ => joined.push(stretch),
        }
    }
    joined.into_iter().filter_map(Stretch::path).collect()
}

/// What a standing leaves in a window.
pub fn stop(standing: &Standing, cleaned: &Cleaned, window: Window) -> Option<Stop> {
    let (start, end) = (
        standing.start.max(window.start),
        standing.end.min(window.end),
    );
    let place = geo::stored(standing.place);
    let count = |until: Micros| cleaned.fixes.partition_point(|f| f.time < until);
    let fixes = count(end.saturating_add(1).min(window.end)).saturating_sub(count(start));
    (start < end).then_some(Stop {
        start,
        end,
        lon: place[0],
        lat: place[1],
        fixes,
    })
}

/// Stops with those joined that only a slot's edge had cut.
pub fn join_stops(stops: Vec<Stop>) -> Vec<Stop> {
    let mut joined: Vec<Stop> = Vec::new();
    for stop in stops {
        match joined.last_mut() {
            Some(last) if last.end == stop.start => {
                // The place of the longer part stands for both.
                if stop.end - stop.start > last.end - last.start {
                    (last.lon, last.lat) = (stop.lon, stop.lat);
                }
                last.end = stop.end;
                last.fixes += stop.fixes;
            }
            _ => joined.push(stop),
        }
    }
    joined
}
