//! How noisy fixes are, found out by a small request: the road tells what they hide.

use super::asker::Asker;
use super::choose::choose_answer;
use super::fit::{self, Anchors, Fitted};
use crate::osrm::MatchError;
use crate::track::model::Fix;
use crate::track::prepare::{Nearby, Prepared, Thinned, prepare};
use crate::track::recipe::Recipe;
use crate::track::recipe::ask::{SIDE, TRIES};

/// What a small request told about the fixes around it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Noise {
    /// Their standard deviation in metres, where it is more than they show themselves.
    pub hidden: Option<f64>,
    /// The radius that suited them, in metres; 0 where none was asked.
    pub radius: f64,
    /// How far off the road they came to lie with it, in metres, as a standard deviation.
    pub off_road: f64,
}

impl Noise {
    /// The worse of both in each respect.
    pub fn or_worse(self, other: Noise) -> Noise {
        Noise {
            hidden: self.hidden.into_iter().chain(other.hidden).reduce(f64::max),
            radius: self.radius.max(other.radius),
            off_road: self.off_road.max(other.off_road),
        }
    }
}

/// A few fixes and what asking about them told.
pub struct Calibration {
    pub noise: Noise,
    pub near: Thinned,
    /// Index of the one in the middle.
    pub at: usize,
    /// `None` if all of it lies in one place.
    pub fitted: Option<Fitted>,
}

/// Asks about a few fixes, which `choose` names, with a small radius first. Where that proves too
/// small the fixes are noisier than they look: they are smoothed anew with what was found, and
/// asked about again. `None` where there is nothing to ask about.
pub fn calibrate(
    span: &[Fix],
    recipe: &Recipe,
    asker: &Asker,
    choose: &dyn Fn(&Prepared) -> Option<Nearby>,
) -> Result<Option<Calibration>, MatchError> {
    let mut noise = Noise::default();
    for tries in 1.. {
        let Some(Nearby { thinned: near, at }) = choose(&prepare(span, recipe, noise.hidden))
        else {
            return Ok(None);
        };
        let calibration = |noise, near, fitted| {
            Ok(Some(Calibration {
                noise,
                near,
                at,
                fitted,
            }))
        };
        if near.kept.len() < 2 {
            return calibration(noise, near, None);
        }
        noise.radius = fit::first_radius(&near.kept).max(noise.radius);
        let mut fitted = fit::ask(&near, Anchors::default(), noise.radius, asker)?;
        noise.off_road = fitted.deviation();
        if tries == TRIES || fitted.fits() {
            choose_answer(&mut fitted, &near.all, Anchors::default(), asker)?;
            return calibration(noise, near, Some(fitted));
        }
        noise = Noise {
            hidden: Some(noise.off_road),
            radius: fitted.better_radius(),
            ..noise
        };
    }
    Ok(None)
}

/// Fixes on each side of the middle one that a request of at most so many points holds.
pub fn side(size: usize) -> usize {
    SIDE.min((size - 1) / 2).max(1)
}
