//! Where points lie: the extension's own table and tables of the user that were adopted.
//!
//! Statements over an adopted table run with its owner's rights, and each in a subtransaction: what
//! is wrong with the table then sets the table aside, and nothing else. The extension's own table needs
//! neither: what is wrong with that leaves nothing to go on with.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::CString;
use std::ops::Range;

use pgrx::datum::{DatumWithOid, Json};
use pgrx::pg_sys;
use serde_json::Value;

use super::checks::Checks;
use super::schema::{schema, writing_path};
use super::statement::{Columns, execute, read, read_as_seen, read_rows, rows, run};
use crate::backend::{self, Actor, Options};
use crate::error::{Error, Failure};
use crate::track::Micros;

/// A device's clock may be ahead by this much; points later than that wait for their time.
pub const CLOCK_AHEAD: Micros = 24 * 3_600_000_000;

/// A table of points.
#[derive(Debug)]
pub struct Source {
    /// Its place among the sources.
    number: usize,
    relation: pg_sys::Oid,
    fragments: Fragments,
    /// Left out of this run.
    aside: Cell<bool>,
    /// Rows of it that this run has set aside, for no window can hold them.
    rejected: Cell<i64>,
    back: bool,
    /// There are groups of devices.
    grouped: bool,
}

/// A table as fragments of SQL by their marks, as `_sources()` gives them.
#[derive(Debug)]
pub struct Fragments(HashMap<String, String>);

/// What `{mark:X}` stands for, X, within the mark's fragment.
const VALUE: &str = "$value";

/// The mark of the group that a row says its device is in; there where a group goes by a column of the table.
const GROUP: &str = "group";

impl Fragments {
    pub fn new(fragments: Value) -> Self {
        Self(serde_json::from_value(fragments).expect("fragments are an object of texts"))
    }

    /// Replaces each `{mark}` of a statement by its fragment, and each `{mark:X}` by its fragment
    /// with X for its value. What a fragment holds is never taken for a mark: names are the user's.
    pub fn fill(&self, template: &str) -> String {
        let mut parts = template.split('{');
        let mut sql = parts.next().unwrap_or_default().to_string();
        for part in parts {
            let (mark, rest) = part.split_once('}').expect("a statement closes its marks");
            match mark.split_once(':') {
                Some((mark, value)) => sql.push_str(&self.get(mark).replace(VALUE, value)),
                None => sql.push_str(self.get(mark)),
            }
            sql.push_str(rest);
        }
        sql
    }

    /// Who reads the table, if it is not ours. Others may be able to make operators in its schema,
    /// which could match its columns better than pg_catalog's.
    fn reader(&self) -> Option<Actor> {
        self.owner(c"pg_catalog, pg_temp".into())
    }

    /// Who changes the table, if it is not ours.
    fn writer(&self) -> Option<Actor> {
        self.owner(writing_path(self.get("schema")))
    }

    fn owner(&self, search_path: CString) -> Option<Actor> {
        let user = self.0.get("owner")?;
        Some(Actor {
            user: pg_sys::Oid::from_u32(user.parse().expect("an owner is a number")),
            search_path,
            row_security: false,
        })
    }

    fn is_adopted(&self) -> bool {
        self.0.contains_key("owner")
    }

    /// Where its rows lie in partitions or chunks, it is worth planning a query each time for the times that it looks between.
    fn plans(&self) -> Option<Options> {
        self.are_divided().then(Options::plans_of_values)
    }

    fn are_divided(&self) -> bool {
        self.get("divided") == "true"
    }

    fn get(&self, mark: &str) -> &str {
        self.0
            .get(mark)
            .unwrap_or_else(|| panic!("sources have no fragment {mark}"))
    }
}

impl Source {
    pub fn is_adopted(&self) -> bool {
        self.fragments.is_adopted()
    }

    /// Whether its rows lie in partitions or chunks.
    pub(super) fn is_divided(&self) -> bool {
        self.fragments.are_divided()
    }

    pub fn rejected(&self) -> i64 {
        self.rejected.get()
    }

    pub(super) fn count_rejected(&self, rows: i64) {
        self.rejected.set(self.rejected.get() + rows);
    }

    pub fn is_aside(&self) -> bool {
        self.aside.get()
    }

