//! The settings under `osrm_matcher.`, read once a call into plain structs.
//!
//! All of them decide where the database connects to or how much it does, so only superusers may
//! change them.

mod checks;

use std::ffi::CString;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};

use crate::osrm::client::ClientSettings;
use crate::track::{Micros, Recipe};
use checks::{DEFINED, check_osrm_profile, check_osrm_url};

/// Lengths that a window may have. Each divides the next, so that a change of the setting never
/// makes windows that straddle old ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub enum WindowLength {
    #[name = c"1min"]
    OneMinute,
    #[name = c"5min"]
    FiveMinutes,
    #[name = c"15min"]
    FifteenMinutes,
    #[name = c"1h"]
    OneHour,
    #[name = c"1d"]
    OneDay,
}

impl WindowLength {
    const fn seconds(self) -> i64 {
        match self {
            Self::OneMinute => 60,
            Self::FiveMinutes => 300,
            Self::FifteenMinutes => 900,
            Self::OneHour => 3600,
            Self::OneDay => 86_400,
        }
    }
}

static ENABLED: GucSetting<bool> = GucSetting::<bool>::new(true);
static NOTIFY: GucSetting<bool> = GucSetting::<bool>::new(false);
static OSRM_URL: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"http://127.0.0.1:5000"));
static CA_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
static PROFILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c"driving"));
static CONCURRENCY: GucSetting<i32> = GucSetting::<i32>::new(4);
static CONNECT_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(1_000);
static REQUEST_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(10_000);
static MAX_MATCHING_SIZE: GucSetting<i32> = GucSetting::<i32>::new(100);
static WINDOW: GucSetting<WindowLength> =
    GucSetting::<WindowLength>::new(WindowLength::FiveMinutes);
static MAX_GAP: GucSetting<i32> = GucSetting::<i32>::new(330);
static LOOK_BACK: GucSetting<i32> = GucSetting::<i32>::new(86_400);
static GPS_ACCURACY: GucSetting<f64> = GucSetting::<f64>::new(0.0);
static LINE_TOLERANCE: GucSetting<f64> = GucSetting::<f64>::new(1.0);
static MAX_RETRIES: GucSetting<i32> = GucSetting::<i32>::new(5);
static SETTLE_DELAY: GucSetting<i32> = GucSetting::<i32>::new(180);
static RETRY_PAUSE: GucSetting<i32> = GucSetting::<i32>::new(60);

/// What a run needs to know, all of it read at its beginning.
#[derive(Debug, Clone)]
pub struct Settings {
    pub enabled: bool,
    /// Whether a NOTIFY says which devices have new paths.
    pub notify: bool,
    pub client: ClientSettings,
    /// Threads that ask OSRM.
    pub concurrency: usize,
    pub recipe: Recipe,
    /// Points older than this are left alone until a backfill asks for them.
    pub look_back: Micros,
    /// How long after its slot is over an open window settles; 0: windows are matched as a whole
    /// each time.
    pub settle_delay: Micros,
    /// Attempts after the first, before a window counts as failed.
    pub max_retries: i32,
    /// Pause before the second attempt; it doubles with each further one.
    pub retry_pause: Micros,
}

const SECOND: Micros = 1_000_000;

