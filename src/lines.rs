//! Encoded lines as they are stored: from places and back, how long one is, and those of a trip as one.

use polyline::errors::PolylineError;

use crate::track::{Place, line_length, part_of_line};

/// Decimals of the degrees of a line that is stored: the precision that map libraries expect.
const PRECISION: u32 = 5;

/// The vertices of a line; none, if it cannot be decoded: one line that somebody has broken must not keep whoever
/// reads many from all others.
pub fn decode(encoded: &str) -> Vec<Place> {
    let line =
        polyline::decode_polyline(encoded, PRECISION).map_or_else(|_| Vec::new(), |line| line.0);
    line.into_iter().map(|at| [at.x, at.y]).collect()
}

pub fn encode(line: &[Place]) -> Result<String, PolylineError> {
    let line = line.iter().map(|&[lon, lat]| (lon, lat).into());
    polyline::encode_coordinates(line, PRECISION)
}

/// A line of another store as it is stored here; `None` where it is none: it cannot be decoded, breaks off, leaves
/// the globe or has less than two vertices.
pub fn take_over(encoded: &str, precision: u32) -> Option<String> {
    // The last byte of a number is below `_`. Neither that nor other letters are anything to the decoder.
    let letters = encoded.bytes().all(|byte| (b'?'..=b'~').contains(&byte));
    if !letters || encoded.bytes().next_back() >= Some(b'_') {
        return None;
    }
    let line = polyline::decode_polyline(encoded, precision).ok()?;
    if line.0.len() < 2 {
        return None;
    }
    if precision == PRECISION {
        return Some(encoded.to_owned());
    }
    polyline::encode_coordinates(line, PRECISION).ok()
}

/// A line cut where it crosses 180 degrees, as GeoJSON wants it (RFC 7946, 3.1.9): drawn in one piece it would lead
/// around the world. One that does not cross them is one piece.
pub fn pieces(line: Vec<Place>) -> Vec<Vec<Place>> {
    let crosses = |ends: &[Place]| (ends[1][0] - ends[0][0]).abs() > 180.0;
    if !line.windows(2).any(crosses) {
        return vec![line];
    }
    let mut pieces = vec![Vec::new()];
    let mut before: Option<Place> = None;
    for place in line {
        if let (Some(last), Some(piece)) = (before, pieces.last_mut())
            && crosses(&[last, place])
        {
            let edge = 180_f64.copysign(last[0]);
            let (to_edge, beyond) = (edge - last[0], place[0] + edge);
            let share = match to_edge + beyond {
                0.0 => 0.0,
                all => to_edge / all,
            };
            let latitude = round(last[1] + share * (place[1] - last[1]));
            piece.push([edge, latitude]);
            pieces.push(vec![[-edge, latitude]]);
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(place);
        }
        before = Some(place);
    }
    for piece in &mut pieces {
        piece.dedup();
    }
    pieces.retain(|piece| piece.len() > 1);
    pieces
}

/// Degrees as a stored line has them.
fn round(degrees: f64) -> f64 {
    let units = 10_f64.powi(PRECISION as i32);
    (degrees * units).round() / units
}

/// Metres along a line.
pub fn length(encoded: &str) -> f64 {
    line_length(&decode(encoded))
}

/// The lines of a trip in the order of time, those that meet joined. `head` and `tail` are the shares of the
/// first and of the last line that lie outside of the trip.
pub fn join(encoded: &[String], head: f64, tail: f64) -> Vec<String> {
    let mut joined: Vec<Vec<Place>> = Vec::new();
    for (n, line) in encoded.iter().enumerate() {
        let from = if n == 0 { head } else { 0.0 };
        let to = if n + 1 == encoded.len() { tail } else { 0.0 };
        let line = cut(decode(line), from, 1.0 - to);
        match (joined.last_mut(), line.split_first()) {
            (Some(last), Some((first, rest))) if last.last() == Some(first) => {
                last.extend_from_slice(rest);
            }
            _ => joined.push(line),
        }
    }
    joined.retain(|line| line.len() > 1);
    joined.iter().filter_map(|line| encode(line).ok()).collect()
}

