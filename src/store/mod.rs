//! The only module that speaks SQL, and it speaks nothing else. Functions are named by what they
//! are for; each is one statement, kept as a file beside this one where it is longer than a line
//! or two.

mod adopted;
mod batches;
mod checks;
mod claims;
mod groups;
mod holding;
mod line_ends;
mod plans;
mod points;
mod results;
mod runs;
mod schema;
mod seams;
mod source;
mod statement;

pub use adopted::{reject_devices, reject_unusable, require_points, take_back, use_ready_sources};
pub use batches::{BatchRow, Status, take_back_put_off, write_batches, write_onward};
pub use checks::Checks;
pub use claims::{
    DeviceWindow, DueDevice, Known, due_devices, due_windows, hand_back, held_windows,
    known_batches, lock_devices, lock_windows, make_pending, neighbours, overlapped, reclaim,
    recut, take_pending, waiting_devices, waiting_live, waiting_windows, windows_of,
};
pub use groups::{Group, Unsaid, devices_with_paths, groups, groups_of};
pub use holding::{DeviceKeys, Holders, device_keys, holders};
pub use line_ends::line_ends;
pub use points::{Row, RowId, Span, read_points, read_spans};
pub use results::{
    Written, mark_points, notify, reopen, unsettle, write_onward_stops, write_paths, write_stops,
};
pub use runs::{
    Delay, RunRow, ServerLeftOut, advance_jobs, forget_reads, last_search, osrm_as_seen,
    others_have_run, record_run, snapshot, store_reads,
};
pub use schema::require_version;
pub use seams::{keep_seams, known_seams};
pub use source::{CLOCK_AHEAD, Fragments, Source, are_grouped, ask_source, sources};
