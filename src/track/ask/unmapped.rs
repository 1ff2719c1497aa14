//! Where the map has no road.
//!
//! OSRM says of an observation that it is in no match, but not why: it drops those that it finds no way to as it
//! drops those that it finds no road at. So some of those that nothing leads to are asked about once more, each
//! twice: from itself to itself there is a way, if there is a road.

use super::asker::Asker;
use super::fit::Fitted;
use super::matched::Observation;
use crate::osrm::MatchError;
use crate::track::recipe::ask::{BOUND, SAMPLE};

/// Finds the gaps in which half of the observations or more have no road near.
pub fn find_unmapped(fitted: &mut Fitted, asker: &Asker) -> Result<(), MatchError> {
    let Fitted { trace, matched, .. } = &*fitted;
    let mut found = Vec::new();
    for gap in matched.gaps() {
        let missed: Vec<usize> = gap.clone().filter(|i| !matched.is_reached(*i)).collect();
        let every = missed.len().div_ceil(SAMPLE).max(1);
        let sample: Vec<usize> = missed.into_iter().step_by(every).collect();
        let lost = sample.iter().filter(|i| matched.snaps[**i].is_none());
        let lost: Vec<Observation> = lost.map(|i| trace[*i]).collect();
        let most = |count: usize| count > 0 && 2 * count >= sample.len();
        if most(lost.len()) && most(roadless(&lost, asker)?) {
            found.push(gap);
        }
    }
    fitted.unmapped = found;
    Ok(())
}

/// How many of some observations have no road near; none, if the server does not say so in time.
fn roadless(observations: &[Observation], asker: &Asker) -> Result<usize, MatchError> {
    let twice: Vec<Observation> = observations.iter().flat_map(|o| [*o, *o]).collect();
    match asker.follow_within(&twice, BOUND) {
        Ok(matched) => Ok(matched
            .snaps
            .chunks(2)
            .filter(|snaps| snaps.iter().all(Option::is_none))
            .count()),
        Err(MatchError::TimedOut) => Ok(0),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::ask::MatchedTrace;
    use crate::track::tests::city::{City, leg, trace};

    #[test]
    fn a_gap_where_half_have_no_road_is_off_the_map() {
        // Streets are a hundred metres apart, and OSRM looks 15 m far.
        let street = [50.0, 150.0, 250.0, 350.0, 450.0, 550.0];
        let unmapped = |off: [f64; 6]| {
            let places: Vec<_> = street.into_iter().zip(off).collect();
            let trace = trace(&places);
            let mut matched = MatchedTrace::unknown(trace.len());
            matched.add([leg(&trace, 0, 1), leg(&trace, 4, 5)]);
            let mut fitted = Fitted {
                trace,
                matched,
                radius: 5.0,
                unmapped: Vec::new(),
            };
            find_unmapped(&mut fitted, &Asker::new(&City::default())).unwrap();
            fitted.unmapped
        };
        assert_eq!(unmapped([0.0; 6]), []);
        assert_eq!(unmapped([50.0, 0.0, 0.0, 0.0, 0.0, 50.0]), []);
        assert_eq!(unmapped([0.0, 0.0, 50.0, 0.0, 0.0, 0.0]), [1..=4]);
    }
}
