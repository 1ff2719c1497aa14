//! Writes the SQL that `CREATE EXTENSION` runs, from what pgrx has left in the library: the functions in Rust,
//! and the files of `sql/` between them in the order that they need. `cargo pgrx schema` does the same with the
//! same crate, and takes minutes to build.
//!
//! Reads the section `.pgrxsc` of the library on standard input, writes SQL to standard output; its arguments are
//! the control file and the version.

use std::error::Error;
use std::io::{self, Read, Write};

use pgrx_sql_entity_graph::section::decode_entities;
use pgrx_sql_entity_graph::{ControlFile, PgrxSql, SqlGraphEntity};

const LIBRARY: &str = "osrm_matcher";

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
    Ok(graph.to_sql()?)
}
