//! Where a server is: looked up once for all requests of a run.

use std::sync::Mutex;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::server::lock;

/// The addresses of the one host that an agent asks. By itself ureq looks them up before each request, on a
/// thread made for it, even where the connection is kept and the host is an address already: a third of what a
/// small request costs.
#[derive(Debug, Default)]
pub struct Once {
    resolver: DefaultResolver,
    found: Mutex<Option<ResolvedSocketAddrs>>,
}

impl Resolver for Once {
    /// Requests that begin before the first answer ask each for itself, so that none waits for the time-outs
    /// of others.
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let known = lock(&self.found).clone();
        if let Some(found) = known {
            return Ok(found);
        }
        let found = self.resolver.resolve(uri, config, timeout)?;
        *lock(&self.found) = Some(found.clone());
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(resolver: &Once, uri: &str) -> Result<ResolvedSocketAddrs, Error> {
        let uri = uri.parse().unwrap();
        resolver.resolve(&uri, &Config::default(), NextTimeout::default())
    }

    #[test]
    fn a_host_is_looked_up_once() {
        let once = Once::default();
        let found = resolve(&once, "http://127.0.0.1:5000/match").unwrap();
        assert_eq!(found[..], ["127.0.0.1:5000".parse().unwrap()]);
        // Nothing but what is kept can answer for a host that does not exist.
        let kept = resolve(&once, "http://nowhere.invalid:5000/match").unwrap();
        assert_eq!(kept[..], found[..]);
    }

    #[test]
    fn a_host_that_was_not_found_is_looked_up_again() {
        let once = Once::default();
        assert!(resolve(&once, "http://nowhere.invalid:5000/match").is_err());
        assert!(resolve(&once, "http://127.0.0.1:5000/match").is_ok());
    }
}
