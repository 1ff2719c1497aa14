//! Encoded lines as they are stored: from places and back, how long one is, and those of a trip as one.

use polyline::errors::PolylineError;

use crate::track::{Place, line_length, part_of_line};

/// Decimals of the degrees of a line that is stored: the precision that map libraries expect.
const PRECISION: u32 = 5;

/// Metres along a line.
pub fn length(encoded: &str) -> Result<f64, PolylineError> {
    Ok(line_length(&decode(encoded)?))
}

/// The lines of a trip in the order of time, those that meet joined. `head` and `tail` are the shares of the
/// first and of the last line that lie outside of the trip.
pub fn join(encoded: &[String], head: f64, tail: f64) -> Result<Vec<String>, PolylineError> {
    let mut joined: Vec<Vec<Place>> = Vec::new();
    for (n, line) in encoded.iter().enumerate() {
        let line = decode(line)?;
        let from = if n == 0 { head } else { 0.0 };
        let to = if n + 1 == encoded.len() { tail } else { 0.0 };
        let line = cut(line, from, 1.0 - to);
        match joined.last_mut() {
            Some(last) if last.last() == line.first() => last.extend_from_slice(&line[1..]),
            _ => joined.push(line),
        }
    }
    joined.retain(|line| line.len() > 1);
    joined.iter().map(|line| encode(line)).collect()
}

fn cut(line: Vec<Place>, from: f64, to: f64) -> Vec<Place> {
    if from <= 0.0 && to >= 1.0 {
        return line;
    }
    let length = line_length(&line);
    part_of_line(&line, from * length, to * length)
}

/// The vertices of a line; an error says what is wrong with it.
pub fn decode(encoded: &str) -> Result<Vec<Place>, PolylineError> {
    let line = polyline::decode_polyline(encoded, PRECISION)?;
    Ok(line.0.into_iter().map(|at| [at.x, at.y]).collect())
}

pub fn encode(line: &[Place]) -> Result<String, PolylineError> {
    let line = line.iter().map(|&[lon, lat]| (lon, lat).into());
    polyline::encode_coordinates(line, PRECISION)
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
        let joined = join(&encoded, head, tail).unwrap();
        joined.iter().map(|line| decode(line).unwrap()).collect()
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
        let metres = length(&line(&[A, B, C])).unwrap();
        assert!((metres - 1_105.5).abs() < 1.0, "{metres}");
        assert!(length("?").is_err());
    }
}
