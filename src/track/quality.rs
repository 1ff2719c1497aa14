//! Figures of our own for every path, and one grade from them.
//!
//! A matched path is `Good` if at least 8 of 10 of its fixes found a road, these lie 15 m or less
//! from it on average, the line is at most 1.3 times as long as the way through the fixes (and
//! 100 m), and no leg implies more than 60 m/s. Otherwise it is `Doubtful`. A raw path is `Raw`.

use super::{Grade, PathKind, Quality};

const LEAST_SHARE: f64 = 0.8;
const MOST_OFFSET: f64 = 15.0;
const MOST_DETOUR: f64 = 1.3;
const DETOUR_SLACK: f64 = 100.0;
const TOP_SPEED: f64 = 60.0;

/// What is summed up along a path.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    pub waypoints: usize,
    pub matched: usize,
    pub offsets: f64,
    pub length: f64,
    pub fixes_length: f64,
    pub max_speed: f64,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.waypoints += other.waypoints;
        self.matched += other.matched;
        self.offsets += other.offsets;
        self.length += other.length;
        self.fixes_length += other.fixes_length;
        self.max_speed = self.max_speed.max(other.max_speed);
    }

    pub fn quality(&self, kind: PathKind) -> Quality {
        let matched_share = self.matched as f64 / self.waypoints.max(1) as f64;
        let mean_offset = (self.matched > 0).then(|| self.offsets / self.matched as f64);
        let good = matched_share >= LEAST_SHARE
            && mean_offset.is_some_and(|offset| offset <= MOST_OFFSET)
            && self.length <= MOST_DETOUR * self.fixes_length + DETOUR_SLACK
            && self.max_speed <= TOP_SPEED;
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
            max_speed: self.max_speed,
            grade,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Tally = Tally {
        waypoints: 10,
        matched: 10,
        offsets: 50.0,
        length: 1_000.0,
        fixes_length: 990.0,
        max_speed: 14.0,
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
                max_speed: 61.0,
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
