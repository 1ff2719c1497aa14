//! Windows of a length: where they lie, and which of another length they cover.

use crate::store::DeviceWindow;
use crate::track::{Micros, Window};

/// Windows of a length that lie in or over another.
pub fn covers(window: &DeviceWindow, length: Micros) -> impl Iterator<Item = DeviceWindow> {
    (floor(window.span.start, length)..window.span.end)
        .step_by(length as usize)
        .map(move |start| window_at(window.device.clone(), start, length))
}

/// The window of a length that holds a moment.
pub fn window_at(device: String, moment: Micros, length: Micros) -> DeviceWindow {
    let start = floor(moment, length);
    let span = Window {
        start,
        end: start + length,
    };
    DeviceWindow { device, span }
}

pub fn floor(moment: Micros, length: Micros) -> Micros {
    moment.div_euclid(length) * length
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Micros = 60_000_000;
    const HOUR: Micros = 60 * MINUTE;

    fn window(device: &str, minute: i64, minutes: i64) -> DeviceWindow {
        window_at(device.into(), minute * MINUTE, minutes * MINUTE)
    }

    #[test]
    fn a_window_holds_its_start_and_not_its_end() {
        assert_eq!(window("a", 5, 5), window("a", 9, 5));
        assert_ne!(window("a", 5, 5), window("a", 10, 5));
        let before_the_epoch = window_at("a".into(), -1, HOUR).span;
        assert_eq!((before_the_epoch.start, before_the_epoch.end), (-HOUR, 0));
    }

    #[test]
    fn windows_of_another_length_leave_no_time_uncovered() {
        let hour: Vec<_> = covers(&window("a", 60, 60), 15 * MINUTE).collect();
        assert_eq!(
            hour,
            [60, 75, 90, 105].map(|minute| window("a", minute, 15))
        );
        let within: Vec<_> = covers(&window("a", 75, 15), HOUR).collect();
        assert_eq!(within, [window("a", 60, 60)]);
    }
}
