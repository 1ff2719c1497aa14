//! One road for a whole trace, in requests that the server takes.
//!
//! A trace longer than a request is matched from its beginning. The next request starts where the
//! engine itself calls the match final, at the very spot, so that nothing shows where they meet.

use std::cell::Cell;
use std::ops::RangeInclusive;

use super::Micros;
use super::geo::{self, Place};
use crate::osrm::{
    MatchAnswer, MatchError, MatchRequest, Matcher, Refusal, RequestPoint, Tracepoint,
};

/// Larger requests gain nothing.
const LARGEST: usize = 90;
/// A request that timed out is cut in two, its radius made smaller and its bound to detours
/// tighter, so often.
const SHRINKS: u32 = 3;
const SHRINK: f64 = 0.6;
const SHRINK_DETOUR: f64 = 0.25;
/// An anchor is a spot on the road already: OSRM need not look any farther, in metres.
pub const ANCHOR: f64 = 2.0;

/// What OSRM allows the road between two fixes to be longer than the straight way: so many metres,
/// and so many times the usual step. A wider bound finds more and costs more.
const DETOUR: f64 = 150.0;
const DETOUR_STEPS: f64 = 1.0;
/// In OSRM's profile for cars it costs 3,277 s to turn into a street that is for residents only,
/// and its matcher reckons with 4 m/s: a bound of this many metres lets it in.
pub const ANYWHERE: f64 = 13_500.0;
/// OSRM takes its bound from the median step in time, at this speed in m/s.
const SPEED: f64 = 50.0;

/// A place of the trace to be matched, and how far around it OSRM may look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Waypoint {
    pub time: Micros,
    pub place: Place,
    pub radius: f64,
}

/// Where a waypoint lies on the road.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spot {
    pub place: Place,
    /// The engine holds the match up to here for final.
    pub settled: bool,
}

/// The road from one waypoint to a later one.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    pub from: usize,
    pub to: usize,
    pub line: Vec<Place>,
    pub distance: f64,
    pub confidence: f64,
}

/// What the road network has to say to a trace.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Road {
    /// One entry a waypoint.
    pub spots: Vec<Option<Spot>>,
    /// Ascending, without overlap.
    pub links: Vec<Link>,
    /// The first refusal, if there was one.
    pub refusal: Option<Refusal>,
}

/// Asks OSRM and counts.
pub struct Asker<'a> {
    matcher: &'a dyn Matcher,
    calls: Cell<u32>,
}

impl<'a> Asker<'a> {
    pub fn new(matcher: &'a dyn Matcher) -> Self {
        Asker {
            matcher,
            calls: Cell::new(0),
        }
    }

    /// Requests since the last time this was asked.
    pub fn take_calls(&self) -> u32 {
        self.calls.take()
    }

    /// The most points that a request may hold now.
    pub fn size(&self) -> usize {
        self.matcher.max_size().clamp(2, LARGEST)
    }

    /// The road along a trace of any length.
    pub fn follow(&self, trace: &[Waypoint]) -> Result<Road, MatchError> {
        let mut steps: Vec<f64> = trace
            .windows(2)
            .map(|w| geo::distance(w[0].place, w[1].place))
            .collect();
        let median = median(&mut steps).unwrap_or(0.0);
        self.follow_within(trace, DETOUR + DETOUR_STEPS * median)
    }

    /// The same, with a bound in metres to what the road between two fixes may be longer than the
    /// straight way.
    pub fn follow_within(&self, trace: &[Waypoint], detour: f64) -> Result<Road, MatchError> {
        let mut road = Road {
            spots: vec![None; trace.len()],
            ..Road::default()
        };
        let (mut from, mut size) = (0, LARGEST);
        let mut anchor: Option<Place> = None;
        while from + 1 < trace.len() {
            size = size.min(self.size());
            let to = (from + size).min(trace.len());
            let mut part = trace[from..to].to_vec();
            if let Some(place) = anchor {
                part[0] = part[0].anchored(place);
            }
            let found = match self.ask(&part, detour, SHRINKS) {
                Err(MatchError::TooBig) if part.len() > 2 => {
                    // The client has lowered the limit; were it not so, halving finds it too.
                    size = (part.len() / 2).max(2);
                    continue;
                }
                Err(MatchError::TooBig) => {
                    let text = "a server that refuses two points as too many";
                    return Err(MatchError::Unavailable(text.to_owned()));
                }
                found => found?,
            };
            let cut = if to == trace.len() {
                part.len() - 1
            } else {
                cut(&found.spots)
            };
            anchor = found.spots[cut].map(|spot| spot.place);
            road.take(found, from, cut);
            from += cut;
        }
        Ok(road)
    }

