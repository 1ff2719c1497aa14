//! One match out of two answers to the same question.
//!
//! OSRM's true way often dies at one unlucky observation, which came to lie behind the one before
//! it on a one-way road. Another choice of fixes has others. So where an answer is in doubt another
//! one is asked for, and the cheapest chain of legs out of both, and of straight lines, is taken.

use super::asker::Asker;
use super::fit::{Anchors, Fitted, observations};
use super::matched::{MatchedTrace, Observation};
use super::price::Price;
use super::resample::resample;
use crate::osrm::MatchError;
use crate::track::geo::{self, Place};
use crate::track::prepare::{Smoothed, thin};
use crate::track::recipe::ask::{
    BOUND, DOUBTFUL, ENOUGH, MEET, MEET_ANGLE, OTHER, OTHER_RADIUS, OTHER_SPACING, RAW_BEGINS,
    TOLERANCE,
};

/// Asks once more where an answer is in doubt, and takes the cheapest out of both. `fixes` are all
/// those that the observations stand for.
pub fn choose_answer(
    fitted: &mut Fitted,
    fixes: &[Smoothed],
    anchors: Anchors,
    asker: &Asker,
) -> Result<(), MatchError> {
    let thinned = thin(fixes, OTHER_SPACING, f64::INFINITY);
    // The same observations with much the same radius give the same answer.
    let same = thinned.kept.len() == fitted.trace.len() && OTHER_RADIUS <= ENOUGH * fitted.radius;
    if same || !in_doubt(fitted) {
        return Ok(());
    }
    let trace = observations(&thinned, anchors, OTHER_RADIUS);
    let other = match asker.follow(&trace, BOUND) {
        Ok(other) => resample(&other, &trace, &fitted.trace),
        Err(MatchError::TimedOut) => return Ok(()),
        Err(error) => return Err(error),
    };
    let price = Price::new(&fitted.trace, fixes, fitted.deviation());
    fitted.matched = cheapest([&fitted.matched, &other], &price);
    Ok(())
}

/// Whether a gap, a leg that cannot have been driven, or observations far off the road make an
/// answer doubtful.
fn in_doubt(fitted: &Fitted) -> bool {
    let Fitted { trace, matched, .. } = fitted;
    let far = DOUBTFUL * (fitted.deviation() + TOLERANCE);
    let is_far = |(o, snap): &(&Observation, &Option<super::matched::Snap>)| {
        snap.is_none_or(|s| geo::distance(s.place, o.place) > far)
    };
    let astray = trace.iter().zip(&matched.snaps).filter(is_far).count();
    let unbelieved = |leg: &super::MatchedLeg| !leg.is_believable(trace);
    astray > 1 || !matched.gaps().is_empty() || matched.legs.iter().any(unbelieved)
}

/// How an observation is reached, or what is gone on with: the answer of that index, or straight.
const STRAIGHT: usize = 2;
const WAYS: usize = 3;

/// The cheapest chain to an observation that reaches it in a certain way.
#[derive(Debug, Clone, Copy)]
struct Chain {
    cost: f64,
    last: Option<Step>,
}

/// The last step of a chain: from which observation, in which way that was reached, and the index
/// of the leg, if it is one.
#[derive(Debug, Clone, Copy)]
struct Step {
    from: usize,
    came: usize,
    leg: usize,
}

/// The cheapest chain of legs and straight lines, found by dynamic programming along the
/// observations.
fn cheapest(answers: [&MatchedTrace; 2], price: &Price) -> MatchedTrace {
    let observations = answers[0].snaps.len();
    let nowhere = Chain {
        cost: f64::INFINITY,
        last: None,
    };
    let mut best = vec![[nowhere; WAYS]; observations];
    // Before the first leg and after the last there is no choice: straight lines that begin there cost no more.
    let all_legs = || answers.iter().flat_map(|answer| &answer.legs);
    let first = all_legs().map(|leg| leg.from).min().unwrap_or(0);
    let last = all_legs().map(|leg| leg.to).max().unwrap_or(0);
    let straight_begins = |from| match (first..last).contains(&from) {
        true => RAW_BEGINS,
        false => 0.0,
    };
    best[0] = [0.0, OTHER, straight_begins(0)].map(|cost| Chain { cost, last: None });
    for from in 0..observations - 1 {
        let legs = answers.map(|answer| {
            let leg = answer.legs.binary_search_by_key(&from, |leg| leg.from);
            leg.ok().map(|leg| (leg, price.of_leg(&answer.legs[leg])))
        });
        let straight = price.of_straight(from);
        for came in 0..WAYS {
            let chain = best[from][came];
            if chain.cost.is_infinite() {
                continue;
            }
            let mut go = |to: usize, way: usize, cost: f64, leg| {
                let cost = chain.cost + cost;
                if cost < best[to][way].cost {
                    let last = Some(Step { from, came, leg });
                    best[to][way] = Chain { cost, last };
                }
            };
            for (way, leg) in legs.iter().enumerate() {
                if let Some((leg, cost)) = *leg
                    && let Some(change) = change(answers, (came, chain.last), (way, leg))
                {
                    go(answers[way].legs[leg].to, way, change + cost, leg);
                }
            }
            let begins = match came {
                STRAIGHT => 0.0,
                _ => straight_begins(from),
            };
            go(from + 1, STRAIGHT, begins + straight, 0);
        }
    }
    assemble(answers, &best)
}

