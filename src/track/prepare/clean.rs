//! From raw fixes to one believable fix a second.
//!
//! Every choice looks at values alone, never at the order of arrival, and an exact copy of a fix
//! changes nothing.

use super::late;
use super::repeats::{frozen, repeats};
use super::teleports;
use crate::track::geo;
use crate::track::model::{Dropped, Fix, Micros, Window};
use crate::track::recipe::Recipe;
use crate::track::recipe::prepare::{NULL_ISLAND, READINGS};

/// What is left of a span of fixes, and what is not.
#[derive(Debug, Clone, Default)]
pub struct Cleaned {
    /// At most one a second, ascending.
    pub fixes: Vec<Fix>,
    lost: Vec<(Micros, Loss)>,
}

#[derive(Debug, Clone, Copy)]
enum Loss {
    Duplicate,
    NullIsland,
    Teleport,
}

impl Cleaned {
    fn lose(&mut self, fixes: &[Fix], loss: Loss) {
        self.lost.extend(fixes.iter().map(|f| (f.time, loss)));
    }

    /// Takes those of the fixes away that are lost.
    fn take_away(
        &mut self,
        fixes: &mut Vec<Fix>,
        loss: Loss,
        mut is_lost: impl FnMut(&Fix) -> bool,
    ) {
        fixes.retain(|fix| {
            let lost = is_lost(fix);
            if lost {
                self.lost.push((fix.time, loss));
            }
            !lost
        });
    }

    /// The same of those that are told to be where the vehicle was not, one by one.
    fn take_untrue(&mut self, fixes: &mut Vec<Fix>, untrue: Vec<bool>) {
        let mut untrue = untrue.into_iter();
        self.take_away(fixes, Loss::Teleport, |_| untrue.next() == Some(true));
    }

    /// Leaves out the fixes that nothing is made of, given by their time: none before or after can be reached from them.
    pub fn lose_unreached(&mut self, mut is_used: impl FnMut(Micros) -> bool) {
        let mut fixes = std::mem::take(&mut self.fixes);
        self.take_away(&mut fixes, Loss::Teleport, |fix| !is_used(fix.time));
        self.fixes = fixes;
    }

    /// The losses of one window in one slot.
    pub fn dropped(&self, window: Window, slot: Window) -> Dropped {
        let mut dropped = Dropped::default();
        let here = |(time, _): &&(Micros, Loss)| window.holds(*time) && slot.holds(*time);
        for (_, loss) in self.lost.iter().filter(here) {
            match loss {
                Loss::Duplicate => dropped.duplicate += 1,
                Loss::NullIsland => dropped.null_island += 1,
                Loss::Teleport => dropped.teleport += 1,
            }
        }
        dropped
    }
}

fn is_null_island(fix: &Fix) -> bool {
    fix.lon.abs() < NULL_ISLAND && fix.lat.abs() < NULL_ISLAND
}

/// Cleans fixes in the order of [`Fixes`](crate::track::Fixes).
pub fn clean(sorted: &[Fix], recipe: &Recipe) -> Cleaned {
    let mut cleaned = Cleaned::default();
    let mut usable = sorted.to_vec();
    cleaned.take_away(&mut usable, Loss::NullIsland, is_null_island);
    let repeated = repeats(&usable);
    cleaned.take_untrue(&mut usable, repeated);
    late::spread(&mut usable, recipe);
    let mut each_second: Vec<Fix> = Vec::with_capacity(usable.len().min(1 << 16));
    let mut groups = usable.chunk_by(|a, b| a.second() == b.second()).peekable();
    while let Some(group) = groups.next() {
        let next = groups.peek().map_or(&[][..], |next| next);
        let kept = best(group, each_second.last(), next);
        cleaned.lose(&group[..kept], Loss::Duplicate);
        cleaned.lose(&group[kept + 1..], Loss::Duplicate);
        each_second.push(group[kept]);
    }
    drop_unbelievable(each_second, &mut cleaned);
    cleaned
}

