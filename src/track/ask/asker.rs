//! One match for a whole trace, in requests that the server takes.
//!
//! A trace longer than a request is matched from its beginning. The next request starts where the
//! engine itself calls the match final, at that very place, so that nothing shows where they meet.

use std::cell::Cell;

use super::matched::{MatchedLeg, MatchedTrace, Observation, Snap};
use crate::osrm::{MatchAnswer, MatchError, MatchRequest, Matcher, RequestPoint, Tracepoint};
use crate::track::geo::{self, Place};
use crate::track::median;
use crate::track::recipe::ask::{
    BOUND_SPEED, BOUND_STEPS, ELSEWHERE, LARGEST, LONGEST_STEP, OVERLAP, SHRINK, SHRINK_DETOUR,
    SHRINKS,
};

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

    /// What stands for the roads that are asked about.
    pub fn roads(&self) -> u64 {
        self.matcher.roads()
    }

    /// The match of a trace of any length. The road between two fixes may be longer than the straight way
    /// by some metres and what the usual step allows.
    pub fn follow(&self, trace: &[Observation], slack: f64) -> Result<MatchedTrace, MatchError> {
        let mut steps: Vec<f64> = trace
            .windows(2)
            .map(|w| geo::distance(w[0].place, w[1].place))
            .collect();
        let median = median(&mut steps).unwrap_or(0.0);
        self.follow_within(trace, slack + BOUND_STEPS * median)
    }

    /// The same, with a bound in metres to what the road between two fixes may be longer than the
    /// straight way.
    pub fn follow_within(
        &self,
        trace: &[Observation],
        bound: f64,
    ) -> Result<MatchedTrace, MatchError> {
        let mut matched = MatchedTrace::unknown(trace.len());
        let (mut from, mut size) = (0, LARGEST);
        let mut anchor: Option<Place> = None;
        while from + 1 < trace.len() {
            size = size.min(self.size());
            let to = (from + size).min(trace.len());
            let mut part = trace[from..to].to_vec();
            if let Some(place) = anchor {
                part[0] = part[0].anchored(place);
            }
            let found = match self.ask(&part, bound, SHRINKS) {
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
                cut(&found.snaps)
            };
            anchor = found.snaps[cut].map(|snap| snap.place);
            matched.append(found, from, cut);
            from += cut;
        }
        Ok(matched)
    }

    /// One request, or several smaller ones where the server took too long.
    fn ask(
        &self,
        trace: &[Observation],
        bound: f64,
        shrinks: u32,
    ) -> Result<MatchedTrace, MatchError> {
        self.calls.set(self.calls.get().saturating_add(1));
        match self.matcher.ask(&request(trace, bound)) {
            Ok(answer) => read(answer, trace),
            Err(MatchError::Refused(refusal)) => Ok(MatchedTrace {
                refusal: Some(refusal),
                ..MatchedTrace::unknown(trace.len())
            }),
            Err(MatchError::TimedOut) if shrinks > 0 => {
                self.shrink(trace, bound * SHRINK_DETOUR, shrinks - 1)
            }
            Err(error) => Err(error),
        }
    }

    fn shrink(
        &self,
        trace: &[Observation],
        bound: f64,
        shrinks: u32,
    ) -> Result<MatchedTrace, MatchError> {
        let smaller: Vec<Observation> = trace
            .iter()
            .map(|o| Observation {
                radius: o.radius * SHRINK,
                ..*o
            })
            .collect();
        let middle = smaller.len() / 2;
        if smaller.len() < 3 {
            return self.ask(&smaller, bound, shrinks);
        }
        let mut matched = MatchedTrace::unknown(smaller.len());
        let first = self.ask(&smaller[..=middle], bound, shrinks)?;
        let mut rest = smaller[middle..].to_vec();
        if let Some(snap) = first.snaps[middle] {
            rest[0] = rest[0].anchored(snap.place);
        }
        matched.append(first, 0, middle);
        let last = rest.len() - 1;
        matched.append(self.ask(&rest, bound, shrinks)?, middle, last);
        Ok(matched)
    }
}

/// Where to end a request that is not the last: late, but not so late that what comes after could
/// still change it.
fn cut(snaps: &[Option<Snap>]) -> usize {
    let last = snaps.len() - 1;
    let overlap = (snaps.len() / 4).clamp(1, OVERLAP);
    let latest = (last - overlap.min(last - 1)).max(1);
    let earliest = (last / 2).clamp(1, latest);
    let found = |good: &dyn Fn(&Snap) -> bool| {
        (earliest..=latest)
            .rev()
            .find(|i| snaps[*i].as_ref().is_some_and(good))
    };
    found(&|snap| snap.is_final)
        .or_else(|| found(&|_| true))
        .unwrap_or(latest)
}

