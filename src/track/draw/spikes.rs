//! Short out-and-back spikes: noise drawn as a detour into a side street, or as a step back.

use crate::track::geo::{self, Place, Plane};
use crate::track::recipe::draw::{SAME_DIRECTION, SAME_ROAD};

/// Removes spikes up to so many metres deep from a line; its two ends stay. Deeper ones are mostly
/// true turns.
pub fn remove(line: &mut Vec<Place>, deepest: f64) {
    let mut kept: Vec<Place> = Vec::with_capacity(line.len());
    let mut rest = line.as_slice();
    while let Some((next, tail)) = rest.split_first() {
        rest = tail;
        if kept.last() != Some(next) {
            kept.push(*next);
        }
        while let Some((out, back)) = spike(&kept, rest, deepest) {
            kept.truncate(out);
            rest = &rest[back..];
        }
    }
    if kept.len() > 1 {
        *line = kept;
    }
}

/// If the last vertex of `before` is the tip of a spike: how many vertices stay of `before`, and
/// how many of `after` belong to the spike.
fn spike(before: &[Place], after: &[Place], deepest: f64) -> Option<(usize, usize)> {
    let (tip, before) = before.split_last()?;
    let plane = Plane::at(*tip);
    let (a, b) = (
        plane.project(*before.last()?),
        plane.project(*after.first()?),
    );
    // Both arms leave the tip in the same direction.
    let (la, lb) = (a[0].hypot(a[1]), b[0].hypot(b[1]));
    if la == 0.0 || lb == 0.0 || (a[0] * b[0] + a[1] * b[1]) / (la * lb) < SAME_DIRECTION {
        return None;
    }
    // Walk down both arms, vertex by vertex of whichever is nearer to the tip, while they agree.
    let (mut i, mut j, mut out, mut back) = (0, 0, 0.0, 0.0);
    let (mut last_out, mut last_back) = (*tip, *tip);
    while let (Some(k), Some(q)) = (before.len().checked_sub(i + 1), after.get(j).copied()) {
        let p = before[k];
        let next_out = out + geo::distance(last_out, p);
        let next_back = back + geo::distance(last_back, q);
        if next_out <= next_back {
            if geo::distance_to_line(p, &[last_back, q]) > SAME_ROAD {
                break;
            }
            (out, last_out, i) = (next_out, p, i + 1);
        } else {
            if geo::distance_to_line(q, &[last_out, p]) > SAME_ROAD {
                break;
            }
            (back, last_back, j) = (next_back, q, j + 1);
        }
        if out.max(back) > deepest {
            return None;
        }
    }
    // The deepest vertex that both arms pass is the root and stays, once.
    match (i, j) {
        (0, 0) => None,
        _ if out >= back => Some((before.len() + 1 - i, j)),
        _ => Some((before.len() - i, j - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Metres east and north of a place, as a line.
    fn line(metres: &[(f64, f64)]) -> Vec<Place> {
        let plane = Plane::at([24.9, 60.2]);
        metres
            .iter()
            .map(|(x, y)| plane.unproject([*x, *y]))
            .collect()
    }

    fn after(metres: &[(f64, f64)]) -> Vec<Place> {
        let mut line = line(metres);
        remove(&mut line, 30.0);
        line
    }

    #[test]
    fn a_dip_into_a_side_street() {
        let got = after(&[(0., 0.), (50., 0.), (50., 20.), (50., 0.), (100., 0.)]);
        assert_eq!(got, line(&[(0., 0.), (50., 0.), (100., 0.)]));
    }

    #[test]
    fn a_step_back_on_the_same_road() {
        let got = after(&[(0., 0.), (60., 0.), (45., 0.), (100., 0.)]);
        assert_eq!(got, line(&[(0., 0.), (45., 0.), (100., 0.)]));
    }

    #[test]
    fn a_dip_with_a_bend() {
        let dip = [
            (0., 0.),
            (50., 0.),
            (50., 10.),
            (55., 15.),
            (50., 10.),
            (50., 0.),
            (90., 0.),
        ];
        assert_eq!(after(&dip), line(&[(0., 0.), (50., 0.), (90., 0.)]));
    }

    #[test]
    fn the_ends_stay() {
        let start = [(0., 0.), (10., 0.), (-50., 0.)];
        assert_eq!(after(&start), line(&[(0., 0.), (-50., 0.)]));
        let end = [(-50., 0.), (10., 0.), (0., 0.)];
        assert_eq!(after(&end), line(&[(-50., 0.), (0., 0.)]));
    }

    #[test]
    fn a_true_turn_stays() {
        let turn = [(0., 0.), (50., 0.), (50., 80.), (50., 0.), (100., 0.)];
        assert_eq!(after(&turn), line(&turn));
    }

    #[test]
    fn a_doubled_tip_is_still_a_tip() {
        let got = after(&[
            (0., 0.),
            (50., 0.),
            (50., 20.),
            (50., 20.),
            (50., 0.),
            (100., 0.),
        ]);
        assert_eq!(got, line(&[(0., 0.), (50., 0.), (100., 0.)]));
    }
}
