//! The JSON of a page. Most of what a page costs is writing its text: here it is written once, straight
//! into one string, where Postgres' own functions look up every column's type for every row.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat};

use crate::lines;
use crate::track::{Micros, Place};

/// What stands between two elements of a list: a line each, for the eyes of whoever reads a document.
const SEPARATOR: &str = ",\n";
/// The document of a fleet without devices, and how that of any ends.
pub const NO_FLEET: &str = r#"{"devices": [], "cached": true}"#;
const END_OF_FLEET: &str = r#"], "cached": true}"#;

/// A path as its row has it.
#[derive(Clone, Copy)]
pub struct Path<'row> {
    /// When the line begins and ends.
    pub start: Micros,
    pub end: Micros,
    /// An encoded polyline.
    pub line: &'row str,
    pub confidence: Option<f64>,
    /// How many points were drawn.
    pub points: i32,
    pub status: &'row str,
    pub grade: &'row str,
    /// Why it is raw.
    pub reason: Option<&'row str>,
}

impl Path<'_> {
    fn push_times(&self, json: &mut String) {
        json.push_str(r#""start_time":"#);
        push_time(json, self.start);
        json.push_str(r#","end_time":"#);
        push_time(json, self.end);
    }

    /// What the row says of the line.
    fn push_judgement(&self, json: &mut String) {
        let _ = match self.confidence.filter(|score| score.is_finite()) {
            Some(score) => write!(json, r#""osrm_confidence":{score}"#),
            None => write!(json, r#""osrm_confidence":null"#),
        };
        let _ = write!(json, r#","point_count":{},"match_status":"#, self.points);
        push_string(json, self.status);
        json.push_str(r#","grade":"#);
        push_string(json, self.grade);
        json.push_str(r#","reason":"#);
        match self.reason {
            Some(reason) => push_string(json, reason),
            None => json.push_str("null"),
        }
    }
}

/// Paths as the documents' `paths` hold them, written one after another.
#[derive(Default)]
pub struct Paths(String);

impl Paths {
    pub fn push(&mut self, path: Path) {
        let json = &mut self.0;
        json.push_str(if json.is_empty() { "" } else { SEPARATOR });
        json.push('{');
        path.push_times(json);
        json.push_str(r#","encoded_polyline":"#);
        push_string(json, path.line);
        json.push(',');
        path.push_judgement(json);
        json.push('}');
    }

    pub fn json(&self) -> &str {
        &self.0
    }
}

/// The document of a fleet, whole after each device: it is of megabytes, so that each copy of it counts.
pub struct Fleet(String);

impl Default for Fleet {
    fn default() -> Self {
        Self(NO_FLEET.to_owned())
    }
}

impl Fleet {
    /// A device with what [`Paths::json`] says.
    pub fn push(&mut self, device: &str, paths: &str) {
        let json = &mut self.0;
        json.truncate(json.len() - END_OF_FLEET.len());
        json.push_str(if json.ends_with('[') { "" } else { SEPARATOR });
        begin_device(json, device);
        json.push_str(paths);
        json.push_str("]}");
        json.push_str(END_OF_FLEET);
    }

    pub fn json(&self) -> &str {
        &self.0
    }
}

/// The document of a page: [`Paths`] between what else it says.
pub fn page_json(
    device: &str,
    paths: Option<&str>,
    tails: Option<&str>,
    cached: bool,
    delay_ms: i64,
) -> String {
    let lines = [paths, tails].into_iter().flatten().collect::<Vec<_>>();
    let length = lines.iter().map(|line| line.len() + 2).sum::<usize>();
    let mut json = String::with_capacity(length + device.len() + 100);
    begin_device(&mut json, device);
    for (nth, line) in lines.iter().enumerate() {
        if nth > 0 {
            json.push_str(SEPARATOR);
        }
        json.push_str(line);
    }
    // Writing to a string cannot fail.
    let _ = write!(
        json,
        r#"], "cached": {cached}, "processing_delay_ms": {delay_ms}}}"#
    );
    json
}

/// A path of a device as a Feature of GeoJSON (RFC 7946), without coordinates if its line cannot be decoded.
pub fn feature(device: &str, path: Path) -> String {
    let line = lines::decode(path.line);
    let mut json = String::with_capacity(line.len() * 20 + device.len() + 300);
    json.push_str(r#"{"type":"Feature","geometry":{"type":"#);
    match lines::pieces(line).as_slice() {
        [piece] => {
            json.push_str(r#""LineString","coordinates":"#);
            push_places(&mut json, piece);
        }
        pieces => {
            json.push_str(r#""MultiLineString","coordinates":["#);
            for (nth, piece) in pieces.iter().enumerate() {
                json.push_str(if nth == 0 { "" } else { "," });
                push_places(&mut json, piece);
            }
            json.push(']');
        }
    }
    json.push_str(r#"},"properties":{"device":"#);
    push_string(&mut json, device);
    json.push(',');
    path.push_times(&mut json);
    json.push(',');
    path.push_judgement(&mut json);
    json.push_str("}}");
    json
}

fn push_places(json: &mut String, places: &[Place]) {
    json.push('[');
    for (nth, [longitude, latitude]) in places.iter().enumerate() {
        let comma = if nth == 0 { "" } else { "," };
        let _ = write!(json, "{comma}[{longitude},{latitude}]");
    }
    json.push(']');
}

/// A device up to its paths.
fn begin_device(json: &mut String, device: &str) {
    json.push_str(r#"{"device": "#);
    push_string(json, device);
    json.push_str(r#", "paths": ["#);
}

/// A moment in ISO 8601, in UTC; null for an infinity of Postgres.
fn push_time(json: &mut String, micros: Micros) {
    match DateTime::from_timestamp_micros(micros) {
        Some(moment) => {
            json.push('"');
            json.push_str(&moment.to_rfc3339_opts(SecondsFormat::AutoSi, false));
            json.push('"');
        }
        None => json.push_str("null"),
    }
}

/// A string with its quotes; only what JSON demands is escaped.
fn push_string(json: &mut String, text: &str) {
    json.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        json.push_str(&text[plain..at]);
        plain = at + 1;
        let _ = match byte {
            b'"' | b'\\' => write!(json, "\\{}", char::from(byte)),
            _ => write!(json, "\\u{byte:04x}"),
        };
    }
    json.push_str(&text[plain..]);
    json.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// 2023-11-14 22:13:20 UTC.
    const MOMENT: Micros = 1_700_000_000_000_000;

    const PATH: Path = Path {
        start: MOMENT,
        end: MOMENT + 1_250_000,
        line: r"_p~iF\~ps|U",
        confidence: Some(0.75),
        points: 2,
        status: "matched",
        grade: "good",
        reason: None,
    };

    fn written(path: Path) -> Value {
        let mut paths = Paths::default();
        paths.push(path);
        serde_json::from_str(paths.json()).unwrap()
    }

    #[test]
    fn a_raw_path_says_why() {
        let reason = Some("NoSegment");
        assert_eq!(written(Path { reason, ..PATH })["reason"], "NoSegment");
    }

    #[test]
    fn paths_are_written_in_the_order_in_which_they_come() {
        let mut paths = Paths::default();
        for line in ["a", "b", "c"] {
            paths.push(Path { line, ..PATH });
        }
        let list: Value = serde_json::from_str(&format!("[{}]", paths.json())).unwrap();
        let lines = list.as_array().unwrap().iter();
        let lines: Vec<_> = lines.map(|path| &path["encoded_polyline"]).collect();
        assert_eq!(lines, ["a", "b", "c"]);
    }

    #[test]
    fn a_path_says_what_its_row_says() {
        assert_eq!(
            written(PATH),
            json!({
                "start_time": "2023-11-14T22:13:20+00:00",
                "end_time": "2023-11-14T22:13:21.250+00:00",
                "encoded_polyline": r"_p~iF\~ps|U",
                "osrm_confidence": 0.75,
                "point_count": 2,
                "match_status": "matched",
                "grade": "good",
                "reason": null,
            })
        );
    }

    #[test]
    fn what_json_cannot_say_is_null() {
        let path = written(Path {
            start: Micros::MIN,
            end: Micros::MAX,
            confidence: Some(f64::NAN),
            ..PATH
        });
        for key in ["start_time", "end_time", "osrm_confidence"] {
            assert_eq!(path[key], Value::Null, "{key}");
        }
    }

    #[test]
    fn a_feature_has_the_line_as_coordinates_and_the_rest_as_properties() {
        let path = Path {
            line: "_p~iF~ps|U_ulLnnqC_mqNvxq`@",
            ..PATH
        };
        let text = feature("bus \"7\"", path);
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap(),
            json!({
                "type": "Feature",
                "geometry": {
                    "type": "LineString",
                    "coordinates": [[-120.2, 38.5], [-120.95, 40.7], [-126.453, 43.252]],
                },
                "properties": {
                    "device": "bus \"7\"",
                    "start_time": "2023-11-14T22:13:20+00:00",
                    "end_time": "2023-11-14T22:13:21.250+00:00",
                    "osrm_confidence": 0.75,
                    "point_count": 2,
                    "match_status": "matched",
                    "grade": "good",
                    "reason": null,
                },
            })
        );
    }

    #[test]
    fn a_feature_whose_line_cannot_be_decoded_has_no_coordinates() {
        let text = feature("bus", Path { line: "!", ..PATH });
        let feature: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            feature["geometry"],
            json!({"type": "LineString", "coordinates": []})
        );
        assert_eq!(feature["properties"]["device"], "bus");
    }

    #[test]
    fn a_feature_over_180_degrees_has_a_line_on_either_side() {
        let line = lines::encode(&[[179.9, -16.0], [-179.9, -17.0]]).unwrap();
        let text = feature(
            "ferry",
            Path {
                line: &line,
                ..PATH
            },
        );
        let feature: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            feature["geometry"],
            json!({
                "type": "MultiLineString",
                "coordinates": [[[179.9, -16], [180, -16.5]], [[-180, -16.5], [-179.9, -17]]],
            })
        );
    }

    #[test]
    fn a_fleet_is_a_list_of_devices() {
        let mut fleet = Fleet::default();
        let document = |fleet: &Fleet| serde_json::from_str::<Value>(fleet.json()).unwrap();
        assert_eq!(document(&fleet), json!({"devices": [], "cached": true}));
        fleet.push("bus \"7\"", "1,\n2");
        fleet.push("tram", "3");
        assert_eq!(
            document(&fleet),
            json!({"devices": [{"device": "bus \"7\"", "paths": [1, 2]}, {"device": "tram", "paths": [3]}], "cached": true})
        );
    }

    #[test]
    fn paths_and_tails_make_one_list() {
        let page = |paths, tails| {
            let text = page_json("bus", paths, tails, true, 1500);
            serde_json::from_str::<Value>(&text).unwrap()
        };
        let expected = |paths: Value| json!({"device": "bus", "paths": paths, "cached": true, "processing_delay_ms": 1500});
        assert_eq!(page(None, None), expected(json!([])));
        assert_eq!(page(None, Some("3")), expected(json!([3])));
        assert_eq!(page(Some("1,\n2"), Some("3")), expected(json!([1, 2, 3])));
    }

    proptest! {
        #[test]
        fn any_text_comes_back_as_it_was(device in ".*", controls in "[\u{0}-\u{1f}\"\\\\]*") {
            for text in [device, controls] {
                let page = page_json(&text, None, None, false, 0);
                let parsed: Value = serde_json::from_str(&page).unwrap();
                prop_assert_eq!(parsed["device"].as_str(), Some(text.as_str()));
            }
        }
    }
}
