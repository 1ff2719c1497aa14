//! When an open window settles.
//!
//! While more of its points are expected, what a window shows is provisional: new points are matched on from
//! where the line ended. It is matched as a whole, once, when that is over.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::track::{self, Micros};

/// When a window settles whose newest point is this one: some time after its slot is over, when the points
/// that follow have come. Devices settle at different moments of the time that a slot takes, so that each run
/// has an equal share of them. `None` where that is over, or nothing is provisional.
pub fn settles_at(device: &str, newest: Micros, delay: Micros, now: Micros) -> Option<Micros> {
    let slot = track::slot_at(newest);
    let length = slot.end - slot.start;
    let mut hasher = DefaultHasher::new();
    device.hash(&mut hasher);
    let spread = hasher.finish() % length as u64;
    let at = slot.end + delay + spread as Micros;
    (delay > 0 && at > now).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Micros = 60_000_000;

    #[test]
    fn a_window_is_open_until_its_slot_is_over_and_what_follows_has_come() {
        let slot = track::slot_at(0);
        let at = settles_at("a", 1, MINUTE, 1).unwrap();
        assert!((slot.end + MINUTE..2 * slot.end + MINUTE).contains(&at));
        assert_eq!(settles_at("a", 1, MINUTE, at), None);
        assert_eq!(settles_at("a", 1, 0, 1), None);
    }

    #[test]
    fn devices_settle_one_after_the_other() {
        let at = |n: usize| settles_at(&format!("car-{n}"), 1, MINUTE, 1).unwrap();
        let end = track::slot_at(0).end + MINUTE;
        let early = (0..1000).filter(|n| at(*n) - end < end / 4).count();
        assert!((200..350).contains(&early), "{early}");
    }
}