impl Settings {
    /// Reads all settings; main thread only.
    pub fn read() -> Self {
        let text = |setting: &GucSetting<Option<CString>>| {
            setting
                .get()
                .map(|s| s.to_string_lossy().into_owned())
                .unwrap_or_default()
        };
        let millis = |setting: &GucSetting<i32>| Duration::from_millis(setting.get() as u64);
        let concurrency = CONCURRENCY.get() as usize;
        Self {
            enabled: enabled(),
            notify: NOTIFY.get(),
            client: ClientSettings {
                servers: text(&OSRM_URL),
                profile: text(&PROFILE),
                ca_file: text(&CA_FILE),
                connect_timeout: millis(&CONNECT_TIMEOUT),
                request_timeout: millis(&REQUEST_TIMEOUT),
                max_matching_size: MAX_MATCHING_SIZE.get() as usize,
                connections: concurrency,
            },
            concurrency,
            recipe: Recipe {
                window: window(),
                max_gap: max_gap(),
                gps_accuracy: Some(GPS_ACCURACY.get()).filter(|metres| *metres > 0.0),
                tolerance: LINE_TOLERANCE.get(),
            },
            look_back: look_back(),
            settle_delay: i64::from(SETTLE_DELAY.get()) * SECOND,
            max_retries: MAX_RETRIES.get(),
            retry_pause: i64::from(RETRY_PAUSE.get()) * SECOND,
        }
    }
}

/// Whether points are processed at all.
pub fn enabled() -> bool {
    ENABLED.get()
}

/// Length of a window.
pub fn window() -> Micros {
    WINDOW.get().seconds() * SECOND
}

/// A silence longer than this ends a path.
pub fn max_gap() -> Micros {
    i64::from(MAX_GAP.get()) * SECOND
}

/// Points older than this are left alone until a backfill asks for them.
pub fn look_back() -> Micros {
    i64::from(LOOK_BACK.get()) * SECOND
}

/// Defines the settings; called once, when the library is loaded.
pub fn init() {
    define_running();
    define_servers();
    define_requests();
    define_matching();
    reserve_prefix();
}

/// Whether and how often something is tried.
fn define_running() {
    let plain = GucFlags::default();
    GucRegistry::define_bool_guc(
        c"osrm_matcher.enabled",
        c"Whether points are processed at all.",
        c"Off stops scheduled and manual runs at their beginning; reading goes on. Default: on.",
        &ENABLED,
        GucContext::Suset,
        plain,
    );
    GucRegistry::define_bool_guc(
        c"osrm_matcher.notify",
        c"Whether a NOTIFY on channel osrm_matcher_paths names each device that has new paths.",
        c"One message a device and round, with the device id as its payload. Default: off.",
        &NOTIFY,
        GucContext::Suset,
        plain,
    );
    int(
        c"osrm_matcher.max_retries",
        c"Attempts after the first before a window counts as failed.",
        c"While OSRM as a whole is away, none is spent. Default: 5.",
        &MAX_RETRIES,
        (0, 100),
        plain,
    );
    int(
        c"osrm_matcher.retry_pause",
        c"Pause before a window is tried again.",
        c"Doubles with each attempt, up to 6h, give or take a quarter. Default: 1min.",
        &RETRY_PAUSE,
        (1, 21_600),
        GucFlags::UNIT_S,
    );
}

/// The servers, and what they are believed by.
fn define_servers() {
    // SAFETY: the hooks guard against their own panics.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            c"osrm_matcher.osrm_url",
            c"Addresses of OSRM servers, http or https, without the service's path, separated by commas or blanks.",
            c"Requests go round them; one that fails is left out for a while. Redirects are not followed. Default: http://127.0.0.1:5000.",
            &OSRM_URL,
            GucContext::Suset,
            GucFlags::SUPERUSER_ONLY,
            Some(check_osrm_url),
            None,
            None,
        );
        GucRegistry::define_string_guc_with_hooks(
            c"osrm_matcher.profile",
            c"Profile named in OSRM's URL.",
            c"Default: driving.",
            &PROFILE,
            GucContext::Suset,
            GucFlags::default(),
            Some(check_osrm_profile),
            None,
            None,
        );
    }
    DEFINED.store(true, Ordering::Relaxed);
    GucRegistry::define_string_guc(
        c"osrm_matcher.ca_file",
        c"File on the database's machine with the certificates, in PEM, of the authorities that servers at https are believed by.",
        c"They take the place of the public ones, which are believed where it is empty. Default: empty.",
        &CA_FILE,
        GucContext::Suset,
        GucFlags::default(),
    );
}

