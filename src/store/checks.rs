//! Checks that are put off to the end of the transaction: those of keys that are initially deferred, as frameworks make
//! all of theirs, and triggers of that kind.
//!
//! At the end of the transaction one that fails would take back all that the others have done, again with each run. So what
//! a part of a run has caused is checked at the part's end, while that alone can be taken back.

use std::collections::BTreeMap;

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;

use super::schema::writing_path;
use super::statement::{command, read};
use crate::backend::{self, Options, has_put_off};
use crate::error::Error;

/// Constraints whose checks are put off.
#[derive(Debug)]
pub struct Checks(Vec<Check>);

#[derive(Debug)]
struct Check {
    schema: String,
    name: String,
    /// Whose changes may cause it.
    tables: Vec<pg_sys::Oid>,
}

impl Check {
    fn is_due(&self) -> bool {
        self.tables.iter().any(|table| has_put_off(*table))
    }
}

impl Checks {
    /// All but those that wait already: when these are made is for the transaction to say that we were called in.
    pub fn new() -> Result<Self, Error> {
        Ok(Self::all()?.without_due())
    }

    /// The same of one table.
    pub fn of(table: pg_sys::Oid) -> Result<Self, Error> {
        let of =
            "AND t.tgconstraint IN (SELECT o.tgconstraint FROM pg_trigger o WHERE o.tgrelid = $1)";
        Ok(look_up(of, &[table.into()])?.without_due())
    }

    /// All but those that wait for a change of these tables.
    pub fn but(tables: &[pg_sys::Oid]) -> Result<Self, Error> {
        let mut checks = Self::all()?;
        let others = |check: &Check| !check.tables.iter().any(|table| tables.contains(table));
        checks.0.retain(others);
        Ok(checks)
    }

    /// Tables that checks wait for.
    pub fn tables() -> Result<Vec<pg_sys::Oid>, Error> {
        let tables = Self::all()?.0.into_iter().flat_map(|check| check.tables);
        Ok(tables.filter(|table| has_put_off(*table)).collect())
    }

    fn all() -> Result<Self, Error> {
        look_up("", &[])
    }

    fn without_due(mut self) -> Self {
        self.0.retain(|check| !check.is_due());
        self
    }

    /// Makes the checks that wait, and those that come of them; whatever comes later is put off again.
    pub fn make(&self) -> Result<(), Error> {
        let mut left: Vec<&Check> = self.0.iter().collect();
        let mut made = Vec::new();
        loop {
            let (due, others): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|check| check.is_due());
            if due.is_empty() {
                return set(&made, "DEFERRED");
            }
            set(&due, "IMMEDIATE")?;
            made.extend(due);
            left = others;
        }
    }

    /// Does a part that may fail alone, with the checks that it has caused.
    pub fn attempt<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        backend::attempt(|| {
            let done = work()?;
            self.make()?;
            Ok(done)
        })
    }

    /// Does something with each check made at once.
    pub fn at_once<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let all: Vec<&Check> = self.0.iter().collect();
        set(&all, "IMMEDIATE")?;
        let result = work();
        set(&all, "DEFERRED")?;
        result
    }
}

fn look_up(of: &str, args: &[DatumWithOid<'_>]) -> Result<Checks, Error> {
    let checks = read(
        "look for checks that are put off",
        &include_str!("put_off_checks.sql").replace("{of}", of),
        args,
        |row| {
            Ok(Check {
                schema: row.get(1)?,
                name: row.get(2)?,
                tables: row.get(3)?,
            })
        },
    )?;
    Ok(Checks(checks))
}

/// Says when checks are made. Triggers were written for the schema of their table.
fn set(checks: &[&Check], when: &str) -> Result<(), Error> {
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for check in checks {
        names.entry(&check.schema).or_default().push(&check.name);
    }
    for (schema, names) in names {
        let _path = Options::search_path(&writing_path(schema));
        command(
            "make checks that are put off",
            &format!("SET CONSTRAINTS {} {when}", names.join(", ")),
        )?;
    }
    Ok(())
}
