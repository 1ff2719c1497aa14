//! Stretches of line, which windows join and hand out as paths.

use super::quality::Tally;
use super::simplify::simplify;
use crate::track::geo::{self, Place};
use crate::track::model::{Micros, Path, PathKind, Reason, Stop, Window};
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
    pub reason: Option<Reason>,
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

    /// As it is stored, with the vertices that it needs; `None` if nothing is left of it then.
    fn path(self, tolerance: f64) -> Option<Path> {
        let mut line: Vec<Place> = self.line.iter().map(|place| geo::stored(*place)).collect();
        line.dedup();
        let line = simplify(line, tolerance);
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

/// The paths that stretches make, those that touch joined; their lines may be off by so many metres.
pub fn paths(stretches: Vec<Stretch>, tolerance: f64) -> Vec<Path> {
    let mut joined: Vec<Stretch> = Vec::new();
    for stretch in stretches {
        match joined.last_mut() {
            Some(last) if last.goes_on(&stretch) => last.join(stretch),
            _ => joined.push(stretch),
        }
    }
    (joined.into_iter())
        .filter_map(|stretch| stretch.path(tolerance))
        .collect()
}

/// What a standing leaves in a window, or in the part of it that lies in one slot.
pub fn stop(standing: &Standing, cleaned: &Cleaned, window: Window) -> Option<Stop> {
    let Standing { start, end, place } = standing.within(window)?;
    let place = geo::stored(place);
    let count = |until: Micros| cleaned.fixes.partition_point(|f| f.time < until);
    let fixes = count(end.saturating_add(1).min(window.end)).saturating_sub(count(start));
    Some(Stop {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(kind: PathKind, start: Micros, line: &[Place]) -> Stretch {
        Stretch {
            kind,
            start,
            end: start + 10,
            line: line.to_vec(),
            confidence: 50.0,
            tally: Tally {
                observations: 2,
                matched: 2,
                length: 100.0,
                ..Tally::default()
            },
            fixes: 3,
            reason: None,
        }
    }

    const A: Place = [24.90, 60.20];
    const B: Place = [24.91, 60.20];
    const C: Place = [24.92, 60.20];

    #[test]
    fn stretches_that_go_on_are_one_path() {
        let joined = paths(
            vec![
                stretch(PathKind::Matched, 0, &[A, B]),
                stretch(PathKind::Matched, 10, &[B, C]),
            ],
            0.0,
        );
        assert_eq!(joined.len(), 1);
        assert_eq!((joined[0].start, joined[0].end), (0, 20));
        assert_eq!(joined[0].line, [A, B, C]);
        assert_eq!((joined[0].fixes, joined[0].confidence), (6, Some(0.5)));
    }

    #[test]
    fn another_kind_another_place_or_a_pause_begins_another_path() {
        let first = stretch(PathKind::Matched, 0, &[A, B]);
        for second in [
            stretch(PathKind::Raw, 10, &[B, C]),
            stretch(PathKind::Matched, 10, &[C, B]),
            stretch(PathKind::Matched, 11, &[B, C]),
        ] {
            assert_eq!(paths(vec![first.clone(), second], 0.0).len(), 2);
        }
    }

    #[test]
    fn a_line_that_is_one_place_when_stored_is_none() {
        let near = [A[0] + 1e-7, A[1]];
        assert_eq!(paths(vec![stretch(PathKind::Raw, 0, &[A, near])], 0.0), []);
    }

    #[test]
    fn a_stop_that_an_edge_has_cut_is_one_again() {
        let stop = |start, end, lon| Stop {
            start,
            end,
            lon,
            lat: 60.0,
            fixes: 5,
        };
        let joined = join_stops(vec![
            stop(0, 10, 24.1),
            stop(10, 40, 24.2),
            stop(50, 60, 24.3),
        ]);
        assert_eq!(joined.len(), 2);
        assert_eq!(
            joined[0],
            Stop {
                fixes: 10,
                ..stop(0, 40, 24.2)
            }
        );
    }
}
