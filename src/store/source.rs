//! Where points lie: the extension's own table and tables of the user that were adopted.

use std::collections::HashMap;

use pgrx::datum::Json;
use serde_json::Value;

use super::statement::rows;
use crate::error::Error;

/// A table of points, as fragments of SQL by their marks, as `_sources()` gives them.
#[derive(Debug, Clone)]
pub struct Source(HashMap<String, String>);

/// What `{mark:X}` stands for, X, within the mark's fragment.
const VALUE: &str = "$value";

impl Source {
    /// Takes the fragments of a row of `_sources()`.
    pub fn new(fragments: Value) -> Self {
        Self(serde_json::from_value(fragments).expect("fragments are an object of texts"))
    }

    /// Replaces each `{mark}` of a statement by its fragment, and each `{mark:X}` by its fragment
    /// with X for its value. What a fragment holds is never taken for a mark: names are the user's.
    pub fn statement(&self, template: &str) -> String {
        let mut parts = template.split('{');
        let mut sql = parts.next().unwrap_or_default().to_string();
        for part in parts {
            let (mark, rest) = part.split_once('}').expect("a statement closes its marks");
            match mark.split_once(':') {
                Some((mark, value)) => sql.push_str(&self.fragment(mark).replace(VALUE, value)),
                None => sql.push_str(self.fragment(mark)),
            }
            sql.push_str(rest);
        }
        sql
    }

    fn fragment(&self, mark: &str) -> &str {
        self.0
            .get(mark)
            .unwrap_or_else(|| panic!("sources have no fragment {mark}"))
    }
}

/// All sources, the extension's own table first.
pub fn sources() -> Result<Vec<Source>, Error> {
    rows(
        "read the sources of points",
        "SELECT fragments FROM _sources() ORDER BY ordinal",
        &[],
        |row| Ok(Source::new(row.get::<Json>(1)?.0)),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn source() -> Source {
        Source::new(json!({
            "relation": r#"fleet."{device}""#,
            "device": r#""{time}""#,
            "named": "$value::bpchar",
            "bound": "($value AT TIME ZONE 'UTC')",
        }))
    }

    #[test]
    fn a_name_that_looks_like_a_mark_stays_a_name() {
        let filled = source().statement("SELECT FROM {relation} p WHERE p.{device} = 'a'");
        assert_eq!(
            filled,
            r#"SELECT FROM fleet."{device}" p WHERE p."{time}" = 'a'"#
        );
    }

    #[test]
    fn a_mark_may_have_a_value() {
        let filled = source().statement("{named:$1}, {bound:(a + $2)}, {named:w.device}");
        assert_eq!(
            filled,
            "$1::bpchar, ((a + $2) AT TIME ZONE 'UTC'), w.device::bpchar"
        );
    }

    #[test]
    #[should_panic(expected = "no fragment place")]
    fn a_mark_that_is_none_is_a_defect() {
        source().statement("SELECT {place}");
    }
}
