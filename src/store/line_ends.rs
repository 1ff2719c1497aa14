//! Where the lines of open windows ended.

use super::claims::{DeviceWindow, devices, starts};
use super::statement::{Columns, rows, timestamps};
use crate::error::Error;
use crate::lines;
use crate::track::{Grade, LineEnd, Micros, Path, PathKind, Quality};

/// Where the line of each device ended before a moment, in the order asked, with the path that it ended with where that
/// is a matched one of the window.
pub fn line_ends(asked: &[(&DeviceWindow, Micros)]) -> Result<Vec<Option<LineEnd>>, Error> {
    let windows = || asked.iter().map(|(window, _)| *window);
    rows(
        "look up where lines end",
        include_str!("line_ends.sql"),
        &[
            devices(windows()).into(),
            timestamps(asked.iter().map(|(_, moment)| *moment)).into(),
            starts(windows()).into(),
        ],
        |row| {
            let Some(time) = row.maybe_time(1)? else {
                return Ok(None);
            };
            let start = row.maybe_time(2)?;
            let path = start.map(|start| path(row, start, time)).transpose()?;
            Ok(Some(LineEnd { time, path }))
        },
    )
}

fn path(row: &Columns, start: Micros, end: Micros) -> Result<Path, Error> {
    let number = |at| row.maybe::<f32>(at).map(|value| value.map(f64::from));
    let figure = |at| number(at).map(Option::unwrap_or_default);
    Ok(Path {
        kind: PathKind::Matched,
        start,
        end,
        line: lines::decode(row.get(3)?),
        confidence: row.maybe(4)?,
        fixes: row.maybe::<i32>(5)?.unwrap_or_default() as usize,
        quality: Quality {
            matched_share: figure(6)?,
            mean_offset: number(7)?,
            length: figure(8)?,
            fixes_length: figure(9)?,
            top_speed: figure(10)?,
            grade: match row.get::<bool>(11)? {
                true => Grade::Good,
                false => Grade::Doubtful,
            },
        },
        reason: None,
    })
}
