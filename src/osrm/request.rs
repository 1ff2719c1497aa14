//! A question to OSRM's `/match` service and the URL path that asks it.

/// One point of a trace as OSRM is asked about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RequestPoint {
    /// Degrees east, WGS 84.
    pub lon: f64,
    /// Degrees north, WGS 84.
    pub lat: f64,
    /// Whole seconds since the Unix epoch; strictly increasing along a request.
    pub time: i64,
    /// Standard deviation of the position in metres; OSRM looks for roads within three times this.
    pub radius: f64,
}

/// A trace to be matched.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MatchRequest {
    pub points: Vec<RequestPoint>,
}
