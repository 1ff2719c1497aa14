//! OSRM's answer to a match request.

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
