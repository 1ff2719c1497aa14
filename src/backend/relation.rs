//! What the backend's cache knows of a relation.
//!
//! A query over pg_class may be told less: Citus takes its shards out of what sessions of clients find there.

use pgrx::datum::FromDatum;
use pgrx::{AnyElement, PgTupleDesc, pg_sys};

/// The row of pg_class, for a function that SQL knows to return one; nothing if there is no such relation.
pub fn relation(oid: pg_sys::Oid) -> Option<AnyElement> {
    let cache = pg_sys::SysCacheIdentifier::RELOID as i32;
    let none = pg_sys::Datum::null();
    // SAFETY: main thread, in a transaction; what comes back is a copy, or null.
    let row = unsafe { pg_sys::SearchSysCacheCopy(cache, oid.into(), none, none, none) };
    if row.is_null() {
        return None;
    }
    let row_type = pg_sys::Oid::from_u32(pg_sys::RelationRelation_Rowtype_Id);
    let columns = PgTupleDesc::for_composite_type_by_oid(row_type)?;
    // SAFETY: the cache holds rows of pg_class.
    unsafe {
        let datum = pg_sys::heap_copy_tuple_as_datum(row, columns.as_ptr());
        AnyElement::from_polymorphic_datum(datum, false, row_type)
    }
}

/// Whether a check or a trigger waits, for the end of the transaction, that a change of this table has caused.
pub fn has_put_off(oid: pg_sys::Oid) -> bool {
    // SAFETY: a plain read of the backend's state.
    unsafe { pg_sys::AfterTriggerPendingOnRel(oid) }
}