    /// One request, or several smaller ones where the server took too long.
    fn ask(&self, trace: &[Waypoint], detour: f64, shrinks: u32) -> Result<Road, MatchError> {
        self.calls.set(self.calls.get().saturating_add(1));
        match self.matcher.ask(&request(trace, detour)) {
            Ok(answer) => read(answer, trace.len()),
            Err(MatchError::Refused(refusal)) => Ok(Road {
                spots: vec![None; trace.len()],
                links: Vec::new(),
                refusal: Some(refusal),
            }),
            Err(MatchError::TimedOut) if shrinks > 0 => {
                self.shrink(trace, detour * SHRINK_DETOUR, shrinks - 1)
            }
            Err(error) => Err(error),
        }
    }

    fn shrink(&self, trace: &[Waypoint], detour: f64, shrinks: u32) -> Result<Road, MatchError> {
        let smaller: Vec<Waypoint> = trace
            .iter()
            .map(|w| Waypoint {
                radius: w.radius * SHRINK,
                ..*w
            })
            .collect();
        let middle = smaller.len() / 2;
        if smaller.len() < 3 {
            return self.ask(&smaller, detour, shrinks);
        }
        let mut road = Road {
            spots: vec![None; smaller.len()],
            ..Road::default()
        };
        let first = self.ask(&smaller[..=middle], detour, shrinks)?;
        let mut rest = smaller[middle..].to_vec();
        if let Some(spot) = first.spots[middle] {
            rest[0] = rest[0].anchored(spot.place);
        }
        road.take(first, 0, middle);
        let last = rest.len() - 1;
        road.take(self.ask(&rest, detour, shrinks)?, middle, last);
        Ok(road)
    }
}

impl Waypoint {
    /// The same instant, held to a spot on the road.
    pub fn anchored(self, place: Place) -> Waypoint {
        Waypoint {
            place,
            radius: ANCHOR,
            ..self
        }
    }
}

impl Link {
    /// The same between waypoints so much farther on.
    pub fn later(self, by: usize) -> Link {
        Link {
            from: self.from + by,
            to: self.to + by,
            ..self
        }
    }
}

impl Road {
    /// From waypoint to waypoint where no link leads.
    pub fn gaps(&self) -> Vec<RangeInclusive<usize>> {
        let end = self.spots.len().saturating_sub(1);
        let links = self.links.iter().map(|link| (link.from, link.to));
        let (mut gaps, mut from) = (Vec::new(), 0);
        for (start, stop) in links.chain([(end, end)]) {
            if from < start {
                gaps.push(from..=start);
            }
            from = stop;
        }
        gaps
    }

    /// Adds links where there were none.
    pub fn add(&mut self, links: impl IntoIterator<Item = Link>) {
        self.links.extend(links);
        self.links.sort_by_key(|link| link.from);
    }

    /// Puts what another road says of the waypoints `from..=to` in the place of what this one says.
    pub fn replace(&mut self, from: usize, to: usize, other: Road) {
        self.links.retain(|l| l.to <= from || to <= l.from);
        let last = self.spots.len() - 1;
        for (i, spot) in (from..=to).zip(other.spots) {
            let here = &mut self.spots[i];
            let meets = (i == from && i > 0) || (i == to && i < last);
            *here = here.filter(|_| meets).or(spot);
        }
        self.add(other.links.into_iter().map(|link| link.later(from)));
    }

    /// Takes over what another road, which begins at `offset`, says up to its waypoint `end`.
    fn take(&mut self, other: Road, offset: usize, end: usize) {
        for (i, spot) in other.spots.into_iter().enumerate().take(end + 1) {
            // Where two meet the earlier one has spoken.
            let here = &mut self.spots[offset + i];
            *here = here.or(spot);
        }
        let links = other.links.into_iter().filter(|link| link.to <= end);
        self.links.extend(links.map(|link| link.later(offset)));
        self.refusal = self.refusal.take().or(other.refusal);
    }
}