fn cut(line: Vec<Place>, from: f64, to: f64) -> Vec<Place> {
    if from <= 0.0 && to >= 1.0 {
        return line;
    }
    let length = line_length(&line);
    part_of_line(&line, from * length, to * length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Place = [24.90, 60.20];
    const B: Place = [24.91, 60.20];
    const C: Place = [24.92, 60.20];
    const D: Place = [24.92, 60.21];

    fn line(places: &[Place]) -> String {
        encode(places).unwrap()
    }

    fn joined(lines: &[&[Place]], head: f64, tail: f64) -> Vec<Vec<Place>> {
        let encoded: Vec<String> = lines.iter().map(|places| line(places)).collect();
        join(&encoded, head, tail)
            .iter()
            .map(|line| decode(line))
            .collect()
    }

    #[test]
    fn a_line_is_cut_where_it_crosses_180_degrees() {
        let pieces = |places: &[Place]| pieces(places.to_vec());
        assert_eq!(pieces(&[A, B]), [[A, B]]);
        assert!(pieces(&[])[0].is_empty());
        assert_eq!(
            pieces(&[[179.9, -16.0], [-179.9, -17.0]]),
            [
                [[179.9, -16.0], [180.0, -16.5]],
                [[-180.0, -16.5], [-179.9, -17.0]]
            ]
        );
        // There and back, over a vertex at the very edge.
        assert_eq!(
            pieces(&[[-179.9, 0.0], [179.9, 0.0], [180.0, 1.0], [-179.9, 2.0]]),
            [
                vec![[-179.9, 0.0], [-180.0, 0.0]],
                vec![[180.0, 0.0], [179.9, 0.0], [180.0, 1.0]],
                vec![[-180.0, 1.0], [-179.9, 2.0]]
            ]
        );
        // Along the edge: the same place under two names.
        assert_eq!(
            pieces(&[[180.0, 1.0], [-180.0, 1.0], [-180.0, 2.0]]),
            [[[-180.0, 1.0], [-180.0, 2.0]]]
        );
    }

    #[test]
    fn lines_that_meet_are_one() {
        assert_eq!(
            joined(&[&[A, B], &[B, C], &[C, D]], 0.0, 0.0),
            [[A, B, C, D]]
        );
    }

    #[test]
    fn nothing_is_drawn_across_a_break() {
        assert_eq!(
            joined(&[&[A, B], &[C, D]], 0.0, 0.0),
            [vec![A, B], vec![C, D]]
        );
    }

    #[test]
    fn shares_are_cut_off_both_ends() {
        let middle = [24.905, 60.20];
        assert_eq!(
            joined(&[&[A, B], &[B, C]], 0.5, 0.5),
            [vec![middle, B, [24.915, 60.20]]]
        );
        assert_eq!(joined(&[&[A, C]], 0.25, 0.5), [[middle, B]]);
    }

    #[test]
    fn a_line_of_which_nothing_is_left_is_none() {
        assert_eq!(joined(&[&[A, B], &[B, C]], 0.0, 1.0), [[A, B]]);
        assert_eq!(joined(&[&[A, B]], 0.5, 0.5), [[A, B]; 0]);
        assert_eq!(joined(&[], 0.0, 0.0), [[A, B]; 0]);
    }

    #[test]
    fn a_length_is_in_metres() {
        let metres = length(&line(&[A, B, C]));
        assert!((metres - 1_105.5).abs() < 1.0, "{metres}");
    }

    #[test]
    fn a_line_that_cannot_be_decoded_has_no_vertices() {
        for broken in ["?", "!", "_p~iF~ps|U_ulLnnqC~"] {
            assert_eq!(decode(broken), [A; 0]);
            assert_eq!(length(broken), 0.0);
        }
        let broken = |lines: &[&str]| {
            join(
                &lines.iter().map(|&l| l.into()).collect::<Vec<_>>(),
                0.5,
                0.5,
            )
        };
        assert_eq!(broken(&["", "", "!"]), [""; 0]);
        let whole = line(&[B, C]);
        assert_eq!(broken(&["", &whole, "!"]), [whole.as_str()]);
    }

    #[test]
    fn a_line_of_another_store_is_taken_as_it_would_be_stored_here() {
        let (five, six) = (line(&[A, B]), encode_six(&[A, B]));
        assert_eq!(take_over(&five, 5), Some(five.clone()));
        assert_eq!(take_over(&six, 6), Some(five));
    }

    #[test]
    fn a_line_of_another_store_that_is_none_is_not_taken() {
        // Of six decimals read as five it is ten times as far north; the next two break off.
        let six = encode_six(&[A, B]);
        for broken in [
            six.as_str(),
            "_p~iF~ps|U_ulLnnq",
            "_p~iF~ps|U_ulL",
            "_p~iF~ps|U",
            "",
            "\u{e4}",
        ] {
            assert_eq!(take_over(broken, 5), None, "{broken}");
        }
        assert_eq!(take_over("~~~~~~@~~~~~~@", 6), None);
    }

    fn encode_six(line: &[Place]) -> String {
        polyline::encode_coordinates(line.iter().map(|&[x, y]| (x, y).into()), 6).unwrap()
    }
}