/// The times in a request are not those of the fixes: OSRM makes nothing of them but the bound to
/// detours, which with the true ones is too narrow for dense fixes and costs too much with others.
fn request(trace: &[Observation], bound: f64) -> MatchRequest {
    let step = (bound / BOUND_SPEED).ceil().clamp(1.0, LONGEST_STEP) as i64;
    let points = trace.iter().enumerate().map(|(i, w)| RequestPoint {
        lon: w.place[0],
        lat: w.place[1],
        time: i as i64 * step,
        radius: w.radius,
        course: w.course,
    });
    MatchRequest {
        points: points.collect(),
    }
}

/// The answer to a request of these observations.
fn read(answer: MatchAnswer, trace: &[Observation]) -> Result<MatchedTrace, MatchError> {
    if answer.tracepoints.len() != trace.len() {
        let text = "an answer to another number of points than were asked";
        return Err(MatchError::Unavailable(text.to_owned()));
    }
    let elsewhere = |(o, answered): (&Observation, &Option<Tracepoint>)| {
        answered
            .as_ref()
            .is_some_and(|t| geo::distance(o.place, t.location) > ELSEWHERE)
    };
    if trace.iter().zip(&answer.tracepoints).any(elsewhere) {
        let text =
            "an answer about other places than were asked: does a cache stand before the server?";
        return Err(MatchError::Unavailable(text.to_owned()));
    }
    let mut matched = MatchedTrace::unknown(trace.len());
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
        matched.snaps[i] = Some(Snap {
            place: location,
            is_final: alternatives == 0,
        });
        let Some((last, confidence, rest)) = matchings.get_mut(matching) else {
            continue;
        };
        if let Some(from) = last.replace(i)
            && let Some(leg) = rest.next()
        {
            let leg = MatchedLeg {
                from,
                to: i,
                line: leg.line,
                distance: leg.distance,
                confidence: *confidence,
            };
            // Matchings do not overlap; one that does is not believed.
            if matched.legs.last().is_none_or(|before| before.to <= from) {
                matched.legs.push(leg);
            }
        }
    }
    Ok(matched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::recipe::ask::BOUND;
    use crate::track::tests::city::{City, fix};

    fn trace(count: usize) -> Vec<Observation> {
        (0..count)
            .map(|i| {
                let f = fix(i as f64, 20.0 * i as f64, 2.0);
                Observation {
                    time: f.time,
                    place: f.place(),
                    radius: 5.0,
                    silence: 1.0,
                    detour_speed: 8.0,
                    course: None,
                }
            })
            .collect()
    }

    #[test]
    fn a_long_trace_is_one_match() {
        let city = City::default();
        let matched = Asker::new(&city).follow(&trace(400), BOUND).unwrap();
        assert!(city.asked.borrow().len() > 4);
        assert!(
            matched
                .legs
                .windows(2)
                .all(|w| { w[0].to == w[1].from && w[0].line.last() == w[1].line.first() })
        );
        assert_eq!(
            (
                matched.legs[0].from,
                matched.legs[matched.legs.len() - 1].to
            ),
            (0, 399)
        );
    }

    #[test]
    fn a_request_is_cut_where_the_match_is_final() {
        let snap = |is_final| {
            Some(Snap {
                place: [24.9, 60.2],
                is_final,
            })
        };
        let mut snaps = vec![snap(false); 40];
        assert_eq!(cut(&snaps), 29);
        snaps[24] = snap(true);
        assert_eq!(cut(&snaps), 24);
        assert_eq!(cut(&[None; 40]), 29);
        assert_eq!(cut(&[None; 2]), 1);
    }

    #[test]
    fn an_answer_to_another_question_is_not_believed() {
        let answer = MatchAnswer {
            matchings: vec![],
            tracepoints: vec![None],
        };
        let asked = trace(2);
        assert!(matches!(
            read(answer, &asked),
            Err(MatchError::Unavailable(_))
        ));
        let there = |places: [Place; 2]| MatchAnswer {
            matchings: vec![],
            tracepoints: places
                .map(|location| {
                    Some(Tracepoint {
                        location,
                        matching: 0,
                        waypoint: 0,
                        alternatives: 0,
                    })
                })
                .to_vec(),
        };
        let places = [asked[0].place, asked[1].place];
        assert!(read(there(places), &asked).is_ok());
        for far in [[0.0, 0.0], [places[1][0] + 1.0, places[1][1]]] {
            let answer = there([places[0], far]);
            assert!(matches!(
                read(answer, &asked),
                Err(MatchError::Unavailable(_))
            ));
        }
    }

    #[test]
    fn a_slow_request_is_asked_in_halves() {
        let city = City {
            slow_size: 30,
            ..City::default()
        };
        let matched = Asker::new(&city).follow(&trace(80), BOUND).unwrap();
        assert_eq!(matched.legs.len(), 79);
        let hopeless = City {
            slow_size: 1,
            ..City::default()
        };
        assert_eq!(
            Asker::new(&hopeless).follow(&trace(80), BOUND),
            Err(MatchError::TimedOut)
        );
    }
}
