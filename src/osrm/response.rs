//! OSRM's answer to a match request.
//!
//! What comes from outside is believed only as far as it fits together: an answer that is not
//! JSON, lacks a part or contradicts itself is `Unavailable`, never a panic.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use std::fmt;

use super::{MatchError, Refusal};

/// A parsed answer with `code` `Ok`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MatchAnswer {
    pub matchings: Vec<Matching>,
    /// One entry a point of the request; `None` where OSRM left the point out.
    pub tracepoints: Vec<Option<Tracepoint>>,
}

/// A piece of trace that OSRM matched without a break.
#[derive(Debug, Clone, PartialEq)]
pub struct Matching {
    /// OSRM's score, clamped to 0..=1.
    pub confidence: f64,
    /// One leg between each pair of consecutive tracepoints of this matching.
    pub legs: Vec<Leg>,
}

/// The road between two consecutive tracepoints of a matching.
#[derive(Debug, Clone, PartialEq)]
pub struct Leg {
    /// Longitude and latitude of the leg's vertices, both ends included.
    pub line: Vec<[f64; 2]>,
    /// Metres.
    pub distance: f64,
    /// Seconds that OSRM's profile would take.
    pub duration: f64,
}

/// Where a point of the request lies on the road.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tracepoint {
    pub location: [f64; 2],
    pub matching: usize,
    /// Index of this tracepoint within its matching: leg `waypoint` begins here.
    pub waypoint: usize,
    /// 0 means that the engine holds the match up to here for final.
    pub alternatives: u32,
}

/// More vertices than this in one geometry are no match of a request of ours.
const MOST_VERTICES: usize = 1_000_000;
/// Half the way round the earth: no leg is longer.
const LONGEST_LEG: f64 = 2.1e7;

#[derive(Deserialize)]
struct Body {
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    matchings: Vec<RawMatching>,
    #[serde(default)]
    tracepoints: Vec<Option<RawTracepoint>>,
}

#[derive(Deserialize)]
struct RawMatching {
    /// Some versions leave it out or send null where it is not a number.
    #[serde(default)]
    confidence: Option<f64>,
    geometry: String,
    legs: Vec<RawLeg>,
}

#[derive(Deserialize)]
struct RawLeg {
    distance: f64,
    duration: f64,
    annotation: Annotation,
}

#[derive(Deserialize)]
struct Annotation {
    duration: Count,
}

#[derive(Deserialize)]
struct RawTracepoint {
    location: [f64; 2],
    matchings_index: usize,
    waypoint_index: usize,
    #[serde(default)]
    alternatives_count: u32,
}

/// The length of an array whose elements do not matter.
struct Count(usize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counter;
        impl<'de> Visitor<'de> for Counter {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
                let mut count = 0;
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }
        }
        deserializer.deserialize_seq(Counter)
    }
}

/// Reads the body of an answer, whatever its status was.
pub fn parse(body: &[u8]) -> Result<MatchAnswer, MatchError> {
    let body: Body = serde_json::from_slice(body).map_err(|error| {
        // The position says nothing to an operator, and the text may quote the body.
        unavailable(if error.is_data() {
            "an answer that lacks a part of what OSRM sends"
        } else {
            "an answer that is not JSON"
        })
    })?;
    match body.code.as_str() {
        "Ok" => answer(body.matchings, body.tracepoints),
        "TooBig" => Err(MatchError::TooBig),
        "NoSegment" | "NoMatch" | "InvalidValue" | "InvalidOptions" | "InvalidQuery"
        | "InvalidUrl" => Err(MatchError::Refused(Refusal {
            code: body.code,
            message: bounded(body.message),
        })),
        // Also `InvalidService` and its like: the server is set up wrongly, the points are not.
        _ => Err(MatchError::Unavailable(format!(
            "an answer with code {:?}, which is none of /match",
            bounded(body.code)
        ))),
    }
}

fn unavailable(what: &str) -> MatchError {
    MatchError::Unavailable(what.to_owned())
}

/// A message that goes into a table must not be as long as a body can be.
pub fn bounded(message: String) -> String {
    message
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect()
}

fn answer(
    matchings: Vec<RawMatching>,
    tracepoints: Vec<Option<RawTracepoint>>,
) -> Result<MatchAnswer, MatchError> {
    let matchings = matchings
        .into_iter()
        .map(matching)
        .collect::<Result<Vec<_>, _>>()?;
    // Next leg of each matching: its tracepoints must come in order and without a hole.
    let mut next = vec![0; matchings.len()];
    let mut checked = Vec::with_capacity(tracepoints.len());
    for raw in tracepoints {
        let Some(raw) = raw else {
            checked.push(None);
            continue;
        };
        let expected = next.get_mut(raw.matchings_index);
        if !is_place(raw.location) || expected.as_deref() != Some(&raw.waypoint_index) {
            return Err(unavailable(
                "an answer whose tracepoints do not fit its matchings",
            ));
        }
        *expected.expect("compared above") += 1;
        checked.push(Some(Tracepoint {
            location: raw.location,
            matching: raw.matchings_index,
            waypoint: raw.waypoint_index,
            alternatives: raw.alternatives_count,
        }));
    }
    if matchings
        .iter()
        .zip(&next)
        .any(|(m, waypoints)| m.legs.len() + 1 != *waypoints)
    {
        return Err(unavailable(
            "an answer whose legs do not fit its tracepoints",
        ));
    }
    Ok(MatchAnswer {
        matchings,
        tracepoints: checked,
    })
}

