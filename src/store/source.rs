//! Where points lie: the extension's own table and tables of the user that were adopted.

use super::{Columns, rows};
use crate::error::Error;

/// A table of points, as fragments of SQL. Identifiers are quoted already; in the expressions `p`
/// is the row.
#[derive(Debug, Clone)]
pub struct Source {
    relation: String,
    id: String,
    id_type: String,
    device: String,
    device_type: String,
    time: String,
    time_expression: String,
    bound_expression: String,
    longitude: String,
    latitude: String,
    accuracy: String,
}

impl Source {
    /// Fills a statement's `{...}` marks with this source's fragments. `{bound:X}` is the
    /// timestamptz expression X as a value that the time column is compared with.
    pub(super) fn statement(&self, template: &str) -> String {
        let mut sql = template.to_string();
        while let Some(begin) = sql.find("{bound:") {
            let length = sql[begin..].find('}').expect("statement closes its marks");
            let moment = sql[begin + 7..begin + length].to_string();
            let bound = self.bound_expression.replace("$t", &moment);
            sql.replace_range(begin..=begin + length, &bound);
        }
        for (mark, fragment) in [
            ("{relation}", &self.relation),
            ("{id}", &self.id),
            ("{id_type}", &self.id_type),
            ("{device}", &self.device),
            ("{device_type}", &self.device_type),
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
            id: "id".into(),
            id_type: "bigint".into(),
            device: "device_id".into(),
            device_type: "text".into(),
            time: "recorded_at".into(),
            time_expression: "p.recorded_at".into(),
            bound_expression: "$t".into(),
            longitude: "p.longitude".into(),
            latitude: "p.latitude".into(),
            accuracy: "p.accuracy".into(),
        }
    }
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
                id: row.get(2)?,
                id_type: row.get(3)?,
                device: row.get(4)?,
                device_type: row.get(5)?,
                time: row.get(6)?,
                time_expression: row.get(7)?,
                bound_expression: row.get(8)?,
                longitude: row.get(9)?,
                latitude: row.get(10)?,
                accuracy: row.get(11)?,
            })
        },
    )?);
    Ok(all)
}
