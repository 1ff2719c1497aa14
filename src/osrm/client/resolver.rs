//! Where a server is: looked up once for all requests of a run.

use std::sync::OnceLock;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// The addresses of the one host that an agent asks. By itself ureq looks them up before each request, on a
/// thread made for it, even where the connection is kept and the host is an address already: a third of what a
/// small request costs.
#[derive(Debug, Default)]
pub struct Once {
    resolver: DefaultResolver,
    found: OnceLock<ResolvedSocketAddrs>,
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
        if let Some(found) = self.found.get() {
            return Ok(found.clone());
        }
        let found = self.resolver.resolve(uri, config, timeout)?;
        Ok(self.found.get_or_init(|| found).clone())
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
