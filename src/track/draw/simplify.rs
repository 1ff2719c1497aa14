//! Fewer vertices for the same line: on a straight, two say as much as twenty.

use crate::track::geo::{self, Place, Plane};

/// So many vertices are looked at together: the time for a line grows with its length alone then, and so does
/// nothing on the stack (a library's recursion would, with a line that winds as much as it can).
const TOGETHER: usize = 500;

/// Leaves out vertices so that what is left is never farther than `tolerance` metres from the line
/// (Ramer 1972, Douglas and Peucker 1973). Its ends stay; 0 leaves out none.
pub fn simplify(line: Vec<Place>, tolerance: f64) -> Vec<Place> {
    if line.len() < 3 || tolerance <= 0.0 {
        return line;
    }
    let mut kept = vec![false; line.len()];
    kept[line.len() - 1] = true;
    for from in (0..line.len() - 1).step_by(TOGETHER) {
        let to = (from + TOGETHER).min(line.len() - 1);
        kept[from] = true;
        let mut parts = vec![(from, to)];
        while let Some((from, to)) = parts.pop() {
            if let Some(at) = farthest(&line, from, to, tolerance) {
                kept[at] = true;
                parts.extend([(from, at), (at, to)]);
            }
        }
    }
    let mut kept = kept.into_iter();
    let mut line = line;
    line.retain(|_| kept.next() == Some(true));
    line
}

/// The vertex between two others that lies farthest from the straight between them, if that is too far.
fn farthest(line: &[Place], from: usize, to: usize, tolerance: f64) -> Option<usize> {
    let plane = Plane::at(line[from]);
    let (a, b) = (plane.project(line[from]), plane.project(line[to]));
    let off = |i: usize| {
        let p = plane.project(line[i]);
        let from_it = |end: [f64; 2]| [end[0] - p[0], end[1] - p[1]];
        geo::distance_to_segment(from_it(a), from_it(b))
    };
    (from + 1..to)
        .map(|i| (off(i), i))
        .filter(|(off, _)| *off > tolerance)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, i)| i)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::tests::city::CENTRE;

    /// A line through places some metres east and north of the centre.
    fn line(places: impl IntoIterator<Item = (f64, f64)>) -> Vec<Place> {
        let plane = Plane::at(CENTRE);
        (places.into_iter())
            .map(|(x, y)| plane.unproject([x, y]))
            .collect()
    }

    #[test]
    fn a_straight_keeps_its_ends_and_a_bend_its_corner() {
        let straight = line((0..200).map(|i| (10.0 * f64::from(i), 0.4 * f64::from(i % 2))));
        let ends = [straight[0], straight[199]];
        assert_eq!(simplify(straight, 1.0), ends);
        let bend = line([(0.0, 0.0), (50.0, 0.0), (100.0, 0.0), (100.0, 80.0)]);
        assert_eq!(simplify(bend.clone(), 1.0), [bend[0], bend[2], bend[3]]);
    }

    #[test]
    fn no_vertex_that_goes_was_farther_off_than_allowed() {
        let curve = line((0..2_000).map(|i| {
            let turn = f64::from(i) / 40.0;
            (5.0 * f64::from(i) + 30.0 * turn.sin(), 60.0 * turn.cos())
        }));
        for tolerance in [0.5, 1.0, 5.0] {
            let simple = simplify(curve.clone(), tolerance);
            assert!(simple.len() < curve.len() / 3);
            assert_eq!((simple[0], simple.last()), (curve[0], curve.last()));
            let off = |place: &Place| geo::distance_to_line(*place, &simple);
            assert!(curve.iter().all(|place| off(place) <= 1.01 * tolerance));
        }
    }

    #[test]
    fn without_a_tolerance_all_is_kept() {
        let curve = line([(0.0, 0.0), (50.0, 0.0), (100.0, 0.0)]);
        assert_eq!(simplify(curve.clone(), 0.0), curve);
    }

    #[test]
    fn a_line_of_a_day_that_winds_as_much_as_it_can_costs_no_stack_and_little_time() {
        let winding =
            line((0..100_000).map(|i| (f64::from(i % 2) * 1e4 / f64::from(i + 1), f64::from(i))));
        let simple = simplify(winding.clone(), 1.0);
        assert_eq!(simple.last(), winding.last());
    }
}
