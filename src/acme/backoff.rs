use std::time::Duration;

use aws_lc_rs::rand;

/// The longest wait between two orders of one certificate.
const LONGEST: Duration = Duration::from_secs(6 * 60 * 60);

/// How much longer each wait is than the one before: four orders in the first hour, from a minute on,
/// where the largest authority allows five failures of a name.
const FACTOR: u32 = 4;

/// How long to wait after so many failures in a row, the first of which waits for `first`; longer by up
/// to a quarter, so that many gateways don't come together.
pub fn wait(first: Duration, failures: u32) -> Duration {
    let factor = FACTOR.saturating_pow(failures.saturating_sub(1));
    let wait = first.saturating_mul(factor).min(LONGEST.max(first));
    wait + wait.mul_f64(0.25 * chance())
}

/// When a certificate is renewed, in seconds since 1970: at two thirds of its life, earlier by up to a
/// thirtieth of it. `chance` is a number from 0 to 1.
pub fn renewal((starts_at, expires_at): (i64, i64), chance: f64) -> i64 {
    let life = Duration::from_secs(u64::try_from(expires_at - starts_at).unwrap_or(0));
    let age = life.mul_f64((2.0 / 3.0 - chance / 30.0).clamp(0.0, 1.0));
    starts_at.saturating_add(i64::try_from(age.as_secs()).unwrap_or(0))
}

/// From 0 to 1, another each time.
pub fn chance() -> f64 {
    let mut bytes = [0; 2];
    // Without randomness there is no jitter, which is no harm.
    let _ = rand::fill(&mut bytes);
    f64::from(u16::from_ne_bytes(bytes)) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_that_allows_five_failures_an_hour_sees_four() {
        let minute = Duration::from_secs(60);
        let (mut at, mut orders) = (Duration::ZERO, Vec::new());
        for failures in 1..10 {
            orders.push(at);
            at += wait(minute, failures);
        }
        for order in &orders {
            let hour = *order..*order + 60 * minute;
            assert!(orders.iter().filter(|other| hour.contains(*other)).count() <= 4, "{orders:?}");
        }
        for failures in [6, 100, u32::MAX] {
            assert!(wait(minute, failures) <= LONGEST.mul_f64(1.25));
        }
    }

    #[test]
    fn a_certificate_is_renewed_near_two_thirds_of_its_life() {
        let life = (1_000_000, 1_900_000);
        assert_eq!(renewal(life, 0.0), 1_600_000);
        assert_eq!(renewal(life, 1.0), 1_570_000);
        assert_eq!(renewal((5, 1), 0.5), 5, "one that ends before it begins");
    }
}
