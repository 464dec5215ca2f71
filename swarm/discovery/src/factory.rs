use crate::embedded::Embedded;
use crate::file::File;
use crate::nodes::Nodes;
use crate::token::TokenDiscovery;
use crate::{Discovery, DiscoveryError, DiscoveryUrl, Election, StoreOptions, store};

/// The discovery at a URL. The one manager that keeps the membership of `embedded://` itself has a
/// [`MembershipService`](crate::MembershipService) in its place.
///
/// # Errors
/// [`DiscoveryError::Option`] when it has to be told more than it is.
pub fn discovery(
    url: &DiscoveryUrl,
    options: StoreOptions,
) -> Result<Box<dyn Discovery>, DiscoveryError> {
    Ok(match url {
        DiscoveryUrl::Nodes(entries) => Box::new(Nodes(entries.iter().cloned().collect())),
        DiscoveryUrl::File(path) => Box::new(File { path: path.clone() }),
        DiscoveryUrl::Token { service, token } => {
            Box::new(TokenDiscovery::new(service.clone(), token, &options)?)
        }
        DiscoveryUrl::Store(url) => store::discovery(url, &options)?,
        DiscoveryUrl::Embedded { managers } => Box::new(Embedded::new(managers, &options)?),
    })
}

/// The election in the store at a URL.
///
/// # Errors
/// [`DiscoveryError::NoElection`] where there can be none.
pub fn election(
    url: &DiscoveryUrl,
    options: StoreOptions,
) -> Result<Box<dyn Election>, DiscoveryError> {
    match url {
        DiscoveryUrl::Store(url) => store::election(url, &options),
        _ => Err(DiscoveryError::NoElection),
    }
}

/// The token of a new cluster, from the service that the options name.
///
/// # Errors
/// When they name none, or it gives none.
pub async fn new_token(options: &StoreOptions) -> Result<String, DiscoveryError> {
    TokenDiscovery::create(options).await
}