/// How servers are asked.
fn define_requests() {
    let plain = GucFlags::default();
    int(
        c"osrm_matcher.concurrency",
        c"Threads of one run that ask OSRM at the same time.",
        c"Default: 4.",
        &CONCURRENCY,
        (1, 64),
        plain,
    );
    int(
        c"osrm_matcher.connect_timeout",
        c"Longest wait for a connection to OSRM.",
        c"A cancelled run may last as long as this. Default: 1s.",
        &CONNECT_TIMEOUT,
        (10, 60_000),
        GucFlags::UNIT_MS,
    );
    int(
        c"osrm_matcher.request_timeout",
        c"Longest wait for the whole answer to one request.",
        c"A request that takes longer is made smaller before it is asked again. Default: 10s.",
        &REQUEST_TIMEOUT,
        (100, 600_000),
        GucFlags::UNIT_MS,
    );
    int(
        c"osrm_matcher.max_matching_size",
        c"Points that one request may hold, as the server's --max-matching-size.",
        c"Too large a value is found out and lowered for the run. Default: 100.",
        &MAX_MATCHING_SIZE,
        (4, 10_000),
        plain,
    );
}

/// What is matched, and how.
fn define_matching() {
    let plain = GucFlags::default();
    GucRegistry::define_enum_guc(
        c"osrm_matcher.window",
        c"Length of a window: the unit of matching.",
        c"Windows of another length are matched anew when a point reaches them. Default: 5min.",
        &WINDOW,
        GucContext::Suset,
        plain,
    );
    int(
        c"osrm_matcher.max_gap",
        c"A silence longer than this ends a path.",
        // Who reports every five minutes is some seconds late now and then.
        c"Default: 330s.",
        &MAX_GAP,
        (30, 900),
        GucFlags::UNIT_S,
    );
    int(
        c"osrm_matcher.look_back",
        c"Points recorded longer ago than this are left alone until a backfill asks for them.",
        c"Default: 24h.",
        &LOOK_BACK,
        (60, 1_000_000_000),
        GucFlags::UNIT_S,
    );
    int(
        c"osrm_matcher.settle_delay",
        c"Time for points to come in before an open window is matched as a whole.",
        c"Until then its line goes on provisionally. 0 matches it as a whole with every run. Default: 3min.",
        &SETTLE_DELAY,
        (0, 86_400),
        GucFlags::UNIT_S,
    );
    GucRegistry::define_float_guc(
        c"osrm_matcher.gps_accuracy",
        c"Standard deviation in metres of points that report no accuracy.",
        c"0 estimates it from the points of each window. Default: 0.",
        &GPS_ACCURACY,
        0.0,
        100.0,
        GucContext::Suset,
        plain,
    );
    GucRegistry::define_float_guc(
        c"osrm_matcher.line_tolerance",
        c"Metres by which a stored line may be off the one that was matched.",
        c"Vertices that say no more than that are left out; 0 keeps all. Default: 1.",
        &LINE_TOLERANCE,
        0.0,
        100.0,
        GucContext::Suset,
        plain,
    );
}

fn int(
    name: &'static std::ffi::CStr,
    short: &'static std::ffi::CStr,
    long: &'static std::ffi::CStr,
    setting: &'static GucSetting<i32>,
    (least, most): (i32, i32),
    flags: GucFlags,
) {
    GucRegistry::define_int_guc(
        name,
        short,
        long,
        setting,
        least,
        most,
        GucContext::Suset,
        flags,
    );
}

/// Makes a misspelt setting an error instead of a silence.
fn reserve_prefix() {
    let prefix = c"osrm_matcher".as_ptr();
    #[cfg(feature = "pg14")]
    unsafe {
        pgrx::pg_sys::EmitWarningsOnPlaceholders(prefix);
    }
    #[cfg(not(feature = "pg14"))]
    unsafe {
        pgrx::pg_sys::MarkGUCPrefixReserved(prefix);
    }
}
