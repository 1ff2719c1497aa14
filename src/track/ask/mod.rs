//! Stage 2: what OSRM is asked about a trace, and what of its answers is believed.

mod asker;
mod calibrate;
mod choose;
mod fit;
mod matched;
mod price;
mod relax;
mod repair;
mod resample;
mod unmapped;
mod widen;

pub use asker::Asker;
pub use calibrate::{Calibration, Noise, calibrate, side};
pub use choose::choose_answer;
pub use fit::{Anchors, Fitted, first_radius, fit, fit_roughly};
pub use matched::{MatchedLeg, MatchedTrace, Observation, way};
pub use repair::repair;
pub use unmapped::find_unmapped;
pub use widen::widen;
