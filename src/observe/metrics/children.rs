//! The series that records meet again and again, found by one lookup.
//!
//! A metric's own lookup hashes and compares every label of every metric; an exchange has seven.
//! Here one key leads to all series of a record, and what is kept is what the registry keeps too.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, PoisonError, RwLock},
};

use foldhash::fast::RandomState;
use http::StatusCode;
use prometheus::{Histogram, IntCounter};

use super::{families::Families, gone::Names};
use crate::{
    observe::{
        record::{Outcome, Record},
        tools::ToolLabel,
    },
    types::{Method, Name},
};

/// The series of one set of labels.
pub(super) trait Series: Sized {
    /// The labels: names of the configuration and words of closed lists.
    type Labels: Hash + Eq + Clone;

    /// Finds or makes the series.
    fn resolve(labels: &Self::Labels, families: &Families) -> Self;
}

/// Series by their labels. A quick hash will do: no label is a client's to choose.
pub(super) struct Children<S: Series>(RwLock<HashMap<S::Labels, Arc<S>, RandomState>>);

impl<S: Series> Children<S> {
    pub(super) fn new() -> Self {
        Self(RwLock::default())
    }

    /// Forgets the series of other labels.
    pub(super) fn retain(&self, keeps: impl Fn(&S::Labels) -> bool) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|labels, _| keeps(labels));
    }

    pub(super) fn get(&self, labels: &S::Labels, families: &Families) -> Arc<S> {
        // An insertion that panicked left the map as it was.
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(labels).cloned();
        known.unwrap_or_else(|| {
            let made = Arc::new(S::resolve(labels, families));
            let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(labels.clone()).or_insert(made))
        })
    }
}

/// The series of every exchange.
pub(super) struct Exchange {
    pub(super) requests: IntCounter,
    pub(super) duration: Histogram,
    pub(super) first_byte: Histogram,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct ExchangeLabels {
    route: Option<Name>,
    consumer: Option<Name>,
    method: Method,
    status: Option<u16>,
}

impl ExchangeLabels {
    pub(super) fn is_of(&self, names: &Names<'_>) -> bool {
        names.have(self.route.as_ref(), self.consumer.as_ref())
    }
}

impl From<&Record> for ExchangeLabels {
    fn from(record: &Record) -> Self {
        Self {
            route: record.route.clone(),
            consumer: record.consumer.clone(),
            method: record.method,
            status: record.status.filter(|status| is_registered(*status)),
        }
    }
}

/// An upstream could make up 900 statuses, each a series for every route and consumer.
fn is_registered(status: u16) -> bool {
    StatusCode::from_u16(status).is_ok_and(|status| status.canonical_reason().is_some())
}

impl Series for Exchange {
    type Labels = ExchangeLabels;

    fn resolve(labels: &ExchangeLabels, families: &Families) -> Self {
        let (route, consumer) = (label(labels.route.as_ref()), label(labels.consumer.as_ref()));
        let status = labels.status.map_or_else(|| "other".to_owned(), |code| code.to_string());
        let request = [route, consumer, labels.method.as_str(), &status];
        Self {
            requests: families.requests.with_label_values(&request),
            duration: families.request_duration.with_label_values(&[route, consumer]),
            first_byte: families.first_byte.with_label_values(&[route]),
        }
    }
}

/// The series of every MCP message.
pub(super) struct Call {
    pub(super) calls: IntCounter,
    pub(super) duration: Histogram,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct CallLabels {
    route: Option<Name>,
    consumer: Option<Name>,
    method: &'static str,
    tool: ToolLabel,
    outcome: Outcome,
}

impl CallLabels {
    pub(super) fn is_of(&self, names: &Names<'_>) -> bool {
        names.have(self.route.as_ref(), self.consumer.as_ref())
    }

    /// The labels of each MCP message that a record is of.
    pub(super) fn of(record: &Record) -> impl Iterator<Item = Self> {
        let single = record.mcp_method.filter(|_| record.batch.is_empty());
        let single = single.map(|method| (method, &record.tool_label));
        let batch = record.batch.iter().map(|message| (message.method, &message.tool));
        single.into_iter().chain(batch).map(|(method, tool)| Self {
            route: record.route.clone(),
            consumer: record.consumer.clone(),
            method,
            tool: tool.clone(),
            outcome: record.outcome,
        })
    }
}

impl Series for Call {
    type Labels = CallLabels;

    fn resolve(labels: &CallLabels, families: &Families) -> Self {
        let CallLabels { method, tool, outcome, .. } = labels;
        let (route, consumer) = (label(labels.route.as_ref()), label(labels.consumer.as_ref()));
        let tool = tool.as_str();
        let call = [route, consumer, method, tool, outcome.as_str()];
        Self {
            calls: families.mcp_calls.with_label_values(&call),
            duration: families.mcp_call_duration.with_label_values(&[*method, tool]),
        }
    }
}

/// A stranger, or a request without a route, has the empty label.
pub(super) fn label(name: Option<&Name>) -> &str {
    name.map_or("", Name::as_str)
}
