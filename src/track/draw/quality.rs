//! Figures of our own for every path, and one grade from them.
//!
//! A matched path is `Good` if enough of its fixes found a road, lie near it on average, and the
//! line is not much longer than the way through them and implies no speed that is out of the
//! ordinary (see [`recipe::draw`](crate::track::recipe::draw)). Otherwise it is `Doubtful`. A raw
//! path is `Raw`.

use crate::track::model::{Grade, PathKind, Quality};
use crate::track::recipe::draw::{
    GOOD_DETOUR, GOOD_DETOUR_SLACK, GOOD_OFFSET, GOOD_SHARE, GOOD_SPEED,
};

/// What is summed up along a path.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    pub observations: usize,
    pub matched: usize,
    pub offsets: f64,
    pub length: f64,
    pub fixes_length: f64,
    /// Greatest speed of a leg: that of a leap is no vehicle's.
    pub leg_speed: f64,
    /// Greatest speed over a longer span.
    pub top_speed: f64,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.observations += other.observations;
        self.matched += other.matched;
        self.offsets += other.offsets;
        self.length += other.length;
        self.fixes_length += other.fixes_length;
        self.leg_speed = self.leg_speed.max(other.leg_speed);
        self.top_speed = self.top_speed.max(other.top_speed);
    }

    pub fn quality(&self, kind: PathKind) -> Quality {
        let matched_share = self.matched as f64 / self.observations.max(1) as f64;
        let mean_offset = (self.matched > 0).then(|| self.offsets / self.matched as f64);
        let good = matched_share >= GOOD_SHARE
            && mean_offset.is_some_and(|offset| offset <= GOOD_OFFSET)
            && self.length <= GOOD_DETOUR * self.fixes_length + GOOD_DETOUR_SLACK
            && self.leg_speed <= GOOD_SPEED;
        let grade = match kind {
            PathKind::Raw => Grade::Raw,
            PathKind::Matched if good => Grade::Good,
            PathKind::Matched => Grade::Doubtful,
        };
        Quality {
            matched_share,
            mean_offset,
            length: self.length,
            fixes_length: self.fixes_length,
            top_speed: self.top_speed,
            grade,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Tally = Tally {
        observations: 10,
        matched: 10,
        offsets: 50.0,
        length: 1_000.0,
        fixes_length: 990.0,
        leg_speed: 14.0,
        top_speed: 12.0,
    };

    fn grade(tally: Tally) -> Grade {
        tally.quality(PathKind::Matched).grade
    }

    #[test]
    fn each_figure_can_spoil_the_grade() {
        assert_eq!(grade(FINE), Grade::Good);
        assert_eq!(grade(Tally { matched: 7, ..FINE }), Grade::Doubtful);
        assert_eq!(
            grade(Tally {
                offsets: 160.0,
                ..FINE
            }),
            Grade::Doubtful
        );
        assert_eq!(
            grade(Tally {
                length: 1_500.0,
                ..FINE
            }),
            Grade::Doubtful
        );
        assert_eq!(
            grade(Tally {
                leg_speed: 61.0,
                ..FINE
            }),
            Grade::Doubtful
        );
        assert_eq!(FINE.quality(PathKind::Raw).grade, Grade::Raw);
    }

    #[test]
    fn nothing_matched_has_no_offset() {
        let quality = Tally::default().quality(PathKind::Raw);
        assert_eq!((quality.matched_share, quality.mean_offset), (0.0, None));
    }
}