/// What it costs to go on with a leg of an answer where another way, or the same, came; `None`
/// where the two do not meet.
fn change(
    answers: [&MatchedTrace; 2],
    (came, last): (usize, Option<Step>),
    (way, leg): (usize, usize),
) -> Option<f64> {
    if came == way {
        return Some(0.0);
    }
    let enter = if way == 0 { 0.0 } else { OTHER };
    if came == STRAIGHT {
        return Some(enter);
    }
    let arriving = &answers[came].legs[last?.leg].line;
    meets(arriving, &answers[way].legs[leg].line).then_some(enter)
}

/// Whether one line goes on where another ends, and the same way.
fn meets(arriving: &[Place], leaving: &[Place]) -> bool {
    let (&[.., before, end], &[begin, after, ..]) = (arriving, leaving) else {
        return false;
    };
    let on = [end[0] + after[0] - begin[0], end[1] + after[1] - begin[1]];
    geo::distance(end, begin) <= MEET
        && geo::turn(before, end, on).is_none_or(|turn| turn < MEET_ANGLE)
}

/// Walks the cheapest chain back from the last observation.
fn assemble(answers: [&MatchedTrace; 2], best: &[[Chain; WAYS]]) -> MatchedTrace {
    let mut matched = MatchedTrace {
        snaps: answers[0].snaps.clone(),
        legs: Vec::new(),
        refusal: answers[0].refusal.clone(),
    };
    let mut at = best.len() - 1;
    let by_cost = |a: &usize, b: &usize| best[at][*a].cost.total_cmp(&best[at][*b].cost);
    let mut way = (0..WAYS).min_by(by_cost).unwrap_or(STRAIGHT);
    while let Some(Step { from, came, leg }) = best[at][way].last {
        if let Some(answer) = answers.get(way) {
            for i in from..=at {
                let inside = from < i && i < at;
                let here = answer.snaps[i].or(matched.snaps[i].filter(|_| !inside));
                matched.snaps[i] = here;
            }
            matched.legs.push(answer.legs[leg].clone());
        }
        (at, way) = (from, came);
    }
    matched.legs.reverse();
    matched
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::tests::city::{fixes_at, leg, trace};

    /// Every 50 m along a street, and what lies beside it.
    fn street() -> Vec<Observation> {
        trace(&[0.0, 50.0, 100.0, 150.0, 200.0].map(|x| (x, 0.0)))
    }

    fn answer(trace: &[Observation], legs: &[(usize, usize)]) -> MatchedTrace {
        let mut answer = MatchedTrace::unknown(trace.len());
        answer.add(legs.iter().map(|(from, to)| leg(trace, *from, *to)));
        answer
    }

    fn chosen(answers: [&MatchedTrace; 2]) -> Vec<(usize, usize)> {
        let trace = street();
        let fixes = fixes_at(&trace);
        let matched = cheapest(answers, &Price::new(&trace, &fixes, 6.0));
        matched.legs.iter().map(|leg| (leg.from, leg.to)).collect()
    }

    #[test]
    fn what_one_answer_lacks_the_other_lends() {
        let trace = street();
        let first = answer(&trace, &[(0, 1), (1, 2), (3, 4)]);
        let second = answer(&trace, &[(2, 3), (3, 4)]);
        assert_eq!(chosen([&first, &second]), [(0, 1), (1, 2), (2, 3), (3, 4)]);
    }

    #[test]
    fn a_road_between_two_places_that_the_map_lacks_is_kept() {
        let trace = street();
        let road = answer(&trace, &[(1, 2), (2, 3)]);
        let none = MatchedTrace::unknown(trace.len());
        assert_eq!(chosen([&road, &none]), [(1, 2), (2, 3)]);
    }

    #[test]
    fn answers_that_do_not_meet_are_not_mixed() {
        let trace = street();
        let first = answer(&trace, &[(0, 1), (1, 2)]);
        let mut second = answer(&trace, &[(0, 1), (1, 2), (2, 3), (3, 4)]);
        for leg in &mut second.legs {
            leg.line.iter_mut().for_each(|place| place[1] += 0.0001);
        }
        // Eleven metres off all the way is dearer than a straight line at the end is.
        assert_eq!(chosen([&first, &second]), [(0, 1), (1, 2), (2, 3), (3, 4)]);
        let mixed = cheapest(
            [&first, &second],
            &Price::new(&trace, &fixes_at(&trace), 6.0),
        );
        assert_eq!(mixed.legs[0].line, second.legs[0].line);
    }

    #[test]
    fn a_way_that_cannot_have_been_driven_gives_way() {
        let trace = street();
        let mut first = answer(&trace, &[(0, 1), (1, 2), (2, 3), (3, 4)]);
        first.legs[2].distance += 900.0;
        let second = answer(&trace, &[(2, 3)]);
        let price_of = |chosen: &MatchedTrace| chosen.legs[2].distance;
        let fixes = fixes_at(&trace);
        let chosen = cheapest([&first, &second], &Price::new(&trace, &fixes, 6.0));
        assert!(price_of(&chosen) < 60.0);
    }

    #[test]
    fn a_line_that_turns_back_does_not_meet() {
        let trace = street();
        let (out, back) = (leg(&trace, 0, 1), leg(&trace, 1, 2));
        assert!(meets(&out.line, &back.line));
        let home: Vec<Place> = out.line.iter().rev().copied().collect();
        assert!(!meets(&out.line, &home));
    }
}
