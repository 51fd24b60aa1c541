//! The audit of a gateway, which every one of the harness has unless its test writes its own.

use std::{fs, path::PathBuf};

use serde_json::Value;

use super::{Gateway, within};

/// The directory of the audit, beside the configuration.
pub(super) const DIR: &str = "audit";

/// Where it is written. A test may write the section itself, with this file.
pub(crate) const AUDIT: &str = "[audit]\nfile = \"audit/audit.jsonl\"\n";

impl Gateway {
    /// Where the audit and what was put aside of it stand.
    pub(crate) fn audit_dir(&self) -> PathBuf {
        self.dir().join(DIR)
    }

    /// The bytes of the audit and of all that was put aside.
    pub(super) fn audit_bytes(&self) -> Vec<u8> {
        let files = fs::read_dir(self.audit_dir()).unwrap();
        let files = files.map(|entry| fs::read(entry.unwrap().path()).unwrap());
        files.collect::<Vec<_>>().concat()
    }

    /// The records of the route `mcp` so far, the oldest first.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.audit_dir().join("audit.jsonl")).unwrap_or_default();
        // The last one may be half written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let records = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.filter(|record| record["route"] == "mcp").collect()
    }

    /// Waits for so many records: they are written a moment after the exchange has ended.
    pub(crate) async fn audited(&self, count: usize) -> Vec<Value> {
        let find = async {
            loop {
                let records = self.audit();
                if records.len() >= count {
                    return records;
                }
                tokio::task::yield_now().await;
            }
        };
        let records = within(&format!("{count} records of the audit"), find).await;
        assert_eq!(records.len(), count, "{records:#?}");
        records
    }

    /// Takes the audit's directory away, as a full disk takes the place of a record.
    pub(crate) fn loses_its_audit(&self) {
        fs::rename(self.audit_dir(), self.dir().join("away")).unwrap();
    }

    /// Gives it back, and waits until records are written again.
    pub(crate) async fn finds_its_audit(&self) {
        fs::rename(self.dir().join("away"), self.audit_dir()).unwrap();
        self.metric_becomes("portcullis_audit_failing", &[], 0.0).await;
    }
}
