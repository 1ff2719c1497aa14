//! Fewer vertices for the same line: on a straight, two say as much as twenty.

use crate::track::geo::{Place, Plane, stored_numbers};

/// So many vertices at most are left out in a row, and so many edges of one vertex are looked at in vain: the time for
/// a line grows with its length alone then, however it winds.
const IN_A_ROW: usize = 100;
const IN_VAIN: usize = 8;

/// Leaves out vertices so that none of them was farther than `tolerance` metres from what is left, and that this is
/// the shortest of all such lines as an encoded polyline. Its ends stay; 0 leaves out none.
///
/// What is left is the cheapest way through a graph with an edge between any two vertices that have all between them
/// near enough (Imai and Iri 1988).
pub fn simplify(line: Vec<Place>, tolerance: f64) -> Vec<Place> {
    if line.len() < 3 || tolerance <= 0.0 {
        return line;
    }
    let last = line.len() - 1;
    let stored: Vec<_> = line.iter().map(|place| stored_numbers(*place)).collect();
    // Of each vertex, what the way from it to the end costs, and where it goes next.
    let mut price = vec![0; line.len()];
    let mut next = vec![last; line.len()];
    let mut view = View::new(tolerance);
    for from in (0..last).rev() {
        view.look(&line, from);
        let edge = |to| characters(stored[from], stored[to]) + price[to];
        let (mut best, mut in_vain) = ((edge(from + 1), from + 1), 0);
        for &to in view.in_sight.iter().rev() {
            let total = edge(to);
            if total >= best.0 || in_vain == IN_VAIN {
                continue;
            }
            match view.all_near(to) {
                true => best = (total, to),
                false => in_vain += 1,
            }
        }
        (price[from], next[from]) = best;
    }
    std::iter::successors(Some(0), |&at| (at < last).then(|| next[at]))
        .map(|at| line[at])
        .collect()
}

/// Characters that a step takes in an encoded polyline: one for five bits of each difference and its sign.
fn characters(from: [i64; 2], to: [i64; 2]) -> u32 {
    let of = |axis: usize| {
        let step = to[axis] - from[axis];
        let signed = (step << 1) ^ (step >> 63);
        signed.max(1).ilog2() / 5 + 1
    };
    of(0) + of(1)
}

/// What comes after a vertex, in metres from it.
struct View {
    tolerance: f64,
    from: usize,
    after: Vec<[f64; 2]>,
    /// The square of the distance of the farthest so far.
    farthest: Vec<f64>,
    /// The vertices to which a ray runs near all between.
    in_sight: Vec<usize>,
}

impl View {
    fn new(tolerance: f64) -> View {
        View {
            tolerance,
            from: 0,
            after: Vec::with_capacity(IN_A_ROW),
            farthest: Vec::with_capacity(IN_A_ROW),
            in_sight: Vec::with_capacity(IN_A_ROW),
        }
    }

    fn look(&mut self, line: &[Place], from: usize) {
        self.from = from;
        self.after.clear();
        self.farthest.clear();
        self.in_sight.clear();
        let plane = Plane::at(line[from]);
        let mut farthest: f64 = 0.0;
        let mut cone: Option<Cone> = None;
        for (to, place) in line.iter().enumerate().skip(from + 1).take(IN_A_ROW) {
            let place = plane.project(*place);
            self.after.push(place);
            farthest = farthest.max(dot(place, place));
            self.farthest.push(farthest);
            if cone.is_none_or(|cone| cone.holds(place)) {
                self.in_sight.push(to);
            }
            let Some(towards) = Cone::towards(place, self.tolerance) else {
                continue;
            };
            cone = match cone {
                None => Some(towards),
                Some(cone) => cone.and(towards),
            };
            if cone.is_none() {
                break;
            }
        }
    }

    /// Whether the straight to a vertex in sight runs near all between: it does but for those beyond its end, of which
    /// there is none where nothing before it is farther.
    fn all_near(&self, to: usize) -> bool {
        let between = to - self.from - 1;
        let end = self.after[between];
        self.farthest[between] <= dot(end, end)
            || self.after[..between].iter().all(|place| {
                let beyond = [place[0] - end[0], place[1] - end[1]];
                dot(beyond, end) <= 0.0 || dot(beyond, beyond) <= self.tolerance * self.tolerance
            })
    }
}

/// The directions in which a ray runs near all vertices so far (Chan and Chin 1996): less than half of all, between
/// these two.
#[derive(Clone, Copy)]
struct Cone {
    left: [f64; 2],
    right: [f64; 2],
}