/// Which of the fixes of one second to keep: of those that claim to be the most accurate the one
/// that lies best on the way from the fix before to the nearest one of the second after, for a
/// stale reading lies back on the road; where one of the two is missing, the first.
fn best(group: &[Fix], before: Option<&Fix>, after: &[Fix]) -> usize {
    let way = |fix: &Fix| {
        let to = |other: &Fix| geo::distance(fix.place(), other.place());
        let nearest = after.iter().take(READINGS).map(to).reduce(f64::min);
        before.zip(nearest).map_or(0.0, |(fix, on)| to(fix) + on)
    };
    let accuracy = |fix: &Fix| fix.accuracy.unwrap_or(f64::INFINITY);
    let finest = group.iter().map(accuracy).fold(f64::INFINITY, f64::min);
    (group.iter().enumerate())
        .filter(|(_, fix)| accuracy(fix) == finest)
        .take(READINGS)
        .map(|(i, fix)| (way(fix), i))
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(0, |(_, i)| i)
}

/// Leaves out what a receiver repeated while the vehicle went on, and teleports.
fn drop_unbelievable(mut fixes: Vec<Fix>, cleaned: &mut Cleaned) {
    let frozen = frozen(&fixes);
    cleaned.take_untrue(&mut fixes, frozen);
    let believable = teleports::believable(&fixes);
    cleaned.fixes.reserve(believable.len());
    let mut next = 0;
    for at in believable {
        cleaned.lose(&fixes[next..at], Loss::Teleport);
        cleaned.fixes.push(fixes[at]);
        next = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::model::{Fixes, SECOND};
    use crate::track::tests::city::recipe;

    fn fix(second: f64, lon: f64, lat: f64) -> Fix {
        Fix {
            time: (second * SECOND as f64) as Micros,
            lon,
            lat,
            ..Fix::default()
        }
    }

    const ALL: Window = Window {
        start: 0,
        end: 1_000 * SECOND,
    };

    #[test]
    fn one_fix_a_second_and_the_more_accurate_one() {
        let mut fixes = [fix(1.0, 24.0, 60.0), fix(1.5, 24.0001, 60.0)];
        fixes[1].accuracy = Some(3.0);
        let cleaned = clean(Fixes::from(fixes.to_vec()).all(), &recipe(300));
        assert_eq!(cleaned.fixes, [fixes[1]]);
        assert_eq!(cleaned.dropped(ALL, ALL).duplicate, 1);
    }

    #[test]
    fn of_equal_ones_that_on_the_way() {
        let fixes = [
            fix(1.0, 24.0, 60.0),
            fix(2.0, 24.0, 60.001),
            fix(2.3, 24.0, 60.0),
            fix(2.6, 24.0, 59.999),
            fix(3.0, 24.0, 60.002),
        ];
        assert_eq!(
            clean(Fixes::from(fixes.to_vec()).all(), &recipe(300)).fixes[1],
            fixes[1]
        );
    }

    #[test]
    fn null_island_is_dropped_and_counted() {
        let cleaned = clean(&[fix(1.0, 0.0, 0.0), fix(2.0, 24.0, 60.0)], &recipe(300));
        assert_eq!(cleaned.fixes.len(), 1);
        assert_eq!(cleaned.dropped(ALL, ALL).null_island, 1);
    }

    #[test]
    fn a_short_excursion_is_a_teleport() {
        let mut fixes: Vec<Fix> = (0..20).map(|i| fix(i as f64, 24.0, 60.0)).collect();
        fixes[7].lat = 60.1;
        fixes[12].lat = 60.1;
        fixes[13].lat = 60.1;
        let cleaned = clean(&fixes, &recipe(300));
        assert_eq!(cleaned.fixes.len(), 17);
        assert_eq!(cleaned.dropped(ALL, ALL).teleport, 3);
    }

    #[test]
    fn a_place_repeated_while_the_vehicle_went_on_is_dropped() {
        let at = |i: usize| fix(i as f64, 24.0, if i < 30 { 60.0 } else { 60.01 });
        let fixes: Vec<Fix> = (0..40).map(at).collect();
        let cleaned = clean(&fixes, &recipe(300));
        assert_eq!(cleaned.fixes[..2], [fixes[0], fixes[30]]);
        assert_eq!(cleaned.dropped(ALL, ALL).teleport, 29);
    }

    #[test]
    fn a_jump_that_stays_is_kept() {
        let fixes: Vec<Fix> = (0..20)
            .map(|i| fix(i as f64, 24.0, if i < 10 { 60.0 } else { 60.1 }))
            .collect();
        assert_eq!(clean(&fixes, &recipe(300)).fixes.len(), 20);
    }
}
