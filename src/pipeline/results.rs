//! What windows came to, as it is written: their paths and stops.

use super::matching::Attempted;
use super::reading::Target;
use crate::error::Error;
use crate::lines;
use crate::store::Written;
use crate::track::{Micros, Path, Stop};

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
