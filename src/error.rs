//! What can go wrong in a call, in one type, and the one place where it becomes a Postgres error.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::{PgLogLevel, PgSqlErrorCode, function_name};

use crate::osrm::client::BadSetting;

/// What PostgreSQL said of a part that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    pub code: PgSqlErrorCode,
    pub message: String,
}

impl Failure {
    /// Somebody has what is needed.
    pub fn lock(what: &str) -> Self {
        Self {
            code: PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
            message: what.into(),
        }
    }

    /// Somebody held a lock, and nothing is wrong.
    pub fn is_lock(&self) -> bool {
        self.code == PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE
    }

    /// Nothing that a lock, a table or a row explains.
    pub fn is_internal(&self) -> bool {
        self.code == PgSqlErrorCode::ERRCODE_INTERNAL_ERROR
    }

    /// Tells whoever calls, and goes on.
    pub fn warn(self, what: &str, hint: &str) {
        let message = format!("{what}: {}", self.message);
        ErrorReport::new(self.code, message, function_name!())
            .set_hint(hint)
            .report(PgLogLevel::WARNING);
    }
}

/// Why a call ends with an error. A window that cannot be matched is no such error: it is counted
/// and stays in the tables.
#[derive(Debug)]
pub enum Error {
    /// A query of our own failed in a way that Postgres did not report itself.
    Query {
        doing: &'static str,
        cause: pgrx::spi::Error,
    },
    /// `osrm_matcher.osrm_url` or `.profile` cannot be used.
    BadSetting(BadSetting),
    /// A part of a run failed in PostgreSQL, and was taken back.
    Failed(Failure),
    /// The same of a statement over this source.
    Source(usize, Failure),
    /// Points were marked as processed and are not: a trigger or a rule of their table is against it.
    NotMarked,
    /// The same of what became of a window.
    NotRecorded,
    BadArgument {
        name: &'static str,
        why: String,
        hint: &'static str,
    },
    ReadOnly {
        standby: bool,
    },
    /// The call commits as it goes, and may not where it is called.
    CannotCommit {
        call: String,
        instead: String,
    },
    /// The library was replaced, and the extension's tables and functions were not.
    OtherVersion {
        library: &'static str,
        extension: String,
    },
    Threads(std::io::Error),
    /// A defect of ours: the window is put off, and the run goes on, wherever that is possible.
    Defect(String),
}

impl Error {
    /// Wraps the error of a query for `map_err`.
    pub fn query(doing: &'static str) -> impl Fn(pgrx::spi::Error) -> Self {
        move |cause| Self::Query { doing, cause }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Failed(failure) | Error::Source(_, failure) => failure,
            error => Self {
                code: match error {
                    Error::NotMarked | Error::NotRecorded => {
                        PgSqlErrorCode::ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION
                    }
                    _ => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                },
                message: ErrorReport::from(error).message().to_string(),
            },
        }
    }
}

impl From<Error> for ErrorReport {
    fn from(error: Error) -> Self {
        use PgSqlErrorCode as Code;
        let report = |code, message: String| ErrorReport::new(code, message, function_name!());
        match error {
            Error::Query { doing, cause } => report(
                Code::ERRCODE_INTERNAL_ERROR,
                format!("could not {doing}: {cause}"),
            ),
            Error::Failed(failure) | Error::Source(_, failure) => {
                report(failure.code, failure.message)
            }
            Error::NotMarked => kept("points stay unprocessed", "their table"),
            Error::NotRecorded => {
                kept("batches are not as they were written", "processing_batches")
            }
            Error::BadSetting(bad) => {
                let (message, example) = words_of(bad);
                report(Code::ERRCODE_INVALID_PARAMETER_VALUE, message).set_hint(format!(
                    "Set it as a superuser, for example: ALTER SYSTEM SET osrm_matcher.{example}; \
                     SELECT pg_reload_conf();"
                ))
            }
            Error::BadArgument { name, why, hint } => report(
                Code::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("invalid value for argument \"{name}\": {why}"),
            )
            .set_hint(hint),
            Error::ReadOnly { standby: true } => report(
                Code::ERRCODE_READ_ONLY_SQL_TRANSACTION,
                "cannot process points on a standby".into(),
            )
            .set_hint("Run it on the primary; reading works here."),
            Error::ReadOnly { standby: false } => report(
                Code::ERRCODE_READ_ONLY_SQL_TRANSACTION,
                "cannot process points in a read-only transaction".into(),
            )
            .set_hint(
                "Call it in one that may write; default_transaction_read_only says what a transaction is that does not say so.",
            ),
            Error::CannotCommit { call, instead } => cannot_commit(&call, &instead),
            Error::OtherVersion { library, extension } => report(
                Code::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!(
                    "the library of osrm_matcher is of version {library}, and the extension of \
                     version {extension}"
                ),
            )
            .set_hint(
                "Do ALTER EXTENSION osrm_matcher UPDATE. Where that is done, this session is older and has the library \
                 from before it: reconnect, a connection pool's sessions included. Where another version was installed \
                 by mistake, install the one that the extension has, and reconnect.",
            ),
            Error::Threads(cause) => report(
                Code::ERRCODE_INSUFFICIENT_RESOURCES,
                format!("could not start threads to ask OSRM: {cause}"),
            )
            .set_hint("Lower osrm_matcher.concurrency."),
            Error::Defect(what) => report(Code::ERRCODE_INTERNAL_ERROR, what),
        }
    }
}

fn cannot_commit(call: &str, instead: &str) -> ErrorReport {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_INVALID_TRANSACTION_TERMINATION,
        format!("{call} commits as it goes, and cannot do so inside a transaction"),
        function_name!(),
    )
    .set_hint(format!(
        "With autocommit on, call it as a statement of its own: outside of BEGIN, of a function, and of a block with \
         EXCEPTION. Inside a transaction: {instead}"
    ))
}

/// What somebody else's code keeps as it is.
fn kept(what: &str, table: &str) -> ErrorReport {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION,
        format!("{what}: a trigger or a rule of {table} keeps them so"),
        function_name!(),
    )
}

/// What is wrong with a setting, and how it may be set.
fn words_of(bad: BadSetting) -> (String, &'static str) {
    match bad {
        BadSetting::Address(why) => (
            format!("the address of OSRM cannot be used: {why}"),
            "osrm_url = 'http://127.0.0.1:5000'",
        ),
        BadSetting::Profile(why) => (
            format!("osrm_matcher.profile cannot be used: {why}"),
            "profile = 'driving'",
        ),
    }
}
