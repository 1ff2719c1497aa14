//! The extension as the database has it: its version, which must be the library's, and its schema, which
//! statements name their tables with.
//!
//! No search_path would do. With the schema in it, a function or an operator that somebody else
//! has made there could match an argument better than the one of pg_catalog that was meant.

use std::cell::RefCell;
use std::ffi::CString;

use pgrx::{Spi, pg_sys};

use crate::error::Error;

/// What stands for the schema in a statement, as in the files of `sql/`.
const MARK: &str = "@extschema@";

/// The version of the tables and functions that this library goes with.
const LIBRARY: &str = env!("CARGO_PKG_VERSION");

thread_local! {
    /// The extension that was looked up last, and its schema. It cannot move, but it can be
    /// dropped and made anew elsewhere, with another oid. So this costs a round one look.
    static KNOWN: RefCell<Option<(pg_sys::Oid, String)>> = const { RefCell::new(None) };
}

/// A statement over the extension's own tables, their names qualified.
pub fn qualified(template: &str) -> Result<String, Error> {
    Ok(template.replace(MARK, &schema()?))
}

/// The extension's schema, quoted where it has to be.
pub fn schema() -> Result<String, Error> {
    // SAFETY: the name is a valid C string; a missing extension is an error of Postgres.
    let extension = unsafe { pg_sys::get_extension_oid(c"osrm_matcher".as_ptr(), false) };
    KNOWN.with_borrow_mut(|known| {
        let schema = match known {
            Some((oid, schema)) if *oid == extension => schema,
            _ => &known.insert((extension, look_up(extension)?)).1,
        };
        Ok(schema.clone())
    })
}

/// Looks the extension up anew: a session may be older than an update, and have the library from before it.
pub fn require_version() -> Result<(), Error> {
    KNOWN.take();
    schema().map(drop)
}

/// How a statement that changes a table understands names. The table's triggers were written for its
/// own schema; what the statement itself says has exact matches in pg_catalog, which comes before.
pub fn writing_path(schema: &str) -> CString {
    CString::new(format!("pg_catalog, {schema}, pg_temp")).expect("a name holds no zero")
}

fn look_up(extension: pg_sys::Oid) -> Result<String, Error> {
    let failed = Error::query("look up the extension");
    let found = Spi::connect(|client| {
        client
            .select(include_str!("schema.sql"), None, &[extension.into()])
            .map_err(&failed)?
            .first()
            .get_two::<String, String>()
            .map_err(&failed)
    })?;
    let (Some(schema), Some(version)) = found else {
        return Err(Error::Defect("the extension has no schema".into()));
    };
    if version != LIBRARY {
        return Err(Error::OtherVersion {
            library: LIBRARY,
            extension: version,
        });
    }
    Ok(schema)
}
