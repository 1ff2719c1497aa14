//! Plans of our statements, kept for the session: what a run says again and again is parsed and planned once.

use std::cell::RefCell;
use std::collections::HashMap;

use pgrx::PgOid;
use pgrx::datum::DatumWithOid;
use pgrx::spi::{OwnedPreparedStatement, SpiClient, SpiResult};

/// Statements beyond this number are not kept: each adopted table has its own.
const MOST: usize = 1_000;

/// A plan lives as long as the session: no destructor may meet a backend that is on its way out.
type Plan = &'static OwnedPreparedStatement;

thread_local! {
    /// By the statement and whether it may change anything.
    static KEPT: RefCell<HashMap<(String, bool), Plan>> = RefCell::new(HashMap::new());
}

/// The plan of a statement; nothing if there are too many.
pub fn plan(
    client: &SpiClient<'_>,
    sql: &str,
    args: &[DatumWithOid<'_>],
    changes: bool,
) -> SpiResult<Option<Plan>> {
    let key = (sql.to_owned(), changes);
    let (known, count) = KEPT.with_borrow(|kept| (kept.get(&key).copied(), kept.len()));
    if known.is_some() || count >= MOST {
        return Ok(known);
    }
    let types: Vec<PgOid> = args.iter().map(|arg| PgOid::from(arg.oid())).collect();
    let prepared = match changes {
        true => client.prepare_mut(sql, &types),
        false => client.prepare(sql, &types),
    };
    let plan: Plan = Box::leak(Box::new(prepared?.keep()));
    KEPT.with_borrow_mut(|kept| kept.insert(key, plan));
    Ok(Some(plan))
}
