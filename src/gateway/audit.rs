use std::sync::Arc;

use super::BootError;
use crate::{
    observe::{AuditRotation, AuditSink},
    proxy::Auditor,
    snapshot::{Audit, AuditTo},
    types::ArgumentsKey,
};

/// Opens what `[audit]` names. Digests are made with a key from the salt.
pub(super) fn open(audit: &Audit, salt: &[u8]) -> Result<Arc<Auditor>, BootError> {
    let failed = |file: &str| {
        let file = file.to_owned();
        |source| BootError::Audit { file, source }
    };
    let sink = match &audit.to {
        AuditTo::Stdout => AuditSink::stdout().map_err(failed("stdout"))?,
        AuditTo::Memory => AuditSink::memory(),
        AuditTo::File { path, size, keep } => {
            let rotation = AuditRotation { path: path.clone(), size: *size, keep: *keep };
            AuditSink::file(rotation).map_err(failed(&path.display().to_string()))?
        }
    };
    Ok(Arc::new(Auditor { sink, key: audit.digest.then(|| ArgumentsKey::new(salt)) }))
}
