//! `[[listeners]]`.

use std::net::SocketAddr;

use super::{
    Span, certificates,
    once::Once,
    reading::Reading,
    table::{Item, Table},
};
use crate::{
    snapshot::{Certificate, Listener, ListenerKind},
    types::Name,
};

/// A listener as far as it could be read.
pub(super) struct Draft {
    pub(super) name: Option<(Name, Span)>,
    pub(super) address: Option<(SocketAddr, Span)>,
    pub(super) speaks: Speaks,
}

pub(super) enum Speaks {
    Plain,
    /// The certificates that could be read.
    Tls(Vec<Certificate>),
    /// The listener that is redirected to, if its name could be read.
    Redirect(Option<(Name, Span)>),
}

pub(super) fn read(root: &mut Table<'_>, reading: &mut Reading<'_>) -> Vec<Draft> {
    let example = "[[listeners]] with name = \"http\" and address = \"127.0.0.1:8080\"";
    let Some(item) = root.require("listeners", example, reading) else { return Vec::new() };
    let mut names = Once::new("first here");
    let mut drafts = Vec::new();
    for table in item.tables("[[listeners]]", reading) {
        let draft = one(table, reading);
        if let Some((name, at)) = &draft.name {
            names.note(name.clone(), at, "another listener has this name", reading);
        }
        drafts.push(draft);
    }
    drafts
}

fn one(mut table: Table<'_>, reading: &mut Reading<'_>) -> Draft {
    let name = table.require("name", "name = \"https\"", reading);
    let name = name.and_then(|item| item.name(reading));
    let address = table.require("address", "address = \"0.0.0.0:443\"", reading);
    let address =
        address.and_then(|item| item.socket_address(reading).map(|address| (address, item.at)));
    let (tls, redirect) = (table.take("tls"), table.take("redirect"));
    if let (Some(tls), Some(redirect)) = (&tls, &redirect) {
        let place = reading.place(&tls.name_at);
        reading
            .error(&redirect.name_at, "a listener either speaks TLS or redirects")
            .hint("remove one of the two")
            .related(place, "speaks TLS here");
    }
    let speaks = match (tls, redirect) {
        (Some(item), _) => Speaks::Tls(certificates(&item, reading)),
        (None, Some(item)) => Speaks::Redirect(item.name(reading)),
        (None, None) => Speaks::Plain,
    };
    table.finish(&["proxy_protocol"], reading);
    Draft { name, address, speaks }
}

fn certificates(item: &Item<'_>, reading: &mut Reading<'_>) -> Vec<Certificate> {
    let example = "certificates = [{ cert = \"tls/fullchain.pem\", key = \"tls/privkey.pem\" }]";
    let Some(mut table) = item.table("`tls`", reading) else { return Vec::new() };
    // ACME would stand in the place of certificates, so their lack is not reported beside it.
    let acme = table.take("acme");
    let list = match &acme {
        Some(acme) => {
            acme.not_yet(reading);
            table.take("certificates")
        }
        None => table.require("certificates", example, reading),
    };
    table.finish(&[], reading);
    let Some(list) = list else { return Vec::new() };
    let tables = list.tables("`certificates`", reading);
    tables.into_iter().filter_map(|table| certificates::read(table, reading)).collect()
}

/// The listener itself; `None` where its draft has an error.
pub(super) fn compile(draft: &Draft, all: &[Draft]) -> Option<Listener> {
    let kind = match &draft.speaks {
        Speaks::Plain => ListenerKind::Plain,
        Speaks::Tls(certificates) => ListenerKind::Tls(certificates.clone()),
        Speaks::Redirect(to) => {
            let (to, _) = to.as_ref()?;
            let target =
                all.iter().find(|d| d.name.as_ref().is_some_and(|(name, _)| name == to))?;
            ListenerKind::Redirect { port: target.address.as_ref()?.0.port() }
        }
    };
    let (name, address) = (draft.name.as_ref()?.0.clone(), draft.address.as_ref()?.0);
    Some(Listener { name, address, kind })
}
