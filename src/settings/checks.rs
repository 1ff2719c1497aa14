//! What Postgres asks before it takes a value for a setting.

use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicBool, Ordering};

use pgrx::pg_sys::AsPgCStr;
use pgrx::{pg_guard, pg_sys};

use crate::osrm::client::{check_profile, check_servers};

/// Whether `osrm_url` and `profile` are checked yet. What was set before the library was there must not be, for in the
/// place of what is refused then the default would be asked; a run says what is wrong with it.
pub static DEFINED: AtomicBool = AtomicBool::new(false);

#[pg_guard]
pub unsafe extern "C-unwind" fn check_osrm_url(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: Postgres gives a C string, or none.
    let text = unsafe { given(value) };
    let why = check_servers(&text)
        .err()
        .map(|bad| format!("\"{}\": {}", bad.address, bad.why));
    takes(
        why,
        "Name servers such as http://10.0.0.1:5000, with commas or blanks between them.",
    )
}

#[pg_guard]
pub unsafe extern "C-unwind" fn check_osrm_profile(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: as above.
    let text = unsafe { given(value) };
    takes(
        check_profile(&text).err(),
        "Name the profile as OSRM's URL has it, such as driving.",
    )
}

/// The text that a hook is to check.
unsafe fn given(value: *mut *mut c_char) -> String {
    // SAFETY: the caller's pointer is that of a C string, or of none.
    let text = unsafe { value.as_ref().filter(|v| !v.is_null()) };
    let text = text.map_or(c"", |text| unsafe { CStr::from_ptr(*text) });
    text.to_string_lossy().into_owned()
}

/// Whether a hook lets a value be set; tells Postgres why not.
fn takes(why_not: Option<String>, hint: &str) -> bool {
    match why_not {
        Some(detail) if DEFINED.load(Ordering::Relaxed) => {
            // SAFETY: what Postgres reads next, in memory of its own.
            unsafe {
                pg_sys::GUC_check_errdetail_string = detail.as_pg_cstr();
                pg_sys::GUC_check_errhint_string = hint.as_pg_cstr();
            }
            false
        }
        _ => true,
    }
}
