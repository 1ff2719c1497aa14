//! Writes the SQL that `CREATE EXTENSION` runs, from what pgrx has left in the library: the functions in Rust,
//! and the files of `sql/` between them in the order that they need. `cargo pgrx schema` does the same with the
//! same crate, and takes minutes to build.
//!
//! Reads the section `.pgrxsc` of the library on standard input, writes SQL to standard output; its arguments are
//! the control file and the version.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{self, Read, Write};

use pgrx_sql_entity_graph::section::decode_entities;
use pgrx_sql_entity_graph::{ControlFile, PgrxSql, SqlGraphEntity};

const LIBRARY: &str = "osrm_matcher";

/// What stands for the names of all functions in a script.
const FUNCTIONS: &str = "@functions@";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [control, version] = arguments.as_slice() else {
        return Err("usage: install_script CONTROL_FILE VERSION <SECTION".into());
    };
    let mut section = Vec::new();
    io::stdin().read_to_end(&mut section)?;
    io::stdout().write_all(script(&section, control, version)?.as_bytes())?;
    Ok(())
}

fn script(section: &[u8], control: &str, version: &str) -> Result<String, Box<dyn Error>> {
    let control = ControlFile::from_path_with_cargo_version(control, version)?;
    let versioned_library = control.module_pathname.is_none();
    let mut entities = vec![SqlGraphEntity::ExtensionRoot(control)];
    entities.extend(decode_entities(section)?);
    if entities.len() == 1 {
        return Err(
            "the library says nothing of its functions: was it built by tests/setup/build.sh?"
                .into(),
        );
    }
    let graph = PgrxSql::build(entities.into_iter(), LIBRARY.to_string(), versioned_library)?;
    let sql = graph.to_sql()?;
    Ok(sql.replace(FUNCTIONS, &functions(&sql).join(",")))
}

/// Names of all functions that a script makes.
fn functions(sql: &str) -> Vec<&str> {
    let names: BTreeSet<&str> = sql.lines().filter_map(made).collect();
    names.into_iter().collect()
}

/// The name of the function that is made at the beginning of a line.
fn made(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("CREATE")?.trim_start();
    let rest = rest.strip_prefix("OR REPLACE").unwrap_or(rest).trim_start();
    let kinds = ["FUNCTION ", "PROCEDURE ", "AGGREGATE "];
    let name = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
    Some(name.split('(').next()?.trim().trim_matches('"'))
}