fn matching(raw: RawMatching) -> Result<Matching, MatchError> {
    if raw.geometry.len() > 4 * MOST_VERTICES {
        return Err(unavailable("an answer with a geometry beyond all bounds"));
    }
    let line = polyline::decode_polyline(&raw.geometry, 6)
        .map_err(|_| unavailable("an answer with a geometry that cannot be decoded"))?;
    let line: Vec<[f64; 2]> = line.into_iter().map(|c| [c.x, c.y]).collect();
    let segments: usize = raw.legs.iter().map(|leg| leg.annotation.duration.0).sum();
    if segments + 1 != line.len() || line.len() > MOST_VERTICES {
        return Err(unavailable(
            "an answer whose geometry does not fit its legs",
        ));
    }
    let mut from = 0;
    let mut legs = Vec::with_capacity(raw.legs.len());
    for leg in raw.legs {
        let to = from + leg.annotation.duration.0;
        let plausible = (0.0..=LONGEST_LEG).contains(&leg.distance) && leg.duration >= 0.0;
        if to == from || !plausible {
            return Err(unavailable(
                "an answer with a leg that no vehicle can drive",
            ));
        }
        legs.push(Leg {
            line: line[from..=to].to_vec(),
            distance: leg.distance,
            duration: leg.duration,
        });
        from = to;
    }
    let confidence = raw
        .confidence
        .filter(|c| c.is_finite())
        .unwrap_or(0.0)
        .clamp(0.0, 1.0);
    Ok(Matching { confidence, legs })
}

fn is_place(location: [f64; 2]) -> bool {
    (-180.0..=180.0).contains(&location[0]) && (-90.0..=90.0).contains(&location[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = r#"{"code":"Ok","matchings":[{"confidence":1.7,"weight":3.1,
        "geometry":"_izlhA~rlgdF_{geC~ywl@_kwzCn`{nI","legs":[
          {"annotation":{"duration":[1.5]},"duration":1.5,"summary":"","weight":1,"distance":9.5},
          {"annotation":{"duration":[2]},"duration":2,"distance":12}],"distance":21.5}],
        "tracepoints":[{"waypoint_index":0,"matchings_index":0,"name":"A","alternatives_count":0,
          "location":[-120.2,38.5],"distance":1},null,
          {"waypoint_index":1,"matchings_index":0,"alternatives_count":2,"location":[-120.9,40.7]},
          {"waypoint_index":2,"matchings_index":0,"alternatives_count":1,"location":[-126,43]}]}"#;

    #[test]
    fn a_good_answer() {
        let answer = parse(GOOD.as_bytes()).unwrap();
        assert_eq!(answer.matchings[0].confidence, 1.0);
        assert_eq!(
            answer.matchings[0].legs[0].line,
            [[-120.2, 38.5], [-120.95, 40.7]]
        );
        assert_eq!(
            answer.matchings[0].legs[1].line,
            [[-120.95, 40.7], [-126.453, 43.252]]
        );
        assert_eq!(answer.matchings[0].legs[1].distance, 12.0);
        assert_eq!(answer.tracepoints[1], None);
        assert_eq!(answer.tracepoints[2].unwrap().waypoint, 1);
    }

    fn seen(body: &str) -> String {
        match parse(body.as_bytes()) {
            Err(MatchError::Unavailable(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn refusals_keep_their_code() {
        let body = br#"{"message":"Could not find a matching segment.","code":"NoSegment"}"#;
        let Err(MatchError::Refused(refusal)) = parse(body) else {
            panic!()
        };
        assert_eq!(refusal.code, "NoSegment");
        assert_eq!(refusal.message, "Could not find a matching segment.");
    }

    #[test]
    fn too_big_is_told_apart() {
        assert_eq!(
            parse(br#"{"code":"TooBig","message":"x"}"#),
            Err(MatchError::TooBig)
        );
    }

    #[test]
    fn what_is_no_answer_is_unavailable() {
        assert_eq!(seen("<html>502</html>"), "an answer that is not JSON");
        assert_eq!(seen(""), "an answer that is not JSON");
        assert_eq!(seen("[]"), "an answer that lacks a part of what OSRM sends");
        assert_eq!(
            seen(r#"{"code":"Tired"}"#),
            "an answer with code \"Tired\", which is none of /match"
        );
    }

    #[test]
    fn contradictions_are_unavailable() {
        for (from, to) in [
            (
                "\"matchings_index\":0,\"name\"",
                "\"matchings_index\":7,\"name\"",
            ),
            ("\"waypoint_index\":2", "\"waypoint_index\":3"),
            ("[1.5]", "[1.5,2]"),
            ("[1.5]", "[]"),
            ("\"distance\":12}", "\"distance\":1e300}"),
            ("\"distance\":12}", "\"distance\":-1}"),
            ("[-126,43]", "[-126,430]"),
            ("_izlhA~", "_izlhA!"),
        ] {
            let body = GOOD.replacen(from, to, 1);
            assert_ne!(body, GOOD, "{from}");
            seen(&body);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_change_makes_it_panic(at in 0..GOOD.len(), byte in any::<u8>()) {
            let mut body = GOOD.as_bytes().to_vec();
            body[at] = byte;
            let _ = parse(&body);
        }
    }
}