impl Cone {
    /// Those in which a ray runs near a place; `None`: it is so near that all do.
    fn towards(place: [f64; 2], tolerance: f64) -> Option<Cone> {
        let [x, y] = place;
        let along = dot(place, place) - tolerance * tolerance;
        (along > 0.0).then(|| {
            let along = along.sqrt();
            Cone {
                left: [x * along - y * tolerance, y * along + x * tolerance],
                right: [x * along + y * tolerance, y * along - x * tolerance],
            }
        })
    }

    fn holds(&self, place: [f64; 2]) -> bool {
        // No ray leads to where it begins.
        place != [0.0, 0.0] && cross(self.right, place) >= 0.0 && cross(place, self.left) >= 0.0
    }

    /// The directions that both have, if there are any.
    fn and(self, other: Cone) -> Option<Cone> {
        let pick = |theirs, ours| if self.holds(theirs) { theirs } else { ours };
        let both = Cone {
            left: pick(other.left, self.left),
            right: pick(other.right, self.right),
        };
        (other.holds(both.left) && other.holds(both.right)).then_some(both)
    }
}

fn dot(a: [f64; 2], b: [f64; 2]) -> f64 {
    a[0] * b[0] + a[1] * b[1]
}

fn cross(a: [f64; 2], b: [f64; 2]) -> f64 {
    a[0] * b[1] - a[1] * b[0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::track::geo;
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
        let straight = line((0..100).map(|i| (10.0 * f64::from(i), 0.4 * f64::from(i % 2))));
        let ends = [straight[0], straight[99]];
        assert_eq!(simplify(straight, 1.0), ends);
        let bend = line([(0.0, 0.0), (50.0, 0.0), (100.0, 0.0), (100.0, 80.0)]);
        assert_eq!(simplify(bend.clone(), 1.0), [bend[0], bend[2], bend[3]]);
    }

    #[test]
    fn a_way_out_and_back_keeps_its_tip() {
        let spur = line([
            (0.0, 0.0),
            (50.0, 0.0),
            (100.0, 0.0),
            (50.0, 0.0),
            (0.0, 0.0),
        ]);
        assert_eq!(simplify(spur.clone(), 1.0), [spur[0], spur[2], spur[4]]);
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

    /// The fewest characters of all lines through some of the vertices that are near enough to all.
    fn fewest_characters(line: &[Place], tolerance: f64) -> u32 {
        let between = line.len() - 2;
        let near = |from: usize, to: usize| {
            let ends = [line[from], line[to]];
            (from + 1..to).all(|i| geo::distance_to_line(line[i], &ends) <= tolerance)
        };
        (0..1u32 << between)
            .filter_map(|some| {
                let mut kept: Vec<usize> = (0..between).filter(|n| some >> n & 1 == 1).collect();
                kept.iter_mut().for_each(|n| *n += 1);
                let way = [vec![0], kept, vec![line.len() - 1]].concat();
                let steps = || way.windows(2);
                let price = |w: &[usize]| {
                    characters(stored_numbers(line[w[0]]), stored_numbers(line[w[1]]))
                };
                steps()
                    .all(|w| near(w[0], w[1]))
                    .then(|| steps().map(price).sum())
            })
            .min()
            .unwrap()
    }

    proptest! {
        #[test]
        fn no_line_near_enough_is_shorter(
            steps in prop::collection::vec((-20.0..60.0f64, -30.0..30.0f64), 2..9),
        ) {
            let mut at = (0.0, 0.0);
            let places = steps.iter().map(|step| {
                at = (at.0 + step.0, at.1 + step.1);
                at
            });
            let line = line(places);
            let simple = simplify(line.clone(), 10.0);
            let taken: u32 = simple.windows(2).map(|w| characters(stored_numbers(w[0]), stored_numbers(w[1]))).sum();
            prop_assert_eq!(taken, fewest_characters(&line, 10.0));
        }

        #[test]
        fn a_step_takes_so_many_characters(lon in -179.0..179.0f64, east in -0.9..0.9f64, north in -0.01..0.01f64) {
            let (from, to) = ([lon, 10.0], [lon + east, 10.0 + north]);
            let encoded = |line: &[Place]| crate::lines::encode(line).unwrap().len() as u32;
            prop_assert_eq!(characters(stored_numbers(from), stored_numbers(to)), encoded(&[from, to]) - encoded(&[from]));
        }
    }
}
