use std::sync::Arc;

use instant_acme::{AccountCredentials, NewAccount};
use zeroize::Zeroizing;

use super::{Failure, caller::Caller};
use crate::snapshot::Acme;

/// An account at an authority.
pub struct Account(pub(super) instant_acme::Account);

/// Asks for the account whose credentials were kept, or makes one. Who configures `acme` agrees to the
/// authority's terms. With it come the credentials to be kept, where they are new; they hold its key.
///
/// # Errors
/// Where the authority can't be reached or wants no such account, or what was kept is damaged.
pub async fn account(
    acme: &Arc<Acme>,
    kept: Option<&[u8]>,
) -> Result<(Account, Option<Zeroizing<Vec<u8>>>), Failure> {
    let builder = instant_acme::Account::builder_with_http(Box::new(Caller::new(acme)));
    if let Some(kept) = kept {
        let credentials: AccountCredentials = serde_json::from_slice(kept)
            .map_err(|_| Failure::new("the account on the disk is damaged: remove its file"))?;
        return Ok((Account(builder.from_credentials(credentials).await?), None));
    }
    let contact: Vec<&str> = acme.contact.iter().map(AsRef::as_ref).collect();
    let wanted = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let (account, credentials) = builder.create(&wanted, acme.directory.to_string(), None).await?;
    let kept = serde_json::to_vec(&credentials).map(Zeroizing::new);
    let kept = kept.map_err(|_| Failure::new("the account can't be written down"))?;
    Ok((Account(account), Some(kept)))
}
