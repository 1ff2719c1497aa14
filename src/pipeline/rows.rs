//! What an attempt leaves in rows and counts for in a report, the spans by which it reaches other windows, and when a
//! window is tried again.

use pgrx::datum::Uuid;

use super::matching::Attempted;
use super::reading::Target;
use crate::error::Error;
use crate::lines;
use crate::store::{DeviceWindow, RunRow, Status, Written};
use crate::track::{Micros, Path, Stop};

/// A window is never put off for longer than this.
const LONGEST_PAUSE: Micros = 6 * 3_600_000_000;

/// The pause before a window is tried again: `first` doubles with each attempt, and the batch's own
/// id spreads windows that failed together by a quarter either way.
pub fn pause(first: Micros, retries: i32, batch: Uuid) -> Micros {
    let doubled = first << (retries - 1).clamp(0, 20);
    // Its first bytes say when it was made.
    let spread = 0.75 + 0.5 * f64::from(batch.as_bytes()[15]) / 255.0;
    ((doubled.min(LONGEST_PAUSE) as f64) * spread) as Micros
}

pub fn paths(done: &[&Attempted]) -> Result<Vec<Written<(Path, String)>>, Error> {
    let mut all = Vec::new();
    for attempted in done {
        for path in &attempted.outcome.paths {
            let encoded = lines::encode(&path.line)
                .map_err(|e| Error::Defect(format!("could not encode a path: {e}")))?;
            all.push(written(attempted, (path.clone(), encoded)));
        }
    }
    Ok(all)
}

pub fn stops(done: &[&Attempted]) -> Vec<Written<Stop>> {
    done.iter()
        .flat_map(|a| a.outcome.stops.iter().map(|stop| written(a, *stop)))
        .collect()
}

/// Stops of open windows, each after the start of its window.
pub fn onward_stops(onward: &[&Attempted]) -> Vec<Written<(Micros, Stop)>> {
    let of = |a: &&Attempted| {
        let stops = a.outcome.stops.iter();
        let item = |stop: &Stop| (a.target.window.span.start, *stop);
        stops.map(|stop| written(a, item(stop))).collect::<Vec<_>>()
    };
    onward.iter().flat_map(of).collect()
}

fn written<T>(attempted: &Attempted, item: T) -> Written<T> {
    let Target { window, batch, .. } = &attempted.target;
    Written {
        batch: *batch,
        device: window.device.clone(),
        millis: attempted.how.millis,
        item,
    }
}

/// The devices of windows with their first and last new points, where there are any.
pub fn new_points(targets: &[&Target]) -> Vec<(String, Micros, Micros)> {
    let new = |target: &&Target| {
        let (first, last) = target.new?;
        Some((target.window.device.clone(), first, last))
    };
    targets.iter().filter_map(new).collect()
}

pub fn spans(windows: Vec<(bool, DeviceWindow)>) -> Vec<(String, Micros, Micros)> {
    let span = |(_, w): (bool, DeviceWindow)| (w.device, w.span.start, w.span.end);
    windows.into_iter().map(span).collect()
}

/// Counts windows in the report; what a window that is put off holds counts once it is done.
pub fn count(attempted: &[Attempted], report: &mut RunRow) {
    for one in attempted {
        match one.status {
            Status::Pending => report.windows_deferred += 1,
            Status::Completed => report.windows_completed += 1,
            Status::Failed => report.windows_failed += 1,
        }
        if one.is_final() {
            report.points += one.target.marks.iter().map(Vec::len).sum::<usize>() as i64;
            report.rejected += one.target.rejected as i64;
            report.paths += one.outcome.paths.len() as i32;
            report.delay.add(one.target.delay);
        }
    }
}

#[cfg(test)]
mod tests {
    use pgrx::pg_sys::{ItemPointerData, Oid};

    use super::*;
    use crate::pipeline::claiming::Claim;
    use crate::pipeline::matching::How;
    use crate::track::{Outcome, Window};

    const MINUTE: Micros = 60_000_000;

    fn pause_of(last_byte: u8, retries: i32) -> Micros {
        let mut batch = [7; 16];
        batch[15] = last_byte;
        pause(MINUTE, retries, Uuid::from_bytes(batch))
    }

    #[test]
    fn pauses_double_until_they_are_long_enough() {
        for byte in [0, 255] {
            assert_eq!(pause_of(byte, 3), 4 * pause_of(byte, 1));
            assert_eq!(pause_of(byte, 30), pause_of(byte, 10));
        }
    }

    #[test]
    fn windows_that_failed_together_come_back_a_quarter_sooner_or_later() {
        assert_eq!(pause_of(0, 1), MINUTE * 3 / 4);
        assert_eq!(pause_of(255, 1), MINUTE * 5 / 4);
        assert_eq!(pause_of(255, 1000), LONGEST_PAUSE * 5 / 4);
    }

    /// A window that holds a point.
    fn attempted(status: Status) -> Attempted {
        let span = Window {
            start: 0,
            end: 5 * MINUTE,
        };
        let device = "a".into();
        let mut target = Target::new(Claim::of(DeviceWindow { device, span }), 1);
        target.marks = vec![vec![(Oid::INVALID, ItemPointerData::default())]];
        Attempted {
            target,
            status,
            retries: 0,
            error: None,
            outcome: Outcome::default(),
            how: How::default(),
        }
    }

    #[test]
    fn points_of_a_window_that_is_put_off_are_not_counted_yet() {
        let mut report = RunRow::default();
        count(&[attempted(Status::Pending)], &mut report);
        assert_eq!((report.windows_deferred, report.points), (1, 0));
        count(
            &[attempted(Status::Completed), attempted(Status::Failed)],
            &mut report,
        );
        assert_eq!((report.windows_completed, report.windows_failed), (1, 1));
        assert_eq!((report.windows_deferred, report.points), (1, 2));
    }
}