/// The middle one of some values.
pub fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Where to end a request that is not the last: late, but not so late that what comes after could
/// still change it.
fn cut(spots: &[Option<Spot>]) -> usize {
    let last = spots.len() - 1;
    let overlap = (spots.len() / 4).clamp(1, 12);
    let latest = (last - overlap.min(last - 1)).max(1);
    let earliest = (last / 2).clamp(1, latest);
    let found = |good: &dyn Fn(&Spot) -> bool| {
        (earliest..=latest)
            .rev()
            .find(|i| spots[*i].as_ref().is_some_and(good))
    };
    found(&|spot| spot.settled)
        .or_else(|| found(&|_| true))
        .unwrap_or(latest)
}

/// The times in a request are not those of the fixes: OSRM makes nothing of them but the bound to
/// detours, which with the true ones is too narrow for dense fixes and costs too much with others.
fn request(trace: &[Waypoint], detour: f64) -> MatchRequest {
    let step = (detour / SPEED).ceil().clamp(1.0, 600.0) as i64;
    let points = trace.iter().enumerate().map(|(i, w)| RequestPoint {
        lon: w.place[0],
        lat: w.place[1],
        time: i as i64 * step,
        radius: w.radius,
    });
    MatchRequest {
        points: points.collect(),
    }
}

/// The answer to a request of `len` points.
fn read(answer: MatchAnswer, len: usize) -> Result<Road, MatchError> {
    if answer.tracepoints.len() != len {
        let text = "an answer to another number of points than were asked";
        return Err(MatchError::Unavailable(text.to_owned()));
    }
    let mut road = Road {
        spots: vec![None; len],
        ..Road::default()
    };
    let mut matchings: Vec<_> = answer
        .matchings
        .into_iter()
        .map(|m| (None::<usize>, m.confidence, m.legs.into_iter()))
        .collect();
    for (i, tracepoint) in answer.tracepoints.iter().enumerate() {
        let Some(Tracepoint {
            location,
            matching,
            alternatives,
            ..
        }) = *tracepoint
        else {
            continue;
        };
        road.spots[i] = Some(Spot {
            place: location,
            settled: alternatives == 0,
        });
        let Some((last, confidence, legs)) = matchings.get_mut(matching) else {
            continue;
        };
        if let Some(from) = last.replace(i)
            && let Some(leg) = legs.next()
        {
            let link = Link {
                from,
                to: i,
                line: leg.line,
                distance: leg.distance,
                confidence: *confidence,
            };
            // Matchings do not overlap; one that does is not believed.
            if road.links.last().is_none_or(|before| before.to <= from) {
                road.links.push(link);
            }
        }
    }
    Ok(road)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::grid::{City, fix};

    fn trace(count: usize) -> Vec<Waypoint> {
        (0..count)
            .map(|i| {
                let f = fix(i as f64, 20.0 * i as f64, 2.0);
                Waypoint {
                    time: f.time,
                    place: f.place(),
                    radius: 5.0,
                }
            })
            .collect()
    }

    #[test]
    fn a_long_trace_is_one_road() {
        let city = City::default();
        let road = Asker::new(&city).follow(&trace(400)).unwrap();
        assert!(city.asked.borrow().len() > 4);
        assert!(
            road.links
                .windows(2)
                .all(|w| { w[0].to == w[1].from && w[0].line.last() == w[1].line.first() })
        );
        assert_eq!(
            (road.links[0].from, road.links[road.links.len() - 1].to),
            (0, 399)
        );
    }

    #[test]
    fn a_request_is_cut_where_the_match_is_final() {
        let spot = |settled| {
            Some(Spot {
                place: [24.9, 60.2],
                settled,
            })
        };
        let mut spots = vec![spot(false); 40];
        assert_eq!(cut(&spots), 29);
        spots[24] = spot(true);
        assert_eq!(cut(&spots), 24);
        assert_eq!(cut(&[None; 40]), 29);
        assert_eq!(cut(&[None; 2]), 1);
    }

    #[test]
    fn an_answer_to_another_question_is_not_believed() {
        let answer = MatchAnswer {
            matchings: vec![],
            tracepoints: vec![None],
        };
        assert!(matches!(read(answer, 2), Err(MatchError::Unavailable(_))));
    }

    #[test]
    fn a_slow_request_is_asked_in_halves() {
        let city = City {
            slow_size: 30,
            ..City::default()
        };
        let road = Asker::new(&city).follow(&trace(80)).unwrap();
        assert_eq!(road.links.len(), 79);
        let hopeless = City {
            slow_size: 1,
            ..City::default()
        };
        assert_eq!(
            Asker::new(&hopeless).follow(&trace(80)),
            Err(MatchError::TimedOut)
        );
    }
}
