//! What an aggregate of ours holds while it takes in rows.

use pgrx::datum::Internal;
use pgrx::{PgMemoryContexts, pg_sys};

/// The state of the aggregate that a call belongs to, made by the first row; it lives as long as the group.
pub fn state<T: Default>(held: &mut Internal, call: pg_sys::FunctionCallInfo) -> &mut T {
    let mut memory = std::ptr::null_mut();
    // SAFETY: Postgres made the call; no one else can, for a function that takes `internal`. What is held is
    // of the type that the aggregate's functions agree on, and is dropped with the group's memory.
    unsafe {
        pg_sys::AggCheckCallContext(call, &mut memory);
        PgMemoryContexts::For(memory).switch_to(|_| held.get_or_insert_default())
    }
}

/// The same for an aggregate's final function; nothing if there was no row.
pub fn held<'group, T>(held: Internal) -> Option<&'group T> {
    // SAFETY: as above; the group's memory is there until the final function's result has been copied.
    held.unwrap()
        .map(|state| unsafe { &*state.cast_mut_ptr::<T>() })
}
