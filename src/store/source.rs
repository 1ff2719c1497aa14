//! Where points lie: the extension's own table and tables of the user that were adopted.

use super::{Columns, rows};
use crate::error::Error;

/// A table of points, as fragments of SQL. Identifiers are quoted already; in the expressions `p`
/// is the row.
#[derive(Debug, Clone)]
pub struct Source {
    relation: String,
    device: String,
    device_value: String,
    time: String,
    time_expression: String,
    bound_expression: String,
    longitude: String,
    latitude: String,
    accuracy: String,
}

impl Source {
    /// Fills a statement's `{...}` marks with this source's fragments. `{bound:X}` is the
    /// timestamptz X as a value that the time column is compared with, `{named:X}` the text X as
    /// one that the device column is compared with: null where no device of this source can have
    /// that name.
    pub(super) fn statement(&self, template: &str) -> String {
        let bounds = fill(template, "{bound:", &self.bound_expression, "$t");
        let mut sql = fill(&bounds, "{named:", &self.device_value, "$d");
        for (mark, fragment) in [
            ("{relation}", &self.relation),
            ("{device}", &self.device),
            ("{time}", &self.time),
            ("{time_expression}", &self.time_expression),
            ("{longitude}", &self.longitude),
            ("{latitude}", &self.latitude),
            ("{accuracy}", &self.accuracy),
        ] {
            sql = sql.replace(mark, fragment);
        }
        sql
    }

    fn own() -> Self {
        Self {
            relation: "gps_coordinates".into(),
            device: "device_id".into(),
            device_value: "$d".into(),
            time: "recorded_at".into(),
            time_expression: "p.recorded_at".into(),
            bound_expression: "$t".into(),
            longitude: "p.longitude".into(),
            latitude: "p.latitude".into(),
            accuracy: "p.accuracy".into(),
        }
    }
}

/// Replaces each `{mark:X}` by the expression with X in the place of its variable.
fn fill(template: &str, mark: &str, expression: &str, variable: &str) -> String {
    let mut parts = template.split(mark);
    let mut sql = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (value, rest) = part.split_once('}').expect("a statement closes its marks");
        sql.push_str(&expression.replace(variable, value));
        sql.push_str(rest);
    }
    sql
}

/// All sources, the extension's own table first.
pub fn sources() -> Result<Vec<Source>, Error> {
    let mut all = vec![Source::own()];
    all.extend(rows(
        "read the adopted sources",
        include_str!("adopted_sources.sql"),
        &[],
        |row: &Columns<'_, '_>| {
            Ok(Source {
                relation: row.get(1)?,
                device: row.get(2)?,
                device_value: row.get(3)?,
                time: row.get(4)?,
                time_expression: row.get(5)?,
                bound_expression: row.get(6)?,
                longitude: row.get(7)?,
                latitude: row.get(8)?,
                accuracy: row.get(9)?,
            })
        },
    )?);
    Ok(all)
}