    /// By which expression over a device, and which values of it, the table says which devices it holds.
    pub(super) fn holds(&self) -> Option<(&str, Range<i64>)> {
        let text = |mark| self.fragments.0.get(mark).map(String::as_str);
        let bound = |mark| text(mark).map(|bound| bound.parse().expect("a bound is a number"));
        let range = bound("lowest").unwrap_or(i64::MIN)..bound("beyond").unwrap_or(i64::MAX);
        Some((text("key")?, range))
    }

    /// Rows of a query over the table; none where the table fails, which sets it aside.
    pub fn ask<T>(
        &self,
        doing: &'static str,
        template: &str,
        args: &[DatumWithOid<'_>],
        value: impl Fn(&Columns) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let sql = self.fragments.fill(template);
        let Some(reader) = self.fragments.reader() else {
            return read(doing, &sql, args, value);
        };
        if self.is_aside() {
            return Ok(Vec::new());
        }
        let asked = backend::attempt_as(&reader, || read(doing, &sql, args, &value));
        asked.or_else(|error| {
            self.set_aside(&Failure::from(error))?;
            Ok(Vec::new())
        })
    }

    /// The same of a query whose parameters say between which times it looks.
    pub fn search<T>(
        &self,
        doing: &'static str,
        template: &str,
        args: &[DatumWithOid<'_>],
        value: impl Fn(&Columns) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let _plans = self.fragments.plans();
        self.ask(doing, template, args, value)
    }

    /// The same of a query that also has what others wrote to say: where it fails, that is no sign that the table does.
    pub fn attempt<T>(
        &self,
        doing: &'static str,
        template: &str,
        args: &[DatumWithOid<'_>],
        value: impl Fn(&Columns) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let _plans = self.fragments.plans();
        let sql = self.fragments.fill(template);
        let ask = || read(doing, &sql, args, value);
        match self.fragments.reader() {
            None => backend::attempt_theirs(ask),
            Some(reader) => backend::attempt_as(&reader, ask),
        }
    }

    /// Rows of a statement that changes one table that rows of the source lie in: its own, or a partition. So the
    /// cost does not go with the number of partitions, and a row's place alone says which it is.
    pub fn change<T>(
        &self,
        part: pg_sys::Oid,
        doing: &'static str,
        template: &str,
        args: &[DatumWithOid<'_>],
        value: impl Fn(&Columns) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        if part == self.relation {
            return self.change_table(part, &self.fragments, doing, template, args, value);
        }
        let fragments = self.fragments_of(part)?;
        self.change_table(part, &fragments, doing, template, args, value)
    }

    fn change_table<T>(
        &self,
        part: pg_sys::Oid,
        fragments: &Fragments,
        doing: &'static str,
        template: &str,
        args: &[DatumWithOid<'_>],
        value: impl Fn(&Columns) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let sql = fragments.fill(template);
        let Some(writer) = fragments.writer() else {
            let _path = Options::search_path(&writing_path(&schema()?));
            return run(doing, &sql, args, value);
        };
        // What somebody else's rights are for puts nothing off to where it would have ours: PostgreSQL refuses that.
        let changed = Checks::of(part)?
            .at_once(|| backend::attempt_as(&writer, || run(doing, &sql, args, value)));
        changed.map_err(|error| Error::Source(self.number, Failure::from(error)))
    }

    /// A partition, as fragments. The triggers that it has from its parent were written for the parent's schema.
    fn fragments_of(&self, part: pg_sys::Oid) -> Result<Fragments, Error> {
        let found = rows(
            "look up a partition",
            "SELECT format('%I.%I', n.nspname, c.relname), c.relowner::oid::text \
               FROM @extschema@._relation($1) c JOIN pg_namespace n ON n.oid = c.relnamespace",
            &[part.into()],
            |row| Ok((row.get::<String>(1)?, row.get::<String>(2)?)),
        )?;
        // What was read in this transaction is locked in it.
        let (relation, owner) = found
            .into_iter()
            .next()
            .ok_or_else(|| Error::Defect("a table of points is gone".into()))?;
        let mut fragments = self.fragments.0.clone();
        fragments.insert("relation".into(), relation);
        if self.is_adopted() {
            fragments.insert("owner".into(), owner);
        }
        Ok(Fragments(fragments))
    }

    pub fn relation(&self) -> pg_sys::Oid {
        self.relation
    }

    /// Its name, as a statement has it.
    pub fn name(&self) -> &str {
        self.fragments.get("relation")
    }

    /// Whether its rows say which group their devices are in.
    pub fn says_group(&self) -> bool {
        self.fragments.0.contains_key(GROUP)
    }

    /// It was set aside, and is to be tried again.
    pub fn is_back(&self) -> bool {
        self.back
    }

    /// Leaves the table out of this run and, unless it was but locked, out of those of the next
    /// minutes. Who only reads has no run to tell.
    pub fn set_aside(&self, why: &Failure) -> Result<(), Error> {
        self.aside.set(true);
        if backend::require_writable().is_err() {
            return Ok(());
        }
        execute(
            "set a source aside",
            include_str!("set_aside.sql"),
            &[
                self.relation.into(),
                why.message.clone().into(),
                why.is_lock().into(),
            ],
        )
    }
}

/// What a query of SQL's own over a table says, as a JSON array; nothing where the table fails. It is
/// for the table's owner, or for whoever reads where the table's policies are for readers.
pub fn ask_source(
    fragments: &Fragments,
    template: &str,
    args: &[DatumWithOid<'_>],
    for_reader: bool,
) -> Result<Option<String>, Error> {
    let query = format!(
        "SELECT coalesce(json_agg(q), '[]')::text FROM ({}) q",
        fragments.fill(template)
    );
    let ask = || {
        let _plans = fragments.plans();
        read_as_seen("ask a source", &query, args, |row| row.get(1))
    };
    let answer = match fragments.reader() {
        None => ask(),
        Some(reader) if for_reader && fragments.get("row_security") == "true" => {
            backend::attempt_as(&reader.for_reader(), ask)
        }
        Some(reader) => backend::attempt_as(&reader, ask),
    };
    match answer {
        Err(Error::Failed(_)) => Ok(None),
        answer => answer.map(|rows| rows.into_iter().next()),
    }
}

/// All sources, the extension's own table first.
pub fn sources() -> Result<Vec<Source>, Error> {
    read_rows(
        "read the sources of points",
        include_str!("sources.sql"),
        &[],
        |row| {
            let number = row.get::<i32>(1)? as usize;
            let mut fragments = Fragments::new(row.get::<Json>(3)?.0);
            let group: Option<String> = row.maybe(6)?;
            let grouped = group.is_some();
            if let Some(expression) = group.filter(|expression| !expression.is_empty()) {
                fragments.0.insert(GROUP.into(), expression);
            }
            for (mark, at) in [("deviceless", 7), ("timeless", 8)] {
                if let Some(condition) = row.maybe(at)? {
                    fragments.0.insert(mark.into(), condition);
                }
            }
            Ok(Source {
                number,
                relation: row.get(2)?,
                fragments,
                aside: Cell::new(row.get(4)?),
                rejected: Cell::new(0),
                back: row.get(5)?,
                grouped,
            })
        },
    )
}

/// Whether there are groups of devices, as was seen when the sources were read.
pub fn are_grouped(sources: &[Source]) -> bool {
    sources.iter().any(|source| source.grouped)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn source() -> Fragments {
        Fragments::new(json!({
            "relation": r#"fleet."{device}""#,
            "device": r#""{time}""#,
            "named": "$value::bpchar",
            "since": "p.at >= ($value AT TIME ZONE 'UTC')",
        }))
    }

    #[test]
    fn a_name_that_looks_like_a_mark_stays_a_name() {
        let filled = source().fill("SELECT FROM {relation} p WHERE p.{device} = 'a'");
        assert_eq!(
            filled,
            r#"SELECT FROM fleet."{device}" p WHERE p."{time}" = 'a'"#
        );
    }

    #[test]
    fn a_mark_may_have_a_value() {
        let filled = source().fill("{named:$1}, {since:(a + $2)}, {named:w.device}");
        assert_eq!(
            filled,
            "$1::bpchar, p.at >= ((a + $2) AT TIME ZONE 'UTC'), w.device::bpchar"
        );
    }

    #[test]
    #[should_panic(expected = "no fragment place")]
    fn a_mark_that_is_none_is_a_defect() {
        source().fill("SELECT {place}");
    }
}
